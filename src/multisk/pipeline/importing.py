"""Published features -> a corpus and its features, packed into the project's store or in place."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from multisk.benchmarks import msrvtt_pickles as msrvtt
from multisk.benchmarks import youcook2_pickles as youcook2
from multisk.benchmarks.definition import Definition, load_definitions
from multisk.benchmarks.pickles import PublishedClip, clip_dimensions, clip_streams, clip_tables
from multisk.corpora.captions import write_captions
from multisk.corpora.listing import read_listing
from multisk.corpora.manifest import VIDEO_COLUMNS, Corpus, write_corpus
from multisk.errors import InputError
from multisk.features.howto_tree import (
    HowtoTree,
    Scan,
    dimensions_of,
    read_streams,
    scan,
)
from multisk.features.packing import pack
from multisk.features.store import FeatureStore
from multisk.features.streams import seconds_of
from multisk.features.tree_store import forget_tree, write_tree_index
from multisk.files import digest, file_digest
from multisk.pipeline.replacing import check_files, check_tree
from multisk.published.findings import Findings

SHARD_MEGABYTES = 256
TREE_SHARD_MEGABYTES = 2048  # each shard costs a rewrite of an index with millions of rows


@dataclass(frozen=True)
class Imported:
    """What an import made; counts and findings are also in the corpus's findings.json."""

    corpus: Corpus
    store: FeatureStore
    findings: Findings
    counts: dict[str, int]

    def __str__(self) -> str:
        numbers = ", ".join(
            f"{count} {name}" for name, count in {**self.counts, **self.findings.counts}.items()
        )
        return f"{self.corpus.name}: {numbers}"


def import_msrvtt(
    corpus_out: Path,
    features_out: Path,
    *,
    train: Path | None = None,
    test: Path | None = None,
    test_list: Path | None = None,
    name: str = "msrvtt",
    shard_megabytes: float = SHARD_MEGABYTES,
    replace: bool = False,
) -> Imported:
    """Import the released MSR-VTT pickles, either or both.

    test_list: the 1k-A list (csv); names the clips that the test pickle lacks
    replace: drop a corpus of other files that is there, and its features
    Raises InputError when nothing usable is left, and where other files would be dropped; an interrupted
    import goes on where it was.
    """
    findings = Findings()
    clips = _read_splits({"train": train, "test": test}, msrvtt.read_msrvtt, findings)
    if test_list is not None:
        listed = msrvtt.read_test_list(test_list, findings)
        for clip in clips:
            if clip.split == "test" and clip.clip_id not in listed:
                findings.add("unlisted clips", f"{test}: {clip.clip_id}: not in {test_list}; kept")
        clips += msrvtt.missing_clips(clips, listed)
    benchmark = load_definitions()["msrvtt"]
    files = [path for path in (train, test, test_list) if path is not None]
    if not replace:
        check_files(corpus_out, features_out, files)
    corpus = _write_clips(name, benchmark, clips, files, corpus_out)
    return _pack_clips(benchmark, corpus, clips, features_out, findings, shard_megabytes)


def import_youcook2(
    corpus_out: Path,
    features_out: Path,
    *,
    train: Path | None = None,
    validation: Path | None = None,
    name: str = "youcook2",
    shard_megabytes: float = SHARD_MEGABYTES,
    replace: bool = False,
) -> Imported:
    """Import the released YouCook2 pickles, either or both, as `import_msrvtt`."""
    findings = Findings()
    clips = _read_splits({"train": train, "validation": validation}, youcook2.read_youcook2, findings)
    benchmark = load_definitions()["youcook2"]
    files = [path for path in (train, validation) if path is not None]
    if not replace:
        check_files(corpus_out, features_out, files)
    corpus = _write_clips(name, benchmark, clips, files, corpus_out)
    return _pack_clips(benchmark, corpus, clips, features_out, findings, shard_megabytes)


def import_howto100m(
    corpus_out: Path,
    features_out: Path,
    *,
    listing: Path,
    captions: Path,
    tree: HowtoTree,
    in_place: bool = True,
    check_values: bool = False,
    name: str = "howto100m",
    shard_megabytes: float = TREE_SHARD_MEGABYTES,
    replace: bool = False,
) -> Imported:
    """Import the HowTo100M tree: the features are used where they lie, or packed with `in_place=False`.

    captions: caption.pickle, caption.json or a folder of <video_id>.csv
    check_values: with `in_place`, read all values once instead of the headers alone
    replace: drop a corpus of another listing, of other folders or of videos, and its features
    A listed video without captions is left out; one without features is kept and counted as failed.
    Raises InputError when nothing usable is left, and where another corpus would be dropped; an interrupted
    import goes on where it was.
    """
    findings = Findings()
    tree = tree.resolve()
    paths = read_listing(listing, findings)
    identity = {"listing": file_digest(listing), "tree": digest(str(tree))}
    if not replace:
        check_tree(corpus_out, features_out, identity)
    said = write_captions(captions, list(paths), corpus_out / "captions", findings)
    paths = {video_id: path for video_id, path in paths.items() if video_id in said}
    if not paths:
        raise InputError(f"{captions}: no usable captions of any video that {listing} lists")
    log = features_out.parent / f".{features_out.name}.scan.jsonl"
    found = scan(tree, paths, log, check_values)
    dimensions = dimensions_of(found)
    files = {video_id: str(streams) for video_id, streams in found.items()}
    corpus = write_corpus(
        corpus_out,
        name=name,
        role="narrated",
        description="HowTo100M, published features",
        videos=_video_table(found),
        captions=said,
        source={**identity, "listed": len(paths)},
    )
    fingerprint = digest([corpus.digest, files])
    if in_place:
        store: FeatureStore = write_tree_index(features_out, found, dimensions, fingerprint)
    else:
        forget_tree(features_out)
        store = pack(
            found,
            lambda video_id: read_streams(found[video_id], dimensions),
            features_out,
            fingerprint=fingerprint,
            shard_megabytes=shard_megabytes,
        )
    log.unlink()
    counts = {"videos listed": len(paths), "videos with features": len(store.videos())}
    return _finished(corpus, store, findings, counts)


def _read_splits(files: dict[str, Path | None], read: Any, findings: Findings) -> list[PublishedClip]:
    clips: dict[str, PublishedClip] = {}
    for split, path in files.items():
        for clip in read(path, split, findings) if path is not None else []:
            if clip.clip_id in clips:
                other = clips[clip.clip_id].split
                findings.add("repeated clips", f"{path}: {clip.clip_id}: is in {other} already; left out")
            else:
                clips[clip.clip_id] = clip
    if not clips:
        raise InputError(f"no pickle named; name one for {' or '.join(files)}")
    return list(clips.values())


def _write_clips(
    name: str, benchmark: Definition, clips: list[PublishedClip], files: list[Path], out: Path
) -> Corpus:
    videos, table = clip_tables(clips)
    return write_corpus(
        out,
        name=name,
        role="captioned",
        description=f"{name}, published features",
        videos=videos,
        clips=table,
        source={
            "files": [[path.name, file_digest(path)] for path in files],
            "complete": {benchmark.settings.splits.test: benchmark.settings.complete_size},
        },
    )


def _pack_clips(
    benchmark: Definition,
    corpus: Corpus,
    clips: list[PublishedClip],
    out: Path,
    findings: Findings,
    shard_megabytes: float,
) -> Imported:
    dimensions = clip_dimensions(clips)
    present = {clip.clip_id: clip for clip in clips if clip.arrays}
    forget_tree(out)
    store = pack(
        present,
        lambda video_id: clip_streams(present[video_id], dimensions),
        out,
        fingerprint=corpus.digest,
        shard_megabytes=shard_megabytes,
    )
    usable = set(store.videos())
    have, listed = (
        Counter(clip.split for clip in clips if clip.clip_id in among)
        for among in (usable, {c.clip_id for c in clips})
    )
    tested = benchmark.settings.splits.test
    complete = {**listed, tested: benchmark.settings.complete_size}
    counts = {f"{split} clips of {complete[split]}": have[split] for split in listed}
    if tested in listed and have[tested] != benchmark.released:
        numbers = f"{have[tested]} {tested} clips, the release has {benchmark.released}"
        findings.add("unexpected counts", f"{corpus.name}: {numbers}")
    return _finished(corpus, store, findings, counts)


def _finished(corpus: Corpus, store: FeatureStore, findings: Findings, counts: dict[str, int]) -> Imported:
    broken = store.status[store.status["status"] == "failed"]
    for video_id, reason in zip(broken["video_id"], broken["reason"], strict=True):
        findings.add("unusable features", f"{video_id}: {reason}; counts as missing")
    findings.save(corpus.folder, counts)
    if not store.videos():
        (corpus.folder / "corpus.json").unlink()  # nothing may take it for a corpus
        raise InputError(
            f"{store.folder}: no video has usable features; {corpus.folder / 'findings.json'} says why"
        )
    return Imported(corpus, store, findings, counts)


def _video_table(found: Scan) -> pd.DataFrame:
    rows = [
        (video_id, "", "train", seconds_of({name: one.length for name, one in streams.items()}))
        for video_id, streams in found.items()
    ]
    return pd.DataFrame(rows, columns=list(VIDEO_COLUMNS))
