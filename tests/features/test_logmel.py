"""Log-mel spectrograms agree with their equations and librosa's filters."""

import librosa.filters
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from multisk.features.audio import SAMPLE_RATE
from multisk.features.logmel import LogMel


@pytest.fixture(scope="module")
def filters() -> np.ndarray:
    return librosa.filters.mel(sr=SAMPLE_RATE, n_fft=400, n_mels=40, fmin=20, fmax=8000, dtype=np.float64)


def reference(waveform: np.ndarray, filters: np.ndarray) -> np.ndarray:
    """The equations, one after the other."""
    centred = waveform.astype(float) - waveform.mean(dtype=float)
    emphasised = np.append(centred[0], centred[1:] - 0.97 * centred[:-1])
    padded = np.pad(emphasised, 200, mode="reflect")
    windows = [padded[start : start + 400] * np.hamming(400) for start in range(0, len(waveform) + 1, 160)]
    power = filters @ np.abs(np.fft.rfft(windows, axis=1).T) ** 2
    decibels = 10 * np.log10(np.maximum(power, 1e-10)) - 10 * np.log10(max(power.max(), 1e-10))
    return np.maximum(decibels, decibels.max() - 80)


@settings(deadline=None, max_examples=20)
@given(samples=st.integers(2, 9000), seed=st.integers(0, 99), offset=st.sampled_from([0.0, 0.3]))
def test_equals_the_equations(filters, samples, seed, offset) -> None:
    random = np.random.RandomState(seed)
    envelope = np.exp(-8 * np.linspace(0, 1, samples))
    waveform = (offset + 0.1 * envelope * random.randn(samples)).astype(np.float32)
    mel = LogMel()(torch.from_numpy(waveform)[None])[0].numpy()
    assert mel.shape == (40, 1 + samples // 160)
    np.testing.assert_allclose(mel, reference(waveform, filters), atol=2e-3)


def test_batch_equals_one_by_one() -> None:
    loud_and_quiet = torch.randn(3, 4000, generator=torch.Generator().manual_seed(0))
    loud_and_quiet *= torch.tensor([1.0, 0.1, 0.0])[:, None]
    logmel = LogMel()
    together = logmel(loud_and_quiet)
    assert together.dtype == torch.float32
    for row, waveform in zip(together, loud_and_quiet, strict=True):
        torch.testing.assert_close(row, logmel(waveform[None])[0])


def test_level_does_not_matter_and_range_is_80_db() -> None:
    waveform = torch.randn(1, 8000, generator=torch.Generator().manual_seed(0))
    waveform[:, 4000:] *= 1e-6
    mel = LogMel()(waveform)
    torch.testing.assert_close(mel, LogMel()(waveform / 8), rtol=0, atol=1e-3)
    assert mel.max() == 0
    assert mel.min() == -80


@pytest.mark.parametrize("samples", [1, 199, 200, 201, 8000])
def test_silence_is_0_db(samples: int) -> None:
    assert not LogMel()(torch.full((1, samples), 0.25)).any()
