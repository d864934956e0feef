"""Writing mp4 files: H.264 pictures, AAC sound."""

from collections.abc import Iterator
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

AUDIO_CHUNK = 1024  # samples of an AAC frame
# For the same bytes each time: one thread, no instructions that only some processors have, and no
# B-frames, whose choice reads memory that nobody has written when sides are no multiples of 16.
VIDEO_OPTIONS = {
    "preset": "veryfast",
    "crf": "26",
    "g": "48",
    "bf": "0",
    "threads": "1",
    "x264-params": "cpu-independent=1",
}


def write_mp4(
    path: Path,
    frames: Iterator[Image.Image],
    frames_per_second: int,
    size: tuple[int, int],
    samples: np.ndarray | None,
    rate: int,
) -> None:
    """Write a video file that is either complete or absent.

    frames: RGB pictures of `size` (width, height); samples: f32 [N] in [-1, 1], or None for no audio track.
    Raises OSError when the folder cannot be written.
    """
    import av

    partial = path.with_name(path.name + ".tmp")
    with av.open(str(partial), "w", format="mp4", options={"fflags": "+bitexact"}) as container:
        video = container.add_stream("libx264", rate=frames_per_second, options=VIDEO_OPTIONS)
        video.width, video.height = size
        video.pix_fmt = "yuv420p"
        sound = iter(()) if samples is None else _sound_packets(container, samples, rate)
        for number, picture in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(np.asarray(picture), format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, frames_per_second)
            container.mux(video.encode(frame))
            # In step with the pictures: the muxer would otherwise keep a whole video in memory.
            for packets in islice(sound, -(-rate // (AUDIO_CHUNK * frames_per_second))):
                container.mux(packets)
        container.mux(video.encode(None))
        for packets in sound:
            container.mux(packets)
    partial.replace(path)


def _sound_packets(container: Any, samples: np.ndarray, rate: int) -> Iterator[Any]:
    """Add an audio track at once; return an iterator over its packets, chunk by chunk."""
    import av

    audio = container.add_stream("aac", rate=rate, layout="mono", options={"aac_coder": "fast"})
    audio.bit_rate = 32_000
    waves = np.ascontiguousarray(samples, np.float32)

    def encoded() -> Iterator[Any]:
        for start in range(0, len(waves), AUDIO_CHUNK):
            chunk = waves[None, start : start + AUDIO_CHUNK]
            frame = av.AudioFrame.from_ndarray(chunk, format="fltp", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = rate, start, Fraction(1, rate)
            yield audio.encode(frame)
        yield audio.encode(None)

    return encoded()
