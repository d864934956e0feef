"""Single files that the pipeline reads: word vectors, and the networks that make features."""

from collections.abc import Iterator
from pathlib import Path

from multisk.errors import InputError
from multisk.features.clip import ClipPictures, ClipWords, clip_name
from multisk.features.wordvectors import file_dimension, length_is_known, read_word_vectors
from multisk.files import file_digest
from multisk.layout import Layout
from multisk.params import Params
from multisk.preflight.checks import Check
from multisk.preflight.given import to_extract
from multisk.settings.features import Words

GIGABYTE = 10**9
NO_CHECKSUM = "no published checksum to compare with"


def word_check(params: Params, everything: bool = False) -> Check:
    """Look for the word vectors and at their width; read all of them, or their beginning."""
    words = params.features.words
    if words.source == "skipgram":
        return Check("words", "vectors", "ok", "the pipeline trains them on the transcripts")
    if name := clip_name(words.source):
        return _clip_words(name, words)
    path = Path(words.source)
    obtain = (
        f"obtain GoogleNews-vectors-negative300.bin (3.6 GB; a .gz is read as well) and put it to {path}, "
        "or name its place in params.yaml: features.words.source"
    )
    try:
        dimension = file_dimension(path)
        whole = length_is_known(path)
        if everything:
            read_word_vectors(path, ())
            whole = True
    except InputError as error:
        return Check("words", "vectors", "missing", str(error), obtain)
    if dimension != words.dimension:
        return _another_width(words, f"{path}: {dimension} wide", obtain)
    size = path.stat().st_size / GIGABYTE
    said = f"{path}: {dimension} wide, {size:.3g} GB; {NO_CHECKSUM}"
    return Check("words", "vectors", "ok", said if whole else f"{said}; not checked for completeness")


def _clip_words(name: str, words: Words) -> Check:
    obtain = "name a CLIP model's folder in params.yaml: features.words.source: clip:FOLDER"
    try:
        dimension = ClipWords.open(name).dimension
    except InputError as error:
        return Check("words", "vectors", "missing", str(error), obtain)
    if dimension != words.dimension:
        return _another_width(words, f"{name}: {dimension} wide", obtain)
    return Check("words", "vectors", "ok", f"{name}: CLIP's text tower, {dimension} wide; {NO_CHECKSUM}")


def _another_width(words: Words, found: str, obtain: str) -> Check:
    detail = f"{found}, params.yaml says {words.dimension}"
    return Check("words", "vectors", "missing", detail, f"{obtain}; or set features.words.dimension")


def network_checks(params: Params, layout: Layout) -> Iterator[Check]:
    """Look for the networks' weights, if there are videos whose features are still to be extracted."""
    if not to_extract(params, layout):
        return
    yield _network(params, "appearance", "ResNet-152's weights as a checkpoint of timm")
    if params.features.motion:
        yield _network(
            params,
            "motion",
            "the Kinetics checkpoint of ResNeXt-101 that video_feature_extractor (antoine77340) names",
        )


def _network(params: Params, name: str, what: str) -> Check:
    settings = getattr(params.features, name)
    weights, expected = settings.weights, settings.sha256
    if name == "appearance" and (model := clip_name(settings.model)):
        return _clip_pictures(model, weights)
    if weights == "random":
        return Check("networks", name, "ok", "random weights, as params.yaml says")
    if weights == "pretrained":
        return Check("networks", name, "note", "timm downloads the weights; without a network, name a file")
    remedy = (
        f"obtain {what} and put it to {weights}, or name its place in params.yaml: features.{name}.weights"
    )
    if not Path(weights).is_file():
        return Check("networks", name, "missing", f"{weights}: no such file", remedy)
    if expected is None:
        return Check(
            "networks", name, "ok", f"{weights}; {NO_CHECKSUM}; keys and shapes are checked on reading"
        )
    found = file_digest(Path(weights))
    if found != expected:
        detail = f"{weights}: sha256 {found}, params.yaml says {expected}"
        return Check("networks", name, "missing", detail, remedy)
    return Check("networks", name, "ok", f"{weights}: sha256 as params.yaml says")


def _clip_pictures(model: str, weights: str) -> Check:
    if weights != "pretrained":
        detail = f"clip:{model} brings its own weights, params.yaml says {weights}"
        remedy = "set features.appearance.weights: pretrained in params.yaml"
        return Check("networks", "appearance", "missing", detail, remedy)
    try:
        dimension = ClipPictures.load(model).dimension
    except InputError as error:
        remedy = "name a CLIP model's folder in params.yaml: features.appearance.model: clip:FOLDER"
        return Check("networks", "appearance", "missing", str(error), remedy)
    detail = f"{model}: CLIP's image tower, {dimension} wide; {NO_CHECKSUM}"
    return Check("networks", "appearance", "ok", detail)
