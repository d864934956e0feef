"""Published arrays -> streams of a feature store, checked one by one."""

from typing import Any

import numpy as np

from multisk.features.store import Stream

RATES = {"appearance": 1.0, "motion": 1.5, "logmel": 100.0}  # features per second, as published
BANDS = 40


def nothing(name: str, dimension: int, status: Any, reason: str) -> Stream:
    """Return a stream without features."""
    return Stream(np.zeros((0, dimension), np.float16), RATES[name], status, reason)


def checked_stream(name: str, values: Any, dimension: int) -> Stream:
    """Make a stream of an array [n, D], time first, as published (any float, stored as half).

    What cannot be used gives a stream of status "failed" with the reason; missing sound is "absent".
    """
    if values is None or np.size(values) == 0:
        status = "absent" if name == "logmel" else "failed"
        return nothing(name, dimension, status, f"no {name} features")
    problem = _problem(values, dimension)
    if problem:
        return nothing(name, dimension, "failed", f"{name} {problem}")
    with np.errstate(over="ignore"):
        half = np.asarray(values).astype(np.float16)
    if not np.isfinite(half).all():
        return nothing(name, dimension, "failed", f"{name} features are not finite in half precision")
    return Stream(half, RATES[name])


def _problem(values: Any, dimension: int) -> str:
    if not isinstance(values, np.ndarray) or values.dtype.kind not in "fiu":
        return f"is no array of numbers ({type(values).__name__})"
    if values.ndim != 2 or values.shape[1] != dimension:
        return f"has shape {values.shape}, expected (n, {dimension})"
    return ""


def seconds_of(lengths: dict[str, int]) -> float:
    """Return how long a video lasts of which all these features are: the longest of its streams."""
    return max((length / RATES[name] for name, length in lengths.items()), default=0.0)
