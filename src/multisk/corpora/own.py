"""Anybody's video files as a corpus: no captions, no splits, clips of equal length."""

from math import ceil
from pathlib import Path

import pandas as pd

from multisk.corpora.manifest import CLIP_COLUMNS, Corpus, write_corpus
from multisk.errors import InputError
from multisk.features.store import FeatureStore

ENDINGS = {".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".ogv", ".ts", ".webm", ".wmv"}


def register_videos(videos: Path, folder: Path) -> Corpus:
    """List the video files below `videos`, which stay where they are, as a corpus without clips yet.

    Raises InputError when there are none.
    """
    files = sorted(path for path in videos.rglob("*") if path.suffix.lower() in ENDINGS)
    if not files:
        raise InputError(f"{videos}: no video files; their names end in {', '.join(sorted(ENDINGS))}")
    table = pd.DataFrame(
        {
            "video_id": [str(path.relative_to(videos)) for path in files],
            "path": [str(path.resolve()) for path in files],
            "split": "test",
            "seconds": float("nan"),  # known once they are decoded
        }
    )
    return _write(folder, videos.name, table, pd.DataFrame([], columns=list(CLIP_COLUMNS)))


def cut_clips(corpus: Corpus, store: FeatureStore, seconds: float) -> Corpus:
    """Cut the videos that have features into clips of `seconds`, the last one shorter; list these."""
    known = store.status.drop_duplicates("video_id").set_index("video_id")["seconds"]
    rows = []
    for video_id in store.videos():
        length = float(known[video_id])
        for number in range(max(1, ceil(length / seconds))):
            start = number * seconds
            end = max(min(length, start + seconds), start + 1e-3)
            rows.append((f"{video_id}@{start:g}", video_id, start, end, "test", [""]))
    videos = corpus.videos.assign(seconds=corpus.videos["video_id"].map(known))
    return _write(corpus.folder, corpus.name, videos, pd.DataFrame(rows, columns=list(CLIP_COLUMNS)))


def _write(folder: Path, name: str, videos: pd.DataFrame, clips: pd.DataFrame) -> Corpus:
    return write_corpus(
        folder, name=name, role="captioned", description="Own videos", videos=videos, clips=clips
    )
