"""Corpora and features: what is there, against what was published, and how to get the rest."""

import os
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from tqdm import tqdm

from multisk.benchmarks.definition import load_definition
from multisk.corpora.manifest import Corpus
from multisk.errors import InputError
from multisk.features.extraction import stream_rates
from multisk.features.packing import CHECKSUMS, verify
from multisk.features.streams import video_streams
from multisk.features.tree_store import TreeStore, open_features
from multisk.files import read_json
from multisk.layout import Layout
from multisk.params import Params
from multisk.preflight.checks import Check
from multisk.preflight.given import (
    PRETRAIN,
    Given,
    corpus_key,
    corpus_name,
    has_videos,
    rendered,
    streams_of,
    uses,
)
from multisk.preflight.obtain import how_to_obtain
from multisk.settings.benchmarks import Benchmark
from multisk.settings.training import Training

SAMPLE = 200  # files of a tree that are looked for, of millions


def corpus_checks(
    params: Params, layout: Layout, found: Mapping[str, Given], everything: bool
) -> Iterator[Check]:
    """Look at all corpora and their features; at every file and value, or at a sample.

    found: what `open_corpora` returned
    """
    for use in uses(params):
        name = corpus_name(params, use)
        if name in rendered(params):
            yield Check(name, "corpus", "ok", "the pipeline renders it and extracts its features")
        else:
            yield from _checks_of(params, layout, use, found.get(use), everything)
    yield from _one_width(found)


def _checks_of(
    params: Params, layout: Layout, use: str, given: Given | None, everything: bool
) -> Iterator[Check]:
    name = corpus_name(params, use)
    try:
        corpus = given.corpus if given else Corpus.open(layout.corpus(name))
    except InputError as error:
        yield Check(name, "corpus", "missing", str(error), how_to_obtain(use))
        return
    wanted = "narrated" if use == PRETRAIN else "captioned"
    if corpus.role != wanted:
        detail = f"{corpus.folder}: {corpus.role}; {use} needs a {wanted} corpus"
        yield Check(name, "corpus", "missing", detail, f"name another one in params.yaml: {corpus_key(use)}")
        return
    yield Check(name, "corpus", "ok", f"{corpus.folder}: {_size(corpus)}")
    yield from _findings(corpus)
    yield from _captions(corpus)
    if given is None:
        yield from _without_features(layout, corpus, use, everything)
    else:
        yield from _feature_checks(given, params, everything)


def _without_features(layout: Layout, corpus: Corpus, use: str, everything: bool) -> Iterator[Check]:
    try:
        open_features(layout.features(corpus.folder.name))
    except InputError as error:
        yield Check(corpus.name, "features", "missing", str(error), _how_to_extract(corpus, use))
    if has_videos(corpus.folder):
        remedy = f"bring them back, or register {corpus.name} again: multisk videos"
        yield _there(corpus, "videos", corpus.folder, corpus.videos["path"].unique(), everything, remedy)


def _feature_checks(given: Given, params: Params, everything: bool) -> Iterator[Check]:
    name, store = given.corpus.name, given.store
    lacking = [stream for stream in streams_of(params) if stream not in store.streams()]
    unknown = set(store.status["video_id"]) - set(given.corpus.videos["video_id"])
    if lacking or unknown:
        what = f"no {', '.join(lacking)}" if lacking else f"of {len(unknown)} videos that the corpus lacks"
        yield Check(name, "features", "missing", f"{store.folder}: {what}", how_to_obtain(given.use))
        return
    widths = " + ".join(map(str, given.video_dimensions))
    place = "in place" if isinstance(store, TreeStore) else "packed"
    yield Check(name, "features", "ok", f"{store.folder}: {widths} wide, {place}")
    yield _rates(given, params)
    yield from _counts(given, params)
    yield _files(given, everything)
    yield _checksums(given, everything)
    if everything and isinstance(store, TreeStore):
        yield tree_values(given, store)


def _how_to_extract(corpus: Corpus, use: str) -> str:
    if not has_videos(corpus.folder):
        return f"the corpus has no video files; import it again with its features: {how_to_obtain(use)}"
    return f"extract them from its videos: multisk extract {corpus.name}"


def _size(corpus: Corpus) -> str:
    if corpus.clips is None:
        return f"{len(corpus.videos):,} videos"
    splits = corpus.clips["split"].value_counts()
    return ", ".join(f"{count:,} {split} clips" for split, count in splits.items())


def _findings(corpus: Corpus) -> Iterator[Check]:
    path = corpus.folder / "findings.json"
    if not path.is_file():
        return
    counts = read_json(path).get("counts", {})
    if counts:
        said = ", ".join(f"{count:,} {kind}" for kind, count in counts.items())
        yield Check(corpus.name, "findings", "note", f"{said}; {path} names them")


def _captions(corpus: Corpus) -> Iterator[Check]:
    if corpus.role != "narrated":
        return
    folder = corpus.folder / "captions"
    written = {entry.name for entry in os.scandir(folder)} if folder.is_dir() else set()
    mute = [video for video in corpus.videos["video_id"] if f"{video}.csv" not in written]
    if mute:
        detail = f"{corpus.folder}/captions: {len(mute):,} videos have none, such as {mute[0]}"
        yield Check(corpus.name, "captions", "missing", detail, how_to_obtain(PRETRAIN))
    else:
        yield Check(corpus.name, "captions", "ok", "of every video")


def _rates(given: Given, params: Params) -> Check:
    rates = stream_rates(params.features)
    expected = {stream: rates[stream] for stream in video_streams(rates)}
    found = {stream: given.store.rate(stream) for stream in video_streams(given.store.streams())}
    said = ", ".join(f"{rate:g} {stream} a second" for stream, rate in found.items())
    if found == expected:
        return Check(given.corpus.name, "rates", "ok", said)
    wanted = ", ".join(f"{rate:g} {stream}" for stream, rate in expected.items())
    return Check(given.corpus.name, "rates", "note", f"{said}; params.yaml says {wanted}")


def _counts(given: Given, params: Params) -> Iterator[Check]:
    if given.use == PRETRAIN:
        yield _trainable(given, params, "videos", params.pretrain)
        return
    benchmark = params.benchmark(given.use)
    if benchmark.finetune:
        yield _trainable(given, params, "training clips", benchmark.finetune)
    yield _testable(given, benchmark)


def _trainable(given: Given, params: Params, unit: str, training: Training) -> Check:
    name, (have, listed) = given.corpus.name, given.count(given.trained_split(params))
    said = f"{have:,} of {listed:,} listed {unit} have features"
    used = given.trained_on(params)
    if used < have:
        said += f", {used:,} of them are used (clips.pretrain.share)"
    if used >= training.batch_size:
        return Check(name, unit, "ok", said)
    detail = f"{said}; a batch has {training.batch_size}"
    return Check(
        name, unit, "missing", detail, f"{how_to_obtain(given.use)}; or lower batch_size in params.yaml"
    )


def _testable(given: Given, benchmark: Benchmark) -> Check:
    split = benchmark.splits.test
    have, listed = given.count(split)
    complete = benchmark.complete_size or listed
    said = f"{have:,} of {complete:,} {split} clips have features"
    name, key = f"{split} clips", f"params.yaml: benchmarks.{given.use}.complete_size"
    if not have or have > complete:
        remedy = how_to_obtain(given.use) if not have else f"raise {key} to {have} at least, or write null"
        return Check(given.corpus.name, name, "missing", said, remedy)
    definition = load_definition(given.use)
    if definition is None or definition.released is None:
        return Check(given.corpus.name, name, "ok", f"{said}; the others count as errors")
    released, published = definition.released, definition.settings.complete_size
    if (have, complete) == (released, published):
        return Check(given.corpus.name, name, "ok", f"{said}, as in the release; the others count as errors")
    detail = f"{said}, the others count as errors; the release has {released:,} of {published:,}"
    return Check(given.corpus.name, name, "note", detail)


def _files(given: Given, everything: bool) -> Check:
    """Look for the files that the index names: all shards, or a sample of a tree."""
    store = given.store
    named = store.status.loc[store.status["length"] > 0, "shard"].unique()
    remedy = f"bring them back, or import or extract {given.corpus.name} again"
    return _there(given.corpus, "files", store.folder, named, everything, remedy)


def _there(
    corpus: Corpus, what: str, folder: Path, named: np.ndarray, everything: bool, remedy: str
) -> Check:
    if len(named) > SAMPLE and not everything:
        looked = named[np.linspace(0, len(named) - 1, SAMPLE).astype(int)]
    else:
        looked = named
    # An absolute name stays what it is: videos, and the files of a tree, are elsewhere.
    gone = [name for name in looked if not (folder / name).is_file()]
    said = f"{len(looked):,} of {len(named):,} looked for"
    if not gone:
        return Check(corpus.name, what, "ok", f"{said}, all there")
    detail = f"{said}, {len(gone):,} gone, such as {folder / gone[0]}"
    return Check(corpus.name, what, "missing", detail, remedy)


def _checksums(given: Given, everything: bool) -> Check:
    name, store = given.corpus.name, given.store
    sources = given.corpus.source.get("files", [])
    made_of = "".join(f"{file} (sha256 {digest[:8]}...), " for file, digest in sources)
    said = f"{'from ' if made_of else ''}{made_of}no published checksum to compare with"
    if not (store.folder / CHECKSUMS).is_file():
        return Check(name, "checksums", "ok", said)
    if not everything:
        return Check(name, "checksums", "ok", f"{said}; --verify compares all values with the import's own")
    try:
        verify(store, store.status["video_id"].unique().tolist())
    except InputError as error:
        return Check(name, "checksums", "missing", str(error), how_to_obtain(given.use))
    return Check(name, "checksums", "ok", f"{said}; all values are those that were imported")


def tree_values(given: Given, store: TreeStore) -> Check:
    """Read all of a tree that is used in place: whatever is not finite counts as missing in training."""
    usable = store.status.loc[store.status["length"] > 0, ["video_id", "stream"]]
    broken = dict.fromkeys(store.streams(), 0)
    rows = tqdm(usable.itertuples(index=False), total=len(usable), desc="values", unit="file", disable=None)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of each file; they are counted here
        for video_id, stream in rows:
            try:
                broken[stream] += not len(store.read(video_id, stream))
            except InputError as error:
                return Check(given.corpus.name, "values", "missing", str(error), how_to_obtain(given.use))
    said = ", ".join(f"{count:,} of {stream}" for stream, count in broken.items() if count)
    if not said:
        return Check(given.corpus.name, "values", "ok", f"{len(usable):,} files read, all values are finite")
    return Check(given.corpus.name, "values", "note", f"{said} are not finite; they count as empty")


def _one_width(found: Mapping[str, Given]) -> Iterator[Check]:
    """All corpora must have features of the networks that the model was trained with."""
    widths = {one.corpus.name: one.video_dimensions for one in found.values() if one.video_dimensions}
    if len(set(widths.values())) > 1:
        said = ", ".join(f"{name}: {' + '.join(map(str, width))}" for name, width in widths.items())
        remedy = "import or extract features of the same networks for all corpora"
        yield Check("corpora", "widths", "missing", f"features differ in width: {said}", remedy)
