import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from multisk.sampling.tokens import (
    audio_slice,
    audio_tokens,
    pool_windows,
    resize,
    segment_is_sound,
    unit_length,
    video_slice,
    video_tokens,
)
from multisk.settings.sampling import TokenSampling

SAMPLINGS: tuple[TokenSampling, ...] = ("clip", "nearest", "max_pool")


def features(rng: np.random.RandomState, length: int, width: int) -> np.ndarray:
    return rng.rand(length, width).astype(np.float32) + 0.1


@settings(deadline=None, max_examples=200)
@given(st.integers(1, 400), st.integers(1, 400))
def test_resize_takes_the_features_that_torch_takes(length: int, wanted: int) -> None:
    positions = torch.arange(length, dtype=torch.float32)[None, None]
    expected = F.interpolate(positions, size=wanted, mode="nearest")[0, 0]
    assert resize(np.arange(length)[:, None], wanted)[:, 0].tolist() == expected.tolist()


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 60), st.integers(0, 60), st.integers(1, 20), st.sampled_from(SAMPLINGS))
def test_video_tokens_have_unit_parts_and_zero_padding(
    appearance: int, motion: int, count: int, sampling: TokenSampling
) -> None:
    rng = np.random.RandomState(0)
    streams = [features(rng, appearance, 4), features(rng, motion, 3)]
    tokens, mask = video_tokens(streams, count, sampling)
    assert tokens.shape == (count, 7)
    assert tokens.dtype == np.float32
    assert mask.sum() == (min(motion, count) if appearance else 0)
    assert mask.tolist() == sorted(mask.tolist(), reverse=True)
    for part in (tokens[:, :4], tokens[:, 4:]):
        np.testing.assert_allclose(np.linalg.norm(part[mask], axis=1), 1, rtol=1e-5)
    assert not tokens[~mask].any()


def test_strategies_see_the_beginning_or_all_of_a_long_clip() -> None:
    ramp = np.linspace(0, 1, 30, dtype=np.float32)
    circle = np.stack([np.cos(ramp), np.sin(ramp)], axis=1)
    last = {
        sampling: np.arctan2(*video_tokens([circle, circle], 6, sampling)[0][-1, 1::-1])
        for sampling in SAMPLINGS
    }
    assert last["clip"] == pytest.approx(ramp[5])
    assert last["nearest"] == pytest.approx(ramp[25])
    assert last["max_pool"] == pytest.approx(np.arctan2(np.sin(ramp[29]), np.cos(ramp[25])))


def test_pooling_leaves_out_an_incomplete_window() -> None:
    np.testing.assert_array_equal(
        pool_windows(np.array([[1.0], [5.0], [2.0], [3.0], [9.0]]), 2), [[5.0], [3.0]]
    )


def test_unit_length_keeps_zeros() -> None:
    assert unit_length(np.zeros((2, 3), np.float32)).tolist() == [[0.0] * 3] * 2


def test_a_span_of_video_has_one_feature_more() -> None:
    assert video_slice(0.0, 8.0, 1.0) == (0, 9)
    assert video_slice(0.0, 8.0, 1.5) == (0, 13)


@settings(deadline=None, max_examples=50)
@given(st.floats(0, 60), st.floats(0.02, 60), st.integers(0, 3000))
def test_a_span_of_audio_lies_within_the_frames(start: float, seconds: float, frames: int) -> None:
    first, stop = audio_slice(start, start + seconds, frames)
    assert 0 <= first <= stop <= frames
    if start + seconds + 1 < frames / 100:
        assert stop - first == pytest.approx(100 * seconds, abs=3)


@given(st.integers(0, 12), st.integers(1, 12))
def test_audio_is_cut_or_padded(frames: int, count: int) -> None:
    logmel = -np.arange(1.0, 2 * frames + 1, dtype=np.float32).reshape(frames, 2)
    audio, mask = audio_tokens(logmel, count)
    assert audio.shape == (2, count)
    assert mask.sum() == min(frames, count)
    np.testing.assert_array_equal(audio[:, mask], logmel[:count].T)
    assert not audio[:, ~mask].any()


def test_segments_need_to_be_mostly_filled_but_for_the_first() -> None:
    assert segment_is_sound(np.arange(40) < 18, 4).tolist() == [True, True, False, False]
    assert segment_is_sound(np.arange(40) < 17, 4).tolist() == [True, False, False, False]
    assert segment_is_sound(np.zeros(40, bool), 4).tolist() == [True, False, False, False]
