"""Batches for a GPU: frames of several videos side by side.

Every batch of a network has the same number of frames, the last ones filled up with black. A GPU chooses its
way of computing by the shape of a batch, and computes each row of it by itself: so of batches of one shape
it does not matter who else is in them, nor in which row; the tests check it to the last bit, where there is a
GPU. (Batches of one video each would leave a GPU idle: a short clip has ten frames.)
"""

from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

Made = tuple[str, Tensor]  # a video, and features [m, D] that follow those given out before


@dataclass
class _Waiting:
    """Frames of one size, in the order in which they came, and whose they are."""

    owners: deque[tuple[str, int]] = field(default_factory=deque)  # video, frames
    parts: list[Tensor] = field(default_factory=list)
    frames: int = 0


class Batches:
    """Gathers frames u8 [n, H, W, 3] of many videos and gives their features back, video by video.

    Args:
        network: maps frames [n, H, W, 3] to features [n / window, D], each row for itself.
        size: frames that go at a time, a multiple of `window`.
        window: frames that make one feature; what is left of a video is filled up with black frames.
    """

    def __init__(self, network: Callable[[Tensor], Tensor], size: int, window: int = 1) -> None:
        assert size % window == 0, (size, window)
        self._network, self._size, self._window = network, size, window
        self._waiting: dict[tuple[int, ...], _Waiting] = {}
        self._left: Counter[str] = Counter()

    def __contains__(self, video_id: str) -> bool:
        """Whether frames of a video wait."""
        return self._left[video_id] > 0

    def add(self, video_id: str, frames: Tensor) -> Iterator[Made]:
        """Add frames that follow those added before; give what got done."""
        frames = _filled(frames, -len(frames) % self._window)
        waiting = self._waiting.setdefault(tuple(frames.shape[1:]), _Waiting())
        waiting.owners.append((video_id, len(frames)))
        waiting.parts.append(frames)
        waiting.frames += len(frames)
        self._left[video_id] += len(frames)
        while waiting.frames >= self._size:
            yield from self._run(waiting)

    def flush(self) -> Iterator[Made]:
        """Give what waits for a full batch."""
        for waiting in self._waiting.values():
            while waiting.frames:
                yield from self._run(waiting)
        self._waiting.clear()

    def _run(self, waiting: _Waiting) -> Iterator[Made]:
        together = torch.cat(waiting.parts)
        batch, rest = together[: self._size], together[self._size :]
        features = self._network(_filled(batch, self._size - len(batch)))
        waiting.parts, waiting.frames = [rest], len(rest)
        start = 0
        while start < len(batch):
            video_id, frames = waiting.owners.popleft()
            taken = min(frames, len(batch) - start)
            if taken < frames:
                waiting.owners.appendleft((video_id, frames - taken))
            self._left[video_id] -= taken
            yield video_id, features[start // self._window : (start + taken) // self._window]
            start += taken


def repeatable() -> Any:
    """Return a context in which a GPU computes batches of one shape in one way."""
    return torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False)


def _filled(frames: Tensor, missing: int) -> Tensor:
    return torch.cat([frames, frames.new_zeros(missing, *frames.shape[1:])]) if missing else frames
