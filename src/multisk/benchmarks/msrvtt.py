"""The clips of MSR-VTT from MSRVTT_data.json and the lists of the 1k-A split."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from multisk.benchmarks.msrvtt_pickles import read_test_list, read_train_list
from multisk.benchmarks.register import ListedClip, Listing
from multisk.errors import InputError
from multisk.published.findings import Findings
from multisk.published.tables import read_json


@dataclass
class Annotations:
    """MSRVTT_data.json: how long each video lasts (NaN: unknown), and its captions in order."""

    seconds: dict[str, float] = field(default_factory=dict)
    captions: dict[str, list[str]] = field(default_factory=dict)


def read_files(files: Mapping[str, Path], findings: Findings) -> Listing:
    """Read the clips of the 1k-A split, each of which is a whole file.

    files: `annotations`, MSRVTT_data.json (`videos` with video_id, start time, end time; `sentences` with
        video_id, caption); `test-list`, csv with video_id and sentence; `train-list`, csv with video_id,
        default all other videos
    Raises InputError for files that cannot be read.
    """
    annotations, test_list = files["annotations"], files["test-list"]
    test = read_test_list(test_list, findings)
    known = read_annotations(annotations, findings)
    train = _training(known, test, files.get("train-list"), findings)
    for video_id in test:
        if video_id not in known.seconds:
            findings.add("unknown ids", f"{test_list}: {video_id}: not in {annotations.name}; kept")
    clips = {video_id: ListedClip(video_id, "train", known.captions[video_id]) for video_id in train}
    clips |= {video_id: ListedClip(video_id, "test", [caption]) for video_id, caption in test.items()}
    return Listing(list(clips.values()), known.seconds)


def read_annotations(path: Path, findings: Findings) -> Annotations:
    """Read MSRVTT_data.json; what is odd in it is noted and left out.

    Raises InputError when it is not such a file.
    """
    content = read_json(path)
    for key in ("videos", "sentences"):
        if not isinstance(content, dict) or not isinstance(content.get(key), list):
            raise InputError(f"{path}: {key}: no such list; name MSRVTT_data.json")
    known = Annotations()
    for row in content["videos"]:
        video_id = row.get("video_id") if isinstance(row, dict) else None
        if not isinstance(video_id, str):
            findings.add("unreadable rows", f"{path}: videos: {str(row)[:80]}: no video_id; left out")
        elif video_id in known.seconds:
            findings.add("repeated rows", f"{path}: videos: {video_id} stands there before; left out")
        else:
            known.seconds[video_id] = _length(row, path, findings)
    _sentences(content["sentences"], path, known, findings)
    return known


def _sentences(rows: list[Any], path: Path, known: Annotations, findings: Findings) -> None:
    # Several people wrote the same sentence about a video: only a repeated sen_id is a repeated row.
    seen = set()
    for number, row in enumerate(rows):
        row = row if isinstance(row, dict) else {}
        video_id, caption, key = row.get("video_id"), row.get("caption"), row.get("sen_id", ("row", number))
        if not isinstance(caption, str) or not caption.strip():
            findings.add("unreadable rows", f"{path}: sentences: row {number}: no caption; left out")
        elif video_id not in known.seconds:
            findings.add("unknown ids", f"{path}: sentences: row {number}: {video_id!r} unknown; left out")
        elif str(key) in seen:
            findings.add("repeated rows", f"{path}: sentences: sen_id {key} stands there before; left out")
        else:
            seen.add(str(key))
            known.captions.setdefault(video_id, []).append(caption)


def _length(row: dict[str, Any], path: Path, findings: Findings) -> float:
    start, end = row.get("start time"), row.get("end time")
    if start is None and end is None:
        return math.nan
    if isinstance(start, int | float) and isinstance(end, int | float) and 0 < end - start < math.inf:
        return end - start
    line = f"{path}: videos: {row['video_id']}: from {start} to {end}; the file's own length is used"
    findings.add("impossible times", line)
    return math.nan


def _training(
    known: Annotations, test: dict[str, str], train_list: Path | None, findings: Findings
) -> list[str]:
    listed = list(known.seconds) if train_list is None else read_train_list(train_list)
    chosen = []
    for video_id in listed:
        if video_id in test:
            if train_list is not None:
                findings.add("repeated clips", f"{train_list}: {video_id}: is a test clip; left out")
        elif video_id not in known.captions:
            where = train_list or "annotations"
            findings.add("clips without captions", f"{where}: {video_id}: no sentence; left out")
        else:
            chosen.append(video_id)
    return chosen
