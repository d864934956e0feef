"""The streams of features, a declaration each, and published arrays checked against it.

A further stream is an entry of STREAMS and the file that makes its features.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from multisk.features.audio import BANDS, FRAMES_PER_SECOND
from multisk.features.store import Stream


@dataclass(frozen=True)
class Declared:
    """What is known of a stream before there are any features.

    rate: features per second, as published; a store says its own
    dimension: None where a network decides
    files, key: HowTo100M's files of it, the likeliest first, and the array in them; none if it has none
    """

    kind: Literal["video", "audio"]
    rate: float
    dimension: int | None = None
    files: tuple[str, ...] = ()
    key: str = "features"

    @property
    def missing(self) -> Literal["absent", "failed"]:
        """What it means for a video to be without: films may be silent, but have pictures."""
        return "absent" if self.kind == "audio" else "failed"

    @property
    def time_last(self) -> bool:
        """Whether HowTo100M's files have it as [D, T], as they have sound, instead of [T, D]."""
        return self.kind == "audio"


AUDIO_STREAM = "logmel"
STREAMS = {
    "appearance": Declared("video", 1.0, files=("{path}/{id}_2d.npz", "{path}_2d.npz")),
    "motion": Declared("video", 1.5, files=("{path}/{id}_3d.npz", "{path}/{id}.npz")),
    AUDIO_STREAM: Declared(
        "audio", FRAMES_PER_SECOND, dimension=BANDS, files=("{path}/{id}_spec.npz",), key="arr_0"
    ),
}
PUBLISHED = tuple(name for name, declared in STREAMS.items() if declared.files)


def video_streams(there: Collection[str]) -> list[str]:
    """Return which of some streams are made of pictures, in the order in which tokens have them."""
    return [name for name, declared in STREAMS.items() if declared.kind == "video" and name in there]


def nothing(name: str, dimension: int, status: Any, reason: str) -> Stream:
    """Return a stream without features."""
    return Stream(np.zeros((0, dimension), np.float16), STREAMS[name].rate, status, reason)


def checked_stream(name: str, values: Any, dimension: int) -> Stream:
    """Make a stream of an array [n, D], time first, as published (any float, stored as half).

    What cannot be used gives a stream of status "failed" with the reason; missing sound is "absent".
    """
    if values is None or np.size(values) == 0:
        return nothing(name, dimension, STREAMS[name].missing, f"no {name} features")
    problem = _problem(values, dimension)
    if problem:
        return nothing(name, dimension, "failed", f"{name} {problem}")
    with np.errstate(over="ignore"):
        half = np.asarray(values).astype(np.float16)
    if not np.isfinite(half).all():
        return nothing(name, dimension, "failed", f"{name} features are not finite in half precision")
    return Stream(half, STREAMS[name].rate)


def _problem(values: Any, dimension: int) -> str:
    if not isinstance(values, np.ndarray) or values.dtype.kind not in "fiu":
        return f"is no array of numbers ({type(values).__name__})"
    if values.ndim != 2 or values.shape[1] != dimension:
        return f"has shape {values.shape}, expected (n, {dimension})"
    return ""


def seconds_of(lengths: dict[str, int]) -> float:
    """Return how long a video lasts of which all these features are: the longest of its streams."""
    return max((length / STREAMS[name].rate for name, length in lengths.items()), default=0.0)
