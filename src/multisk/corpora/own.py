"""Anybody's video files as a corpus: no captions, no splits, clips of equal length."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from multisk.corpora.manifest import CLIP_COLUMNS, Corpus, write_corpus
from multisk.errors import InputError

log = logging.getLogger(__name__)

ENDINGS = {".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".ogv", ".ts", ".webm", ".wmv"}


def find_videos(videos: Path) -> tuple[list[Path], list[str]]:
    """Return the video files below a folder, sorted, and a line about each that cannot be one of a corpus.

    Raises InputError when the folder is none, or there is no video file.
    """
    if not videos.exists():
        raise InputError(f"{printable(videos)}: no such folder; name the folder of the videos")
    if not videos.is_dir():
        raise InputError(f"{printable(videos)}: is a file; name its folder")
    found = sorted(path for path in videos.rglob("*") if path.suffix.lower() in ENDINGS)
    reasons = {path: _unusable(path) for path in found}
    files = [path for path in found if not reasons[path]]
    left_out = [f"{printable(path)}: {reason}; left out" for path, reason in reasons.items() if reason]
    if not files:
        more = f" ({left_out[0]})" if left_out else ""
        raise InputError(
            f"{printable(videos)}: no video files; their names end in {', '.join(sorted(ENDINGS))}{more}"
        )
    return files, left_out


def printable(path: Path) -> str:
    """Return a path as text; bytes of its name that are no UTF-8 are escaped."""
    return str(path).encode(errors="backslashreplace").decode()


def register_videos(videos: Path, folder: Path) -> Corpus:
    """List the video files below `videos`, which stay where they are, as a corpus without clips yet.

    Files that cannot be used are named and counted. Raises InputError when there are none.
    """
    files, left_out = find_videos(videos)
    for line in left_out:
        log.warning("%s", line)
    if left_out:
        log.warning("%s: %d of %d files left out", videos, len(left_out), len(left_out) + len(files))
    table = pd.DataFrame(
        {
            "video_id": [str(path.relative_to(videos)) for path in files],
            "path": [str(path.resolve()) for path in files],
            "split": "test",
            "seconds": float("nan"),  # known once they are decoded
        }
    )
    source = {"videos": str(videos.resolve())}
    return write_own(folder, videos.name, table, pd.DataFrame([], columns=list(CLIP_COLUMNS)), source)


def _unusable(path: Path) -> str:
    """Say why a path that is named like a video cannot be used; nothing if it can."""
    if path.is_dir():
        return "is a folder"
    if path.is_symlink() and not path.exists():
        return "a link to nothing"
    if not path.is_file():
        return "not a file"
    try:
        f"{path}{path.resolve()}".encode()
    except UnicodeEncodeError:
        return "its name is not UTF-8; rename it"
    return ""


def write_own(
    folder: Path, name: str, videos: pd.DataFrame, clips: pd.DataFrame, source: Mapping[str, Any]
) -> Corpus:
    """Write the manifests of somebody's own videos."""
    return write_corpus(
        folder,
        name=name,
        role="captioned",
        description="Own videos",
        videos=videos,
        clips=clips,
        source=source,
    )
