"""Small media files, corpora and settings."""

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pandas as pd
import pytest

from multisk.corpora.manifest import Corpus, write_corpus
from multisk.settings.features import Features


def write_media(
    path: Path,
    levels: Sequence[int] = (),
    times: Sequence[float] | None = None,
    *,
    fps: int = 12,
    size: tuple[int, int] = (32, 24),
    images: np.ndarray | None = None,
    waveform: np.ndarray | None = None,
    rate: int = 16_000,
    audio_start: float = 0,
) -> Path:
    """Write grey frames of the given levels (or `images`) at `times`, and a waveform [channels, samples].

    Lossless in .mkv.
    """
    if images is None:
        grey = np.array(levels, np.uint8).reshape(-1, 1, 1, 1)
        images = np.tile(grey, (1, size[1], size[0], 3))
    pts = [round(1000 * time) for time in times or np.arange(len(images)) / fps]
    with av.open(str(path), "w") as container:
        lossless = path.suffix == ".mkv"
        if len(images):
            video = container.add_stream("ffv1" if lossless else "libx264", rate=fps)
            video.width, video.height = images.shape[2], images.shape[1]
            video.pix_fmt = "yuv444p"
            video.codec_context.time_base = Fraction(1, 1000)
        if waveform is not None:
            layout = "stereo" if len(waveform) == 2 else "mono"
            audio = container.add_stream("pcm_s16le" if lossless else "aac", rate=rate, layout=layout)
            frame = av.AudioFrame.from_ndarray(
                (waveform.T.ravel()[None] * 32767).astype(np.int16), "s16", layout
            )
            frame.rate, frame.pts, frame.time_base = rate, round(audio_start * rate), Fraction(1, rate)
            for packet in [*audio.encode(frame), *audio.encode()]:
                container.mux(packet)
        for image, time in zip(images, pts, strict=True):
            picture = av.VideoFrame.from_ndarray(image, "rgb24")
            picture.pts, picture.time_base = time, Fraction(1, 1000)
            for packet in video.encode(picture):
                container.mux(packet)
        if len(images):
            for packet in video.encode():
                container.mux(packet)
    return path


@pytest.fixture(scope="session")
def write_video() -> Callable[..., Path]:
    return write_media


def noise(seed: int, seconds: float) -> np.ndarray:
    return 0.1 * np.random.RandomState(seed).randn(1, int(16_000 * seconds))


def moving(seed: int, count: int) -> np.ndarray:
    """Coarse coloured blocks that move to the right, u8 [count, 24, 32, 3]."""
    blocks = np.random.RandomState(seed).randint(0, 256, (6, 8, 3)).repeat(4, 0).repeat(4, 1)
    return np.stack([np.roll(blocks, 2 * i, axis=1) for i in range(count)]).astype(np.uint8)


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """Six videos: v0-v2 good, `silent` without audio, `cut` damaged, `gone` missing."""
    folder = tmp_path_factory.mktemp("corpus")
    for i in range(3):
        waveform = noise(i, 2 + i)
        write_media(folder / f"v{i}.mp4", images=moving(i, 12 * (2 + i)), waveform=waveform)
    write_media(folder / "silent.mp4", images=moving(3, 24))
    whole = write_media(folder / "whole.mp4", images=moving(4, 60), waveform=noise(4, 5))
    content = bytearray(whole.read_bytes())
    start = content.index(b"mdat") + 2000
    content[start : start + 600] = bytes(255 - byte for byte in content[start : start + 600])
    (folder / "cut.mp4").write_bytes(content)
    names = ["v0", "silent", "cut", "v1", "gone", "v2"]
    rows = [(name, f"{name}.mp4", "train", 2.0) for name in names]
    videos = pd.DataFrame(rows, columns=["video_id", "path", "split", "seconds"])
    text = pd.DataFrame([(0.0, 2.0, "cut the onion")], columns=["start", "end", "text"])
    return write_corpus(
        folder,
        name="tiny",
        role="narrated",
        description="",
        videos=videos,
        captions=dict.fromkeys(names, text),
    )


def features_settings(**changes: Any) -> Features:
    content: dict[str, Any] = {
        "appearance": {
            "model": "test_resnet",
            "weights": "random",
            "sha256": None,
            "seed": 0,
            "features_per_second": 2,
            "short_side": 32,
            "crop": False,
            "batch_size": 3,
        },
        "motion": {
            "blocks": [1, 1, 1, 1],
            "cardinality": 2,
            "width": 4,
            "weights": "random",
            "sha256": None,
            "seed": 0,
            "frames_per_second": 24,
            "window": 16,
            "side": 16,
            "batch_size": 2,
        },
        "words": {
            "source": "skipgram",
            "dimension": 8,
            "epochs": 3,
            "window": 2,
            "min_count": 1,
            "seed": 0,
        },
        "shard_megabytes": 64,
        "workers": 1,
    }
    for key, value in changes.items():
        section, _, name = key.partition("__")
        if name:
            content[section][name] = value
        else:
            content[section] = value
    return Features.model_validate(content)


@pytest.fixture(scope="session")
def settings() -> Callable[..., Features]:
    """Make settings; `appearance__seed=1` changes one."""
    return features_settings
