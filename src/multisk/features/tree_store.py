"""Published features where they lie, read like the project's own store.

data/features/<corpus>/index.parquet   as in any store; `shard` names the video's own .npz file
                       tree.json       says that these files are elsewhere
"""

import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from multisk.errors import InputError
from multisk.features.howto_tree import Scan, described
from multisk.features.store import FeatureStore, write_index
from multisk.features.streams import PUBLISHED, STREAMS, seconds_of
from multisk.files import write_json
from multisk.published.npz import NpzArray

MARK = "tree.json"
MAPPED = 64  # files held open; a worker reads a few clips of one video, then of another


class TreeStore(FeatureStore):
    """Reads features from a HowTo100M tree; files that are not compressed are mapped, not read.

    The tree is never written to. An index that `write_tree_index` made says what is there. It knows the
    headers, not the values: a slice with values that are not finite is data that is missing.

    Attributes:
        unusable: how many slices of each video and stream were read that are not finite, by this process.
    """

    def __init__(self, folder: Path, index: pd.DataFrame) -> None:
        super().__init__(folder, index)
        self.unusable: Counter[tuple[str, str]] = Counter()

    def read(self, video_id: str, stream: str, start: int = 0, stop: int | None = None) -> np.ndarray:
        """Return features `start` to `stop` of a video as f32 [n, D], as `FeatureStore.read`.

        A slice that is not finite is empty, [0, D]; the first one of each video and stream is warned of.
        Raises InputError for a file that has changed since the import.
        """
        length = self.length(video_id, stream)
        nothing = np.zeros((0, self.dimension(stream)), np.float32)
        start, stop, _ = slice(start, stop).indices(length)
        if stop <= start:
            return nothing
        path = Path(self._shards[self._rows[stream][video_id]])
        features = self._array(path, stream, (length, self.dimension(stream)))[start:stop]
        values = np.ascontiguousarray(features, np.float32)
        if np.isfinite(values).all():
            return values
        if not self.unusable[video_id, stream]:
            warnings.warn(
                f"{path}: video {video_id}: {stream} is not finite in places; they count as empty",
                stacklevel=2,
            )
        self.unusable[video_id, stream] += 1
        return nothing

    def _array(self, path: Path, stream: str, shape: tuple[int, int]) -> np.ndarray:
        key = str(path)
        array = self._handles.pop(key, None)
        if array is None:
            array = NpzArray.open(path, STREAMS[stream].key).map()
            array = array.T if STREAMS[stream].time_last else array
            if array.shape != shape:
                raise InputError(f"{path}: {stream} has shape {array.shape}, had {shape}; import again")
            if len(self._handles) >= MAPPED:
                del self._handles[next(iter(self._handles))]
        self._handles[key] = array
        return array


def open_features(folder: Path | str) -> FeatureStore:
    """Open the features of a corpus, be they packed or in place; raise InputError as `FeatureStore.open`."""
    kind = TreeStore if (Path(folder) / MARK).is_file() else FeatureStore
    return kind.open(folder)


def write_tree_index(folder: Path, scanned: Scan, dimensions: dict[str, int], fingerprint: str) -> TreeStore:
    """Write the index of features that stay where they are, and open it."""
    rows = [
        _row(video_id, stream, streams, dimensions[stream])
        for video_id, streams in scanned.items()
        for stream in PUBLISHED
    ]
    folder.mkdir(parents=True, exist_ok=True)
    forget_tree(folder)
    write_json(folder / MARK, {"in_place": True, "videos": len(scanned)})
    write_index(folder, rows, {"fingerprint": fingerprint})
    return TreeStore.open(folder)


def forget_tree(folder: Path) -> None:
    """Remove an index of features in place, so that it is never taken for one of shards beside it."""
    if (folder / MARK).is_file():
        (folder / "index.parquet").unlink(missing_ok=True)
        (folder / MARK).unlink()


def _row(video_id: str, stream: str, streams: Any, dimension: int) -> tuple[Any, ...]:
    found = streams[stream]
    status, reason = described(found, stream, dimension)
    length = found.length if status == "ok" else 0
    rate = STREAMS[stream].rate
    seconds = seconds_of({name: one.length for name, one in streams.items()})
    return (video_id, stream, found.file, 0, length, dimension, rate, seconds, status, reason)
