"""The videos of a benchmark, which stay where they are, as a corpus with the clips that its files list."""

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path

import pandas as pd
from tqdm import tqdm

from multisk.benchmarks.definition import load_definition
from multisk.corpora.manifest import CLIP_COLUMNS, write_corpus
from multisk.corpora.media import find_media, header_seconds, video_table
from multisk.corpora.registered import Registered, registered
from multisk.errors import InputError
from multisk.files import file_digest
from multisk.published.findings import Findings

LONGEST = 60.0  # seconds; for a file that does not say how long it lasts: reading stops where it ends


@dataclass(frozen=True)
class ListedClip:
    """A part of a video, in seconds; without an end it is the whole file."""

    video_id: str
    split: str
    captions: Sequence[str]
    start: float = 0.0
    end: float | None = None


@dataclass(frozen=True)
class Listing:
    """What the annotation files of a benchmark say.

    Attributes:
        clips: in the files' order.
        seconds: how long videos last, where that is said (NaN: unknown).
        complete: whether the test clips are those of the published benchmark.
    """

    clips: Sequence[ListedClip]
    seconds: Mapping[str, float] = field(default_factory=dict)
    complete: bool = True


# From files by role, as the benchmark's own file names them; what is odd in them is noted and left out.
Reader = Callable[[Mapping[str, Path], Findings], Listing]


def register_benchmark(name: str, videos: Path, folder: Path, files: Mapping[str, Path]) -> Registered:
    """List the videos of a benchmark, which stay where they are, as a corpus.

    files: annotations by role, see the benchmark's own file
    Listed clips without a video file are kept: in the test split they count as errors.
    Raises InputError for files that are missing or cannot be read, and when no video is there.
    """
    definition = load_definition(name)
    if definition is None or definition.videos is None:
        raise InputError(f"{name}: no reader of annotations; name one in src/multisk/benchmarks/{name}.yaml")
    for role, what in definition.videos.files.items():
        if role not in files and role not in definition.videos.optional:
            raise InputError(f"{name}: --{role}: needed: {what}")
    findings = Findings()
    listing = _reader(name, definition.videos.reader)(files, findings)
    media = find_media(videos, findings)
    splits = {clip.video_id: clip.split for clip in listing.clips}
    whole = dict.fromkeys(clip.video_id for clip in listing.clips if clip.end is None)
    measured = {
        video_id: header_seconds(media[video_id])
        for video_id in tqdm(whole, desc=name, unit="video", disable=None)
        if video_id in media
    }
    for video_id, split in splits.items():
        if video_id not in media:
            findings.add("missing videos", f"{videos}: {video_id}: no file; its {split} clips are missing")
    test, size = definition.settings.splits.test, definition.settings.complete_size
    complete: dict[str, int] = {test: size} if listing.complete and size else {}
    seconds = {**listing.seconds, **measured}
    corpus = write_corpus(
        folder,
        name=name,
        role="captioned",
        description=definition.title,
        videos=video_table(
            (video_id, media[video_id], split, seconds.get(video_id, math.nan))
            for video_id, split in splits.items()
            if video_id in media
        ),
        clips=_clip_table(listing, measured),
        source={"files": [[path.name, file_digest(path)] for path in files.values()], "complete": complete},
    )
    return registered(corpus, findings, complete)


def _reader(name: str, place: str) -> Reader:
    module, _, function = place.partition(":")
    try:
        reader: Reader = getattr(import_module(module), function)
    except (ImportError, AttributeError, ValueError):
        raise InputError(
            f"src/multisk/benchmarks/{name}.yaml: videos.reader: {place}: no such module:function"
        ) from None
    return reader


def _clip_table(listing: Listing, measured: Mapping[str, float]) -> pd.DataFrame:
    numbers: Counter[str] = Counter()
    rows = []
    for clip in listing.clips:
        video_id, clip_id, end = clip.video_id, clip.video_id, clip.end
        if end is None:
            lengths = (measured.get(video_id, math.nan), listing.seconds.get(video_id, math.nan), LONGEST)
            end = next(length for length in lengths if length > 0)
        else:
            clip_id = f"{video_id}:{numbers[video_id]}"
            numbers[video_id] += 1
        rows.append((clip_id, video_id, clip.start, end, clip.split, list(clip.captions)))
    return pd.DataFrame(rows, columns=list(CLIP_COLUMNS))
