"""Frames come at the times asked for, upright and scaled; audio comes as 16 kHz mono; damage is named."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from multisk.errors import InputError
from multisk.features.audio import SAMPLE_RATE
from multisk.features.decode import MediaReader, Sampling, frames, target_size


def levels(path: Path, fps: float) -> list[int]:
    """Grey levels, which the files space by 20, of the frames of a sampling."""
    return [round(float(image.mean()) / 20) for image in frames(path, Sampling(fps, 24))]


def test_repeats_and_skips_frames(tmp_path: Path, write_video) -> None:
    path = write_video(tmp_path / "a.mkv", [20 * (i % 12) for i in range(30)])
    assert levels(path, 24) == [(i // 2) % 12 for i in range(60)]
    assert levels(path, 1) == [0, 0, 0]
    assert levels(path, 4) == [0, 3, 6, 9, 0, 3, 6, 9, 0, 3]


@settings(deadline=None, max_examples=15)
@given(
    gaps=st.lists(st.integers(40, 900), min_size=1, max_size=11),
    fps=st.sampled_from([0.5, 1, 3, 7, 24, 29.97]),
)
def test_shows_the_last_frame_before_each_time(tmp_path_factory, write_video, gaps, fps) -> None:
    times = np.cumsum([0, *gaps]) / 1000
    path = write_video(
        tmp_path_factory.mktemp("vfr") / "a.mkv", [20 * i for i in range(len(times))], list(times)
    )
    shown = levels(path, fps)
    expected = [int(np.searchsorted(times, k / fps + 5e-4, side="right")) - 1 for k in range(len(shown))]
    assert shown == expected
    assert len(shown) > times[-1] * fps  # the last frame is shown for some time, too


def test_late_video_and_late_audio(tmp_path: Path, write_video) -> None:
    tone = np.full((1, SAMPLE_RATE), 0.5)
    late_video = write_video(tmp_path / "v.mkv", [100, 200], [1.0, 1.5], waveform=tone)
    assert levels(late_video, 4)[:7] == [5, 5, 5, 5, 5, 5, 10]
    late_audio = write_video(tmp_path / "a.mkv", [20] * 12, waveform=tone, audio_start=0.25)
    reader = MediaReader(late_audio, {})
    assert list(reader) == []
    assert reader.waveform is not None
    assert len(reader.waveform) == 1.25 * SAMPLE_RATE
    assert not reader.waveform[: SAMPLE_RATE // 4 - 1].any()
    np.testing.assert_allclose(reader.waveform[SAMPLE_RATE // 4 :], 0.5, atol=1e-3)


def test_scales_and_crops(tmp_path: Path, write_video) -> None:
    image = np.zeros((1, 40, 90, 3), np.uint8)
    image[:, :, 25:65] = [250, 10, 10]
    path = write_video(tmp_path / "wide.mkv", images=image)
    whole = next(frames(path, Sampling(1, 20)))
    assert whole.shape == (20, 45, 3)
    assert whole.dtype == np.uint8
    middle = next(frames(path, Sampling(1, 20, crop=True)))
    assert middle.shape == (20, 20, 3)
    np.testing.assert_allclose(middle[:, 1:-1].reshape(-1, 3).mean(0), [250, 10, 10], atol=6)


@pytest.mark.parametrize("size", [(1, 1), (3, 5), (101, 57)])
def test_odd_sizes(tmp_path: Path, write_video, size: tuple[int, int]) -> None:
    path = write_video(tmp_path / "odd.mkv", [100] * 3, size=size)
    (image,) = frames(path, Sampling(1, 32, crop=True))
    assert image.shape == (32, 32, 3)
    np.testing.assert_allclose(image, 100, atol=2)


def test_refuses_strips() -> None:
    with pytest.raises(InputError, match="1000 x 2 pixels"):
        target_size(1000, 2, 112)


def test_mixes_and_resamples_audio(tmp_path: Path, write_video) -> None:
    time = np.arange(44_100) / 44_100
    left = 0.4 * np.sin(2 * np.pi * 440 * time)
    path = write_video(tmp_path / "a.mkv", [0] * 12, waveform=np.stack([left, 0 * left]), rate=44_100)
    reader = MediaReader(path, {})
    assert list(reader) == []
    assert reader.waveform is not None
    assert reader.waveform.dtype == np.float32
    assert len(reader.waveform) == pytest.approx(SAMPLE_RATE, abs=50)
    spectrum = np.abs(np.fft.rfft(reader.waveform[:SAMPLE_RATE], SAMPLE_RATE))
    assert spectrum.argmax() == 440


def test_audio_may_change_its_format_midway(tmp_path: Path) -> None:
    """A transport stream with mono, then stereo, then another rate, as from programmes put together."""
    content = b"".join(
        write_tone(tmp_path / f"{n}.ts", n, level, channels, rate)
        for n, (level, channels, rate) in enumerate([(0.2, 1, 16_000), (0.4, 2, 16_000), (0.1, 2, 48_000)])
    )
    (tmp_path / "all.ts").write_bytes(content)
    reader = MediaReader(tmp_path / "all.ts", {"all": Sampling(12, 8)})
    assert len(list(reader)) > 30
    assert reader.waveform is not None
    assert len(reader.waveform) == pytest.approx(3 * SAMPLE_RATE, rel=0.15)
    thirds = [abs(reader.waveform[int((n + 0.5) * SAMPLE_RATE) :][:1000]).max() for n in range(3)]
    # FFmpeg mixes two equal channels to sqrt(2) times one of them.
    np.testing.assert_allclose(thirds, [0.2, 0.4 * 2**0.5, 0.1 * 2**0.5], atol=0.02)


def write_tone(path: Path, start: int, level: float, channels: int, rate: int) -> bytes:
    """Write a second of a tone, and of grey, with times from `start` on."""
    time = np.arange(rate) / rate
    wave = (32767 * level * np.sin(2 * np.pi * 440 * time)).astype(np.int16)
    with av.open(str(path), "w") as container:
        video = container.add_stream("mpeg2video", rate=25)
        video.width, video.height, video.pix_fmt = 32, 32, "yuv420p"
        layout = "stereo" if channels == 2 else "mono"
        audio = container.add_stream("mp2", rate=rate, layout=layout)
        frame = av.AudioFrame.from_ndarray(wave.repeat(channels)[None], "s16", layout)
        frame.rate, frame.pts, frame.time_base = rate, start * rate, Fraction(1, rate)
        for packet in [*audio.encode(frame), *audio.encode()]:
            container.mux(packet)
        for number in range(25):
            picture = av.VideoFrame.from_ndarray(np.full((32, 32, 3), 100, np.uint8), "rgb24")
            picture.pts, picture.time_base = 25 * start + number, Fraction(1, 25)
            container.mux(video.encode(picture))
        container.mux(video.encode())
    return path.read_bytes()


def test_slides_stay_for_minutes_but_not_for_hours(tmp_path: Path, write_video) -> None:
    slides = write_video(tmp_path / "slides.mkv", [20, 40, 60, 80], [0, 60, 120, 180])
    assert levels(slides, 0.1)[:18] == [1] * 6 + [2] * 6 + [3] * 6
    wrong = write_video(tmp_path / "wrong.mkv", [20, 40, 60], [0, 0.1, 7200])
    shown = []
    with pytest.raises(
        InputError, match=r"one frame for all of 0\.\d\d s to 7200\.\d\d s: longer than 1800 s"
    ):
        shown.extend(frames(wrong, Sampling(24, 24)))
    assert len(shown) < 10
    late = write_video(tmp_path / "late.mkv", [20, 40], [7200, 7201], waveform=np.zeros((1, 1600)))
    with pytest.raises(InputError, match=r"one frame for all of 0\.00 s"):
        list(frames(late, Sampling(24, 24)))


def test_no_audio_is_fine(tmp_path: Path, write_video) -> None:
    reader = MediaReader(write_video(tmp_path / "a.mkv", [0] * 6), {"all": Sampling(12, 8)})
    assert len(list(reader)) == 6
    assert reader.waveform is None
    assert reader.seconds == pytest.approx(0.5, abs=0.01)


def test_names_the_damage(tmp_path: Path, write_video, corpus) -> None:
    with pytest.raises(InputError, match=r"cannot be read as video \(FileNotFoundError"):
        list(frames(tmp_path / "none.mp4", Sampling(1, 8)))
    (tmp_path / "text.mp4").write_text("not a video" * 100)
    with pytest.raises(InputError, match=r"cannot be read as video \(InvalidDataError"):
        list(frames(tmp_path / "text.mp4", Sampling(1, 8)))
    sound = write_video(tmp_path / "sound.mkv", waveform=np.zeros((1, 1600)))
    with pytest.raises(InputError, match="no video track"):
        list(frames(sound, Sampling(1, 8)))
    with pytest.raises(InputError, match=r"damaged after \d+\.\d\d s \(InvalidDataError"):
        list(frames(corpus.path("cut"), Sampling(1, 8)))


@pytest.mark.parametrize(("name", "portrait"), [("0", False), ("90", True), ("180", False), ("270", True)])
def test_turns_videos_upright(realdata: Path, name: str, portrait: bool) -> None:
    image = next(frames(realdata / "clips" / "decord" / f"video_{name}.mov", Sampling(1, 90)))
    assert image.shape == ((159, 90, 3) if portrait else (90, 159, 3))
