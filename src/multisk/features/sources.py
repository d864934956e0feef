"""What each video of a store was made from: sources.parquet beside its features.

video_id, path (as in the corpus), bytes and modified (ns) of the file before it was read, and the
fingerprint of the extractors

When a corpus has changed, the features of the videos that have not are still good.
"""

from collections.abc import Collection
from pathlib import Path

import pandas as pd
import pyarrow as pa

from multisk.corpora.manifest import Corpus
from multisk.errors import InputError, one_line
from multisk.files import replacing

SOURCES = "sources.parquet"
COLUMNS = ["video_id", "path", "bytes", "modified", "extractors"]


def sources_of(corpus: Corpus, extractors: str) -> pd.DataFrame:
    """Return what features would be made from that are made now; bytes are -1 for a missing file."""
    rows = [
        (video_id, path, *_status(corpus.folder / path), extractors)
        for video_id, path in zip(corpus.videos["video_id"], corpus.videos["path"], strict=True)
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


def unchanged(folder: Path, now: pd.DataFrame) -> set[str]:
    """Return the videos whose features in a store, if it has them, were made from the same."""
    return set(_read(folder).merge(now, on=COLUMNS)["video_id"])


def made_with(folder: Path, extractors: str) -> bool:
    """Say whether a store has features that were made with these extractors."""
    return extractors in set(_read(folder)["extractors"])


def write_sources(folder: Path, now: pd.DataFrame, todo: Collection[str]) -> None:
    """Note what the videos `todo` are made from; what is known of the others stays."""
    before = _read(folder)
    others = before[before["video_id"].isin(now["video_id"]) & ~before["video_id"].isin(todo)]
    table = pd.concat([others, now[now["video_id"].isin(todo)]], ignore_index=True)
    if not table.equals(before):
        with replacing(folder / SOURCES) as temporary:
            table.to_parquet(temporary, index=False)


def _status(path: Path) -> tuple[int, int]:
    try:
        status = path.stat()
    except OSError:
        return -1, 0
    return status.st_size, status.st_mtime_ns


def _read(folder: Path) -> pd.DataFrame:
    path = folder / SOURCES
    if not path.is_file():
        return pd.DataFrame({name: [] for name in COLUMNS}).astype({"bytes": "int64", "modified": "int64"})
    try:
        return pd.read_parquet(path)[COLUMNS]
    except (pa.ArrowException, OSError, ValueError, KeyError) as error:
        raise InputError(f"{path}: damaged ({one_line(error)}); delete it, extract again") from None
