"""Features on disk: few large shards, one index, random access to any slice.

    data/features/<corpus>/index.parquet            one row per video and stream
                           appearance-00000.safetensors, motion-00000.safetensors, ...
                           waiting-00000.safetensors, ...    videos without a shard; while one writes

A shard holds one half-precision tensor `features` [N, D], time first; videos follow each other.
The index is the commit point: it is replaced atomically after the shards that it names, so what a
killed writer left behind besides is overwritten by the next one. Its metadata hold a digest of what is in
the shards: whoever depends on features depends on the index, and need not read terabytes to see a change.
"""

import hashlib
import json
import logging
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from multisk.errors import InputError, one_line
from multisk.files import replacing

log = logging.getLogger(__name__)

Status = Literal["ok", "absent", "failed"]
REMEDY = "delete the folder, extract again"
COLUMNS = (
    "video_id", "stream", "shard", "offset", "length", "dimension", "rate", "seconds", "status", "reason",
)  # fmt: skip
WAITING = "waiting"


@dataclass(frozen=True)
class Stream:
    """One stream of a video.

    features: float [n, D]; [0, D] when there are none, so that D is known all the same
    rate: features per second
    status: "ok", "absent" (the file has no such track) or "failed" (`reason` says why)
    """

    features: np.ndarray
    rate: float
    status: Status = "ok"
    reason: str = ""


Added = tuple[str, str, float, Stream]  # video, name of the stream, seconds of the video, half precision


class FeatureStore:
    """Reads a folder of features; cheap to pickle, safe to use after fork and spawn."""

    def __init__(self, folder: Path, index: pd.DataFrame) -> None:
        self.folder = folder
        self.status = index
        self._rows: dict[str, dict[str, int]] = {}
        for row, (stream, video) in enumerate(zip(index["stream"], index["video_id"], strict=True)):
            self._rows.setdefault(stream, {})[video] = row
        self._shards = index["shard"].tolist()
        self._offsets, self._lengths = index["offset"].tolist(), index["length"].tolist()
        self._handles: dict[str, Any] = {}

    @classmethod
    def open(cls, folder: Path | str) -> Self:
        """Open a store; raise InputError when the index is missing, damaged or incomplete."""
        return cls(Path(folder), _read_index(Path(folder) / "index.parquet")[0])

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_handles": {}}

    def videos(self) -> list[str]:
        """Return the usable videos, in the order written: those of which no stream failed."""
        failed = set(self.status.loc[self.status["status"] == "failed", "video_id"])
        return [video for video in dict.fromkeys(self.status["video_id"]) if video not in failed]

    def streams(self) -> list[str]:
        """Return the names of the streams."""
        return list(self._rows)

    def length(self, video_id: str, stream: str) -> int:
        """Return the number of features of a video; 0 if the stream is absent, failed or unknown."""
        row = self._of(stream).get(video_id)
        return 0 if row is None else self._lengths[row]

    def rate(self, stream: str) -> float:
        """Return a stream's features per second."""
        return float(self._first(stream, "rate"))

    def dimension(self, stream: str) -> int:
        """Return the width D of a stream's features."""
        return int(self._first(stream, "dimension"))

    def read(self, video_id: str, stream: str, start: int = 0, stop: int | None = None) -> np.ndarray:
        """Return features `start` to `stop` of a video as f32 [n, D], reading nothing else.

        As with any slice, what lies outside 0..length is left out; a video without this stream gives [0, D].
        Raises InputError for a damaged shard and for values that are not finite.
        """
        length = self.length(video_id, stream)
        start, stop, _ = slice(start, stop).indices(length)
        if stop <= start:
            return np.zeros((0, self.dimension(stream)), np.float32)
        row = self._rows[stream][video_id]
        shard, offset = self._shards[row], self._offsets[row]
        features = self._slice(shard, offset + start, offset + stop)
        if not np.isfinite(features).all():
            raise InputError(f"{self.folder / shard}: {stream} of video {video_id} is not finite; {REMEDY}")
        return features.astype(np.float32)

    def _slice(self, shard: str, start: int, stop: int) -> np.ndarray:
        if shard not in self._handles:
            self._handles[shard] = _open_shard(self.folder / shard)
        features = self._handles[shard][start:stop]
        if len(features) != stop - start:
            raise InputError(f"{self.folder / shard}: shorter than the index says; {REMEDY}")
        return features

    def _of(self, stream: str) -> dict[str, int]:
        if stream not in self._rows:
            known = ", ".join(self._rows) or "none"
            raise InputError(f"{self.folder}: no stream {stream!r} in this store; there are: {known}")
        return self._rows[stream]

    def _first(self, stream: str, column: str) -> Any:
        return self.status[column].iloc[next(iter(self._of(stream).values()))]


class StoreWriter:
    """Appends videos to a store and goes on where an earlier writer was stopped.

    Shards are written together, once the videos since the last ones weigh `shard_megabytes`, or by `flush`.
    `fingerprint` says what the features were made from: of a folder with another fingerprint only the videos
    `keep` stay. `forget_failed` takes the videos of which a stream failed for videos that were never added.

    With `save_seconds` the videos that wait for a shard are saved that often, and when the block ends by an
    exception (Ctrl-C, say). The next writer takes them up; the shards do not tell of it.

        with StoreWriter(folder, shard_megabytes=64, fingerprint=digest) as writer:
            for video in videos:
                if video not in writer:
                    writer.add(video, seconds, {"logmel": Stream(mel, rate=100)})
    """

    def __init__(
        self,
        folder: Path | str,
        shard_megabytes: float = 64,
        fingerprint: str = "",
        *,
        forget_failed: bool = False,
        keep: Collection[str] = (),
        save_seconds: float | None = None,
    ) -> None:
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self._limit = shard_megabytes * 2**20
        self._fingerprint = fingerprint
        self._save_seconds, self._saved_at = save_seconds, time.monotonic()
        self._content, self._part = "", 0
        self._rows: list[dict[str, Any]] = []
        self._done: set[str] = set()
        self._pending: dict[str, list[np.ndarray]] = {}
        self._unsaved: list[Added] = []
        changed = [self._take_index(keep, forget_failed), *self._take_waiting(keep, forget_failed)]
        if any(changed):
            self._start_anew()
        elif self.full:
            self.flush()

    def __contains__(self, video_id: str) -> bool:
        return video_id in self._done

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.flush()
        elif self._save_seconds is not None:
            self.save()

    def add(self, video_id: str, seconds: float, streams: dict[str, Stream]) -> None:
        """Append a video with all of its streams; raise InputError for values that are not finite."""
        assert video_id not in self._done, f"{video_id} was added before"
        added = []
        for name, stream in streams.items():
            assert (stream.status == "ok") == bool(len(stream.features)), (video_id, name, stream.status)
            half = replace(stream, features=_half(video_id, name, stream))
            added.append((video_id, name, float(seconds), half))
        self._append(added)
        self._unsaved += added
        late = self._save_seconds is not None and time.monotonic() - self._saved_at >= self._save_seconds
        if late and not self.full:
            self.save()

    @property
    def full(self) -> bool:
        """Whether what waits to be written weighs a shard."""
        return sum(half.nbytes for halves in self._pending.values() for half in halves) >= self._limit

    def flush(self) -> None:
        """Write what was added since the last flush: first the shards, then the index that names them."""
        for stream, halves in self._pending.items():
            if any(len(half) for half in halves):
                path = self.folder / _name(stream, self._part)
                self._content = _save_shard(path, np.concatenate(halves), self._content)
        metadata = {"fingerprint": self._fingerprint, "content": self._content}
        write_index(self.folder, self._rows, metadata)
        self._pending, self._unsaved, self._saved_at = {}, [], time.monotonic()
        self._part += 1
        for saved in _waiting(self.folder):
            saved.unlink()

    def save(self) -> None:
        """Write what was added since the last save or flush to where the next writer takes it up."""
        if self._unsaved:
            number = 1 + max((_part(path.name) for path in _waiting(self.folder)), default=-1)
            _write_waiting(self.folder / _name(WAITING, number), self._fingerprint, self._unsaved)
        self._unsaved, self._saved_at = [], time.monotonic()

    def _append(self, added: Sequence[Added]) -> None:
        for video_id, name, seconds, stream in added:
            self._rows.append(self._row(video_id, name, seconds, stream))
            self._pending.setdefault(name, []).append(stream.features)
        self._done |= {video_id for video_id, *_ in added}

    def _row(self, video_id: str, name: str, seconds: float, stream: Stream) -> dict[str, Any]:
        values = (
            video_id, name, _name(name, self._part), sum(len(half) for half in self._pending.get(name, [])),
            *stream.features.shape, float(stream.rate), float(seconds), stream.status, stream.reason,
        )  # fmt: skip
        return dict(zip(COLUMNS, values, strict=True))

    def _take_index(self, keep: Collection[str], forget_failed: bool) -> bool:
        """Go on after the rows of the index; return whether they were made from something else."""
        index = self.folder / "index.parquet"
        if not index.is_file():
            return False
        table, metadata = _read_index(index)
        rows = [dict(zip(COLUMNS, row, strict=True)) for row in table[list(COLUMNS)].itertuples(index=False)]
        self._content = metadata["content"]
        # What is dropped counts: until the new index is written, the old one names those shards.
        self._part = 1 + max((_part(row["shard"]) for row in rows), default=-1)
        changed = metadata["fingerprint"] != self._fingerprint
        failed = {row["video_id"] for row in rows if row["status"] == "failed"} if forget_failed else set()
        for row in rows:
            if row["video_id"] not in failed and (not changed or row["video_id"] in keep):
                self._rows.append(row)
                self._done.add(row["video_id"])
        return changed

    def _take_waiting(self, keep: Collection[str], forget_failed: bool) -> Iterator[bool]:
        """Add again what a stopped writer saved; say of each file if it was made from something else."""
        for path in _waiting(self.folder):
            try:
                fingerprint, added = _read_waiting(path)
            except (SafetensorError, OSError, ValueError, KeyError) as error:
                log.warning("%s: damaged (%s); its videos are done again", path, one_line(error))
                continue
            changed = fingerprint != self._fingerprint
            unwanted = set(self._done)
            if forget_failed:
                unwanted |= {video_id for video_id, *_, stream in added if stream.status == "failed"}
            if changed:
                unwanted |= {video_id for video_id, *_ in added if video_id not in keep}
            self._append([one for one in added if one[0] not in unwanted])
            yield changed

    def _start_anew(self) -> None:
        """Let the folder say that it is made of what this writer adds, and hold no other shards."""
        if not self._done:
            self._content, self._part = "", 0
            for stale in _written(self.folder):
                stale.unlink()
            return
        self.flush()
        named = {row["shard"] for row in self._rows if row["status"] == "ok"}
        for shard in _shards(self.folder):
            if shard.name not in named:
                shard.unlink()


def fingerprint_of(folder: Path) -> str:
    """Return what the features of a folder say that they were made from; raise InputError as opening them."""
    return _read_index(folder / "index.parquet")[1]["fingerprint"]


def _written(folder: Path) -> Iterator[Path]:
    # The index goes first: without it the shards count as never written, whatever happens next.
    yield from folder.glob("index.parquet*")
    yield from _shards(folder)


def _shards(folder: Path) -> list[Path]:
    return list(folder.glob("*-[0-9][0-9][0-9][0-9][0-9].safetensors*"))


def _waiting(folder: Path) -> list[Path]:
    return sorted(folder.glob(f"{WAITING}-[0-9][0-9][0-9][0-9][0-9].safetensors"))


def _write_waiting(path: Path, fingerprint: str, added: Sequence[Added]) -> None:
    rows = [(video, name, seconds, s.rate, s.status, s.reason) for video, name, seconds, s in added]
    arrays = {str(row): stream.features for row, (*_, stream) in enumerate(added)}
    with replacing(path) as temporary:
        temporary.write_bytes(save(arrays, {"fingerprint": fingerprint, "rows": json.dumps(rows)}))


def _read_waiting(path: Path) -> tuple[str, list[Added]]:
    """Return the fingerprint and what `_write_waiting` was given."""
    with safe_open(path, framework="numpy") as file:
        written = file.metadata()
        rows = json.loads(written["rows"])
        return written["fingerprint"], [
            (video, name, seconds, Stream(file.get_tensor(str(row)), rate, status, reason))
            for row, (video, name, seconds, rate, status, reason) in enumerate(rows)
        ]


def _name(stream: str, part: int) -> str:
    return f"{stream}-{part:05d}.safetensors"


def _part(shard: str) -> int:
    return int(shard.removesuffix(".safetensors").rpartition("-")[2])


def _half(video_id: str, name: str, stream: Stream) -> np.ndarray:
    with np.errstate(over="ignore"):
        half = np.ascontiguousarray(stream.features, dtype=np.float16)
    assert half.ndim == 2, (video_id, name, half.shape)
    if not np.isfinite(half).all():
        raise InputError(
            f"video {video_id}: {name} features are not finite in half precision; check its weights"
        )
    return half


def _save_shard(path: Path, features: np.ndarray, before: str) -> str:
    """Write a shard; return the digest of it and of those `before`."""
    content = save({"features": features})
    with replacing(path) as temporary:
        temporary.write_bytes(content)
    digest = hashlib.sha256(before.encode())
    digest.update(content)
    return digest.hexdigest()


def _open_shard(path: Path) -> Any:
    if not path.is_file():
        raise InputError(f"{path}: shard named by the index is missing; {REMEDY}")
    try:
        return safe_open(path, framework="numpy").get_slice("features")
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path}: damaged shard ({' '.join(str(error).split())}); {REMEDY}") from None


def write_index(folder: Path, rows: Sequence[Any], metadata: Mapping[str, str]) -> None:
    """Replace the index by these rows, as COLUMNS names them."""
    table = pa.Table.from_pandas(pd.DataFrame(rows, columns=list(COLUMNS)), preserve_index=False)
    texts = {**(table.schema.metadata or {}), **metadata}
    with replacing(folder / "index.parquet") as temporary:
        pq.write_table(table.replace_schema_metadata(texts), temporary)


def _read_index(path: Path) -> tuple[pd.DataFrame, dict[str, str]]:
    if not path.is_file():
        raise InputError(f"{path}: no feature index; extract or import the features of this corpus first")
    try:
        table = pq.read_table(path)
    except (pa.ArrowException, OSError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{path}: damaged index ({reason}); {REMEDY}") from None
    missing = [column for column in COLUMNS if column not in table.column_names]
    if missing:
        raise InputError(f"{path}: index lacks column {missing[0]!r}; {REMEDY}")
    written = table.schema.metadata or {}
    return table.to_pandas(), {
        name: written.get(name.encode(), b"").decode() for name in ("fingerprint", "content")
    }
