"""What is said in a video, and the spans of it that become training clips (paper: inputs; as released)."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class Narrations(NamedTuple):
    """The captions of a video in order of `starts`.

    starts, ends: float [n], seconds; captions may overlap
    texts: n strings
    """

    starts: np.ndarray
    ends: np.ndarray
    texts: Sequence[str]


class Span(NamedTuple):
    """A clip in time, all in seconds; `text` is empty where nothing is said."""

    start: float
    end: float
    text: str
    audio_start: float
    audio_end: float


def sample_span(
    narrations: Narrations, duration: float, seconds: float, rng: np.random.RandomState, shift_audio: bool
) -> Span:
    """Draw a span of at least `seconds` from a video of `duration` seconds.

    A window is drawn evenly; the caption that its start lies in, else the one that its end lies in,
    becomes the clip (`grow_caption`); a window whose borders lie in no caption is a clip without text.
    """
    start = rng.uniform(0, max(0.0, duration - seconds))
    caption = caption_at(narrations, start, start + seconds)
    if caption is None:
        return Span(start, start + seconds, "", start, start + seconds)
    return captioned_span(narrations, caption, seconds, rng, shift_audio)


def caption_at(narrations: Narrations, *times: float) -> int | None:
    """Return the caption that the first of `times` lies in, else the next, else None.

    Where captions overlap only the last one that starts before the time is looked at.
    """
    for time in times if len(narrations.starts) else ():
        index = max(0, int(np.searchsorted(narrations.starts, time)) - 1)
        if narrations.starts[index] <= time <= narrations.ends[index]:
            return index
    return None


def captioned_span(
    narrations: Narrations, caption: int, seconds: float, rng: np.random.RandomState, shift_audio: bool
) -> Span:
    """Make a clip of a caption.

    shift_audio: hear `seconds` from half of that later than the text starts. The release meant to
        toss a coin between later and earlier; its coin, which is still tossed, always says later.
    """
    order = grow_caption(narrations, caption, seconds)
    start, end = float(narrations.starts[min(order)]), float(narrations.ends[max(order)])
    text = " ".join(narrations.texts[index] for index in order)
    if not shift_audio:
        return Span(start, end, text, start, end)
    rng.rand()
    return Span(start, end, text, start + seconds / 2, start + seconds / 2 + seconds)


def grow_caption(narrations: Narrations, caption: int, seconds: float) -> list[int]:
    """Return the captions that last `seconds` together, starting with `caption`.

    Each step takes in the neighbour with which the whole is shorter (the earlier one if equal), so the
    words come in the order of joining, not of time. Stops early when nothing is left to take in.
    """
    starts, ends = narrations.starts, narrations.ends
    first = last = caption
    order = [caption]
    while ends[last] - starts[first] < seconds and len(order) < len(starts):
        with_earlier = ends[last] - starts[first - 1] if first > 0 else np.inf
        with_later = ends[last + 1] - starts[first] if last + 1 < len(starts) else np.inf
        if with_earlier <= with_later:
            first -= 1
            order.append(first)
        else:
            last += 1
            order.append(last)
    return order
