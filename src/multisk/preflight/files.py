"""Single files that the pipeline reads: word vectors, and the networks that make features."""

from collections.abc import Iterator
from pathlib import Path

from multisk.errors import InputError
from multisk.layout import Layout
from multisk.params import Params
from multisk.preflight.checks import Check
from multisk.preflight.given import to_extract
from multisk.published.wordvectors import file_dimension
from multisk.resumable import file_digest

GIGABYTE = 10**9
NO_CHECKSUM = "no published checksum to compare with"


def word_check(params: Params) -> Check:
    """Look for the word vectors and at their width."""
    words = params.features.words
    if words.source == "skipgram":
        return Check("words", "vectors", "ok", "the pipeline trains them on the transcripts")
    path = Path(words.source)
    obtain = (
        f"obtain GoogleNews-vectors-negative300.bin (3.6 GB; a .gz is read as well) and put it to {path}, "
        "or name its place in params.yaml: features.words.source"
    )
    try:
        dimension = file_dimension(path)
    except InputError as error:
        return Check("words", "vectors", "missing", str(error), obtain)
    if dimension != words.dimension:
        detail = f"{path}: {dimension} wide, params.yaml says {words.dimension}"
        return Check("words", "vectors", "missing", detail, f"{obtain}; or set features.words.dimension")
    size = path.stat().st_size / GIGABYTE
    return Check("words", "vectors", "ok", f"{path}: {dimension} wide, {size:.3g} GB; {NO_CHECKSUM}")


def network_checks(params: Params, layout: Layout) -> Iterator[Check]:
    """Look for the networks' weights, if there are videos whose features are still to be extracted."""
    if not to_extract(params, layout):
        return
    yield _network(params, "appearance", "ResNet-152's weights as a checkpoint of timm")
    yield _network(
        params,
        "motion",
        "the Kinetics checkpoint of ResNeXt-101 that video_feature_extractor (antoine77340) names",
    )


def _network(params: Params, name: str, what: str) -> Check:
    settings = getattr(params.features, name)
    weights, expected = settings.weights, settings.sha256
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
