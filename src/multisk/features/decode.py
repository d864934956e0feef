"""Media files to frames at fixed times and to a waveform, in one pass over the file.

Time 0 is the start of the container. The frame "at" time t is the last one whose timestamp is not
after t (the first one, if t lies before it), so variable frame rates, late starts and headers without
a duration need no special case.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.video.reformatter import Interpolation, VideoReformatter

from multisk.errors import InputError
from multisk.features.audio import SAMPLE_RATE

LARGEST_ASPECT = 16
# Slides stay for minutes; hours are a timestamp gone wrong, and would be filled frame by frame.
LONGEST_GAP = 1800  # seconds that one frame may be shown
ROUNDING = Fraction(1, 2000)  # Matroska counts in milliseconds: its frames come up to half of one late
SCALING = Interpolation.BICUBIC | Interpolation.ACCURATE_RND | Interpolation.BITEXACT


@dataclass(frozen=True)
class Sampling:
    """Which frames are wanted: those at times k / frames_per_second, k = 0, 1, ... while the video lasts.

    They are scaled so that the shorter side has `short_side` pixels; `crop` keeps the central square.
    """

    frames_per_second: float
    short_side: int
    crop: bool = False


class MediaReader:
    """Iterates over (name, frame u8 [height, width, 3] RGB) for several samplings of one file at once.

    The frames of each sampling come in order of time. After the last one `seconds` is the length of the
    video, `promised` what the file says of it (NaN if nothing), and `waveform` the first audio track as f32
    [samples], mono, 16 kHz (None without one).
    Rotated videos are turned upright; of several tracks the one that FFmpeg holds for the best is read.

    Raises InputError, with the reason but without the file's name, when the file cannot be opened, has no
    frames, has none for more than LONGEST_GAP, or is damaged: what lies before the damage has been given out
    by then and should be thrown away.
    """

    def __init__(self, path: Path | str, samplings: Mapping[str, Sampling]) -> None:
        self.path = Path(path)
        self.seconds, self.promised = 0.0, math.nan
        self.waveform: np.ndarray | None = None
        self._clocks = {name: _Clock(sampling) for name, sampling in samplings.items()}
        self._end = Fraction(0)

    def __iter__(self) -> Iterator[tuple[str, np.ndarray]]:
        try:
            with av.open(str(self.path), metadata_errors="replace") as container:
                yield from self._decode(container)
        except (av.FFmpegError, OSError, ValueError, MemoryError) as error:
            if isinstance(error, InputError):
                raise
            where = f"damaged after {float(self._end):.2f} s" if self._end else "cannot be read as video"
            raise InputError(f"{where} ({_name(error)})") from None

    def _decode(self, container: Any) -> Iterator[tuple[str, np.ndarray]]:
        video, audio = container.streams.best("video"), container.streams.best("audio")
        if video is None:
            raise InputError("no video track")
        # One thread a file: files are decoded side by side, pools of threads would compete.
        for stream in filter(None, (video, audio)):
            stream.codec_context.thread_count = 1
        origin = Fraction(container.start_time or 0, av.time_base)
        track = _Track()
        for packet in container.demux(*filter(None, (video, audio))):
            for frame in packet.decode():
                if packet.stream is audio:
                    track.add(frame, origin)
                else:
                    yield from self._show(frame, _time(frame, video, origin, self._end), video)
        if not self._end:
            raise InputError("no frame in the video track")
        for name, clock in self._clocks.items():
            yield from ((name, image) for image in clock.finish(self._end))
        self.seconds, self.waveform = float(self._end), track.finish()
        self.promised = self._promise(container, video)

    def _promise(self, container: Any, video: Any) -> float:
        if video.duration:
            return float(video.duration * video.time_base)
        # This counts for the longest track, which may be the sound.
        heard = 0.0 if self.waveform is None else len(self.waveform) / SAMPLE_RATE
        whole = container.duration / av.time_base if container.duration else math.nan
        return whole - max(heard - self.seconds, 0)

    def _show(self, frame: Any, time: Fraction, video: Any) -> Iterator[tuple[str, np.ndarray]]:
        end = max(self._end, time + _duration(frame, video, time - self._end))
        if end - self._end > LONGEST_GAP:
            raise InputError(
                f"one frame for all of {float(self._end):.2f} s to {float(end):.2f} s: longer than "
                f"{LONGEST_GAP} s, its timestamps are taken for wrong"
            )
        self._end = end
        for name, clock in self._clocks.items():
            yield from ((name, image) for image in clock.show(frame, time))


class _Clock:
    """Gives out the frames of one sampling while the video's frames pass by."""

    def __init__(self, sampling: Sampling) -> None:
        self._sampling = sampling
        self._period = 1 / Fraction(sampling.frames_per_second).limit_denominator(1001)
        self._next = Fraction(0)
        self._shown: Any = None
        self._image: np.ndarray | None = None
        self._size: tuple[int, int] | None = None
        self._reformatter = VideoReformatter()

    def show(self, frame: Any, time: Fraction) -> Iterator[np.ndarray]:
        if self._shown is not None:
            yield from self._until(time)
        self._shown, self._image = frame, None

    def finish(self, end: Fraction) -> Iterator[np.ndarray]:
        yield from self._until(end)

    def _until(self, time: Fraction) -> Iterator[np.ndarray]:
        while self._next < time - ROUNDING:
            if self._image is None:
                self._image = self._render(self._shown)
            yield self._image
            self._next += self._period

    def _render(self, frame: Any) -> np.ndarray:
        # The first frame decides the size, for streams that change theirs midway.
        if self._size is None:
            self._size = target_size(frame.width, frame.height, self._sampling.short_side)
        width, height = self._size
        scaled = self._reformatter.reformat(frame, width, height, "rgb24", interpolation=SCALING, threads=1)
        image = np.rot90(scaled.to_ndarray(), round(frame.rotation / 90))
        if self._sampling.crop:
            side = self._sampling.short_side
            top, left = (image.shape[0] - side) // 2, (image.shape[1] - side) // 2
            image = image[top : top + side, left : left + side]
        return np.ascontiguousarray(image)


class Mono:
    """Collects audio frames as mono samples at SAMPLE_RATE; their format may change midway."""

    def __init__(self) -> None:
        self._resampler: Any = None
        self._format: tuple[Any, ...] = ()
        self._parts: list[np.ndarray] = []

    def __len__(self) -> int:
        return len(self._parts)

    def add(self, frame: Any) -> None:
        """Add a frame that follows those added before."""
        found = (frame.format.name, frame.layout.name, frame.sample_rate)
        if found != self._format:
            # A resampler takes frames of one format only, and keeps back a few samples until it is drained.
            self._drain()
            self._resampler = av.AudioResampler(format="flt", layout="mono", rate=SAMPLE_RATE)
            self._format = found
        self._parts += [part.to_ndarray()[0] for part in self._resampler.resample(frame)]

    def add_silence(self, samples: int) -> None:
        """Add so many zeros; none for a negative number."""
        self._parts.append(np.zeros(max(samples, 0), np.float32))

    def finish(self) -> np.ndarray:
        """Return all samples, f32 [n]."""
        self._drain()
        return np.concatenate([np.zeros(0, np.float32), *self._parts])

    def _drain(self) -> None:
        if self._resampler is not None:
            self._parts += [part.to_ndarray()[0] for part in self._resampler.resample(None)]
            self._resampler = None


class _Track:
    """An audio track as mono samples, silent until its first timestamp."""

    def __init__(self) -> None:
        self._sound = Mono()

    def add(self, frame: Any, origin: Fraction) -> None:
        if not self._sound and frame.pts is not None:
            late = round((frame.pts * frame.time_base - origin) * SAMPLE_RATE)
            self._sound.add_silence(late)
        self._sound.add(frame)

    def finish(self) -> np.ndarray | None:
        return self._sound.finish() if self._sound else None


def frames(path: Path | str, sampling: Sampling) -> Iterator[np.ndarray]:
    """Return the frames of one sampling, u8 [height, width, 3] each; raises as `MediaReader` does."""
    return (image for _, image in MediaReader(path, {"": sampling}))


def target_size(width: int, height: int, short_side: int) -> tuple[int, int]:
    """Return (width, height) with the shorter side scaled to `short_side`, the other rounded down.

    Raises InputError for strips so narrow that the longer side would not fit into memory.
    """
    shorter, longer = min(width, height), max(width, height)
    if longer > LARGEST_ASPECT * shorter:
        raise InputError(f"{width} x {height} pixels: more than {LARGEST_ASPECT} times as long as wide")
    return width * short_side // shorter, height * short_side // shorter


def _time(frame: Any, video: Any, origin: Fraction, otherwise: Fraction) -> Fraction:
    # Raw streams have no timestamps: a frame without one follows the frame before it.
    return otherwise if frame.pts is None else frame.pts * (frame.time_base or video.time_base) - origin


def _duration(frame: Any, video: Any, gap: Fraction) -> Fraction:
    if frame.duration:
        return frame.duration * (frame.time_base or video.time_base)
    rate = video.average_rate or video.guessed_rate
    return 1 / Fraction(rate) if rate else max(gap, Fraction(1, 25))


def _name(error: BaseException) -> str:
    text = " ".join(str(getattr(error, "strerror", None) or error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
