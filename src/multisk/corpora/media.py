"""The video files that somebody has of a published data set, by id."""

import math
from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from multisk.corpora.manifest import VIDEO_COLUMNS
from multisk.corpora.own import find_videos
from multisk.published.findings import Findings


def find_media(folder: Path, findings: Findings) -> dict[str, Path]:
    """Return id -> absolute path of the video files below a folder; the id is the name without its ending.

    Of several files with the same id the first one is taken. Raises InputError when there is no file.
    """
    found: dict[str, Path] = {}
    files, left_out = find_videos(folder)
    for line in left_out:
        findings.add("unusable files", line)
    for path in files:
        if path.stem in found:
            findings.add("repeated files", f"{path}: {found[path.stem]} has the same id; left out")
        else:
            found[path.stem] = path.resolve()
    return found


def header_seconds(path: Path) -> float:
    """Return how long a file says it lasts; NaN when it does not say, or cannot be opened."""
    import av

    try:
        with av.open(str(path), metadata_errors="replace") as container:
            return container.duration / av.time_base if container.duration else math.nan
    except (av.FFmpegError, OSError, ValueError):
        return math.nan


def video_table(rows: Iterable[tuple[str, Path, str, float]]) -> pd.DataFrame:
    """Return the rows of videos.parquet: id, file, split, seconds."""
    texts = [(video_id, str(path), split, seconds) for video_id, path, split, seconds in rows]
    return pd.DataFrame(texts, columns=list(VIDEO_COLUMNS))
