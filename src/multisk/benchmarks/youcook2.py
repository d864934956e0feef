"""The clips of YouCook2 from the official annotations, the retrieval csv, or both."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from multisk.benchmarks.register import ListedClip, Listing
from multisk.errors import InputError
from multisk.published.findings import Findings
from multisk.published.tables import as_number, read_csv, read_json

SPLITS = {"training": "train", "validation": "validation", "testing": "test"}
COLUMNS = ("video_id", "start", "end", "text")


@dataclass(frozen=True)
class Segment:
    """An annotated part of a video, in seconds; `where` names its row."""

    video_id: str
    split: str
    start: float
    end: float
    caption: str
    where: str


def read_files(files: Mapping[str, Path], findings: Findings) -> Listing:
    """Read the clips of YouCook2.

    files: `annotations`, the official JSON (`database`); gives the training clips, and without `retrieval`
        the validation clips too; `retrieval`, csv with video_id, start, end, text, which gives the 3350
        validation clips of the benchmark
    Raises InputError for files that cannot be read, and without any.
    """
    annotations, retrieval = files.get("annotations"), files.get("retrieval")
    if annotations is None and retrieval is None:
        raise InputError("YouCook2: no annotations; name the official JSON, the retrieval csv, or both")
    segments, seconds = read_annotations(annotations, findings) if annotations else ([], {})
    if retrieval:
        tested = read_retrieval(retrieval, findings)
        unknown = {one.video_id for one in tested} - set(seconds) if annotations else set()
        for video_id in sorted(unknown):
            findings.add("unknown ids", f"{retrieval}: {video_id}: not in {annotations}; kept")
        segments = _training(segments, tested, findings) + tested
    clips = [ListedClip(one.video_id, one.split, [one.caption], one.start, one.end) for one in segments]
    return Listing(clips, seconds, complete=retrieval is not None)


def read_annotations(path: Path, findings: Findings) -> tuple[list[Segment], dict[str, float]]:
    """Return the segments of the official JSON, and how long its videos last (seconds, NaN: unknown).

    Segments that cannot be used are noted and left out. Raises InputError when it is not such a file.
    """
    content = read_json(path)
    database = content.get("database") if isinstance(content, dict) else None
    if not isinstance(database, dict):
        raise InputError(f"{path}: database: no such object; name the official annotations of YouCook2")
    segments: list[Segment] = []
    seconds: dict[str, float] = {}
    for video_id, entry in database.items():
        subset = entry.get("subset") if isinstance(entry, dict) else None
        split = SPLITS.get(str(subset))
        if split is None:
            findings.add("unreadable rows", f"{path}: {video_id}: subset {subset!r}; left out")
            continue
        seconds[video_id] = as_number(entry.get("duration"))
        found = _segments(video_id, split, entry.get("annotations"), path)
        segments += [one for one in found if _usable(one, seconds[video_id], findings)]
    return _unrepeated(segments, findings), seconds


def _segments(video_id: str, split: str, rows: Any, path: Path) -> Iterator[Segment]:
    for index, row in enumerate(rows if isinstance(rows, list) else []):
        row = row if isinstance(row, dict) else {}
        times = row.get("segment")
        start, end = times if isinstance(times, list) and len(times) == 2 else (None, None)
        where = f"{path}: {video_id}: annotation {row.get('id', index)}"
        caption = str(row.get("sentence") or "")
        yield Segment(video_id, split, as_number(start), as_number(end), caption, where)


def read_retrieval(path: Path, findings: Findings) -> list[Segment]:
    """Return the validation segments of the retrieval csv; raise InputError when it is another file.

    Two rows with the same times and different texts are two clips, as in the benchmark.
    """
    table = read_csv(path, COLUMNS)
    rows = zip(*(table[column] for column in COLUMNS), strict=True)
    segments = [
        Segment(video_id, "validation", as_number(start), as_number(end), text, f"{path}: line {line}")
        for line, (video_id, start, end, text) in enumerate(rows, start=2)
    ]
    return _unrepeated([one for one in segments if _usable(one, math.nan, findings)], findings)


def _training(segments: list[Segment], tested: list[Segment], findings: Findings) -> list[Segment]:
    held_out = {segment.video_id for segment in tested}
    for video_id in sorted({one.video_id for one in segments if one.split == "train"} & held_out):
        findings.add("repeated videos", f"{video_id}: is tested; its training annotations are left out")
    return [one for one in segments if one.split == "train" and one.video_id not in held_out]


def _usable(segment: Segment, seconds: float, findings: Findings) -> bool:
    if not segment.video_id.strip() or not segment.caption.strip():
        findings.add("unreadable rows", f"{segment.where}: no video_id or no text; left out")
        return False
    # Comparisons with NaN are false: unknown times are refused, an unknown length is not.
    if not 0 <= segment.start < segment.end < math.inf or segment.start >= seconds:
        times = f"from {segment.start} to {segment.end} of {seconds} s"
        findings.add("impossible times", f"{segment.where}: {times}; left out")
        return False
    return True


def _unrepeated(segments: list[Segment], findings: Findings) -> list[Segment]:
    kept: dict[tuple[Any, ...], Segment] = {}
    times = set()
    for segment in segments:
        time = (segment.video_id, segment.start, segment.end)
        if (*time, segment.caption) in kept:
            findings.add("repeated rows", f"{segment.where}: stands there before; left out")
            continue
        if time in times:
            findings.add("repeated times", f"{segment.where}: same times, other text; kept as its own clip")
        times.add(time)
        kept[(*time, segment.caption)] = segment
    return list(kept.values())
