"""The feature tree of HowTo100M: which files a video has, and what is in them.

A listing (csv, column `path`) names the videos, such as food_and_entertaining/video_j/jEyaTUyJ-rs; the last
part is the id. Below the folders of features lie, for each of them,

    <path>/<id>_2d.npz    or <path>_2d.npz      features [T, 2048], 1 per second
    <path>/<id>_3d.npz    or <path>/<id>.npz    features [T, 2048], 1.5 per second
    <path>/<id>_spec.npz                        arr_0 [40, T], 100 per second
"""

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from tqdm import tqdm

from multisk.errors import InputError
from multisk.features.store import Stream
from multisk.features.streams import PUBLISHED, STREAMS, checked_stream, nothing
from multisk.files import digest
from multisk.published.ahead import read_ahead
from multisk.published.npz import NpzArray


class Found(NamedTuple):
    """A file of a video, or what is wrong with it.

    length, dimension: how many features and how wide
    changed: when the file last was, in ns: a file that was replaced by one of the same shape is another
    """

    file: str = ""
    length: int = 0
    dimension: int = 0
    reason: str = ""
    changed: int = 0


@dataclass(frozen=True)
class HowtoTree:
    """Where the released features lie.

    appearance, motion, logmel: the folders that the paths of the listing start from; often the same one
    """

    appearance: Path
    motion: Path
    logmel: Path

    def resolve(self) -> "HowtoTree":
        """Return the same tree by absolute paths, which hold wherever the index is read."""
        return HowtoTree(*(folder.resolve() for folder in (self.appearance, self.motion, self.logmel)))

    def folder(self, stream: str) -> Path:
        """Return the folder of a stream."""
        return Path(getattr(self, stream))

    def find(self, video_id: str, path: str, stream: str, check_values: bool) -> Found:
        """Look at the header of a video's file, or at all of its values."""
        declared = STREAMS[stream]
        names = [name.format(path=path, id=video_id) for name in declared.files]
        files = [self.folder(stream) / name for name in names]
        file = next((file for file in files if file.is_file()), None)
        if file is None:
            return Found(reason=f"no file {names[0]}")
        try:
            array = NpzArray.open(file, declared.key)
            if check_values and not np.isfinite(array.read()).all():
                return Found(str(file), reason=f"{file}: {declared.key}: not finite")
        except InputError as error:
            return Found(str(file), reason=str(error))
        shape = array.shape[::-1] if declared.time_last else array.shape
        if len(shape) != 2 or declared.dimension not in (None, shape[1]):
            what = f"shape {array.shape} is not that of {stream} features"
            return Found(str(file), reason=f"{file}: {declared.key}: {what}")
        return Found(str(file), *shape, changed=file.stat().st_mtime_ns)


Scan = dict[str, dict[str, Found]]


def scan(tree: HowtoTree, listed: dict[str, str], log: Path, check_values: bool = False) -> Scan:
    """Look at the headers of all files of all listed videos, or (reading everything) at all values.

    What is found goes to the file `log` at once; a killed scan goes on there. Videos of which something was
    missing or damaged are looked at again: by then it may be there (a disk mounted, a file mended).
    """

    def look(video_id: str) -> dict[str, Found]:
        return {name: tree.find(video_id, listed[video_id], name, check_values) for name in PUBLISHED}

    log.parent.mkdir(parents=True, exist_ok=True)
    identity = digest([str(tree), listed, check_values])
    found = _read_log(log, identity)
    todo = [video_id for video_id in listed if video_id not in found]
    bar = tqdm(total=len(listed), initial=len(found), desc="scan", unit="video", disable=None)
    with bar, log.open("a" if found else "w") as file:
        if not found:
            file.write(json.dumps(identity))
        for video_id, streams in read_ahead(look, todo):
            found[video_id] = streams
            file.write(f"\n{json.dumps([video_id, streams])}")
            bar.update()
    return {video_id: found[video_id] for video_id in listed}


def _read_log(path: Path, identity: str) -> Scan:
    lines = path.read_text().split("\n") if path.is_file() else [""]
    found: Scan = {}
    if lines[0] != json.dumps(identity):
        return found
    for line in lines[1:]:
        try:
            video_id, streams = json.loads(line)
        except ValueError:
            continue  # cut in two by a kill
        found[video_id] = {name: Found(*values) for name, values in streams.items()}
    return {
        video_id: streams
        for video_id, streams in found.items()
        if not any(one.reason for one in streams.values())
    }


def dimensions_of(scanned: Scan) -> dict[str, int]:
    """Return the width that most files of each stream have; raise InputError when there is no file of one."""
    dimensions = {}
    for stream in PUBLISHED:
        widths = Counter(streams[stream].dimension for streams in scanned.values() if streams[stream].length)
        if not widths:
            reasons = [streams[stream].reason for streams in scanned.values()]
            raise InputError(f"no usable {stream} features of {len(reasons)} videos; the first: {reasons[0]}")
        dimensions[stream] = widths.most_common(1)[0][0]
    return dimensions


def described(found: Found, stream: str, dimension: int) -> tuple[str, str]:
    """Return the status of a stream in the index, and the reason: as `checked_stream`, without the values."""
    missing = STREAMS[stream].missing
    if found.reason:
        return "failed" if found.file else missing, found.reason
    if not found.length:
        return missing, f"no {stream} features"
    if found.dimension != dimension:
        return "failed", f"{stream} has {found.dimension} dimensions, expected {dimension}"
    return "ok", ""


def read_streams(streams: dict[str, Found], dimensions: dict[str, int]) -> dict[str, Stream]:
    """Read and check all the features of a video, as half precision, time first."""
    return {name: _read_stream(name, streams[name], dimensions[name]) for name in PUBLISHED}


def _read_stream(name: str, found: Found, dimension: int) -> Stream:
    status, reason = described(found, name, dimension)
    if status != "ok":
        return nothing(name, dimension, status, reason)
    try:
        values: Any = NpzArray.open(Path(found.file), STREAMS[name].key).read()
    except InputError as error:
        return nothing(name, dimension, "failed", str(error))
    values = np.ascontiguousarray(values.T) if STREAMS[name].time_last else values
    return checked_stream(name, values, dimension)
