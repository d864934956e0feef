"""Writes published features into the project's store: half precision, resumable, verified.

While a video is packed, a checksum of each stream goes to checksums.jsonl, one line a video; afterwards all
that the store gives back is compared with them. That reads the store once and the source never again.
"""

import json
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
from tqdm import tqdm

from multisk.errors import InputError
from multisk.features.store import FeatureStore, StoreWriter, Stream
from multisk.features.streams import seconds_of
from multisk.published.ahead import read_ahead

Checksums = dict[str, dict[str, int]]
CHECKSUMS = "checksums.jsonl"


def pack(
    video_ids: Iterable[str],
    read: Callable[[str], dict[str, Stream]],
    out: Path,
    *,
    fingerprint: str,
    shard_megabytes: float,
) -> FeatureStore:
    """Write the streams that `read` gives for each video to the store in `out`, and verify it.

    Goes on where an earlier call with the same `fingerprint` was stopped.
    Raises InputError when the store does not give back what was written.
    """
    videos = list(video_ids)
    with StoreWriter(out, shard_megabytes, fingerprint) as writer:
        todo = [video for video in videos if video not in writer]
        lines: list[str] = []
        bar = tqdm(
            total=len(videos), initial=len(videos) - len(todo), desc="pack", unit="video", disable=None
        )
        for video, streams in read_ahead(read, todo):
            lengths = {name: len(stream.features) for name, stream in streams.items()}
            writer.add(video, seconds_of(lengths), streams)
            lines.append(json.dumps([video, {name: _checksum(s.features) for name, s in streams.items()}]))
            bar.update()
            if writer.full:
                lines = _append(out / CHECKSUMS, lines)
                writer.flush()
        bar.close()
        _append(out / CHECKSUMS, lines)
    store = FeatureStore.open(out)
    verify(store, videos)
    return store


def verify(store: FeatureStore, videos: Iterable[str]) -> None:
    """Compare a packed store with its checksums; raise InputError, naming the first video that differs."""
    sums = _read_sums(store.folder / CHECKSUMS)
    for video in tqdm(list(videos), desc="verify", unit="video", disable=None):
        found = {name: _checksum(store.read(video, name)) for name in sums.get(video, {})}
        if not found or found != sums[video]:
            raise InputError(
                f"{store.folder}: video {video} is not what was packed; delete the folder, import again"
            )


def _checksum(features: np.ndarray) -> int:
    return zlib.crc32(np.ascontiguousarray(features, np.float16).tobytes())


def _append(path: Path, lines: list[str]) -> list[str]:
    # A line that a kill cut in two must not swallow the next one.
    with path.open("a") as file:
        file.write("".join(f"\n{line}" for line in lines))
    return []


def _read_sums(path: Path) -> Checksums:
    sums: Checksums = {}
    for line in path.read_text().splitlines() if path.is_file() else []:
        try:
            video, values = json.loads(line)
        except ValueError:
            continue
        sums[video] = values
    return sums
