"""Recorded log-mel spectrograms of the release, on its own versions of librosa and scipy."""

from pathlib import Path

import numpy as np
import pytest
import torch

from multisk.features.audio import BANDS, SAMPLE_RATE
from multisk.features.logmel import LogMel


@pytest.mark.recorded("G_audio", "g*.npz")
def test_logmel(case: Path) -> None:
    recorded = np.load(case, allow_pickle=False)
    assert int(recorded["sample_rate"]) == SAMPLE_RATE
    mel = LogMel()(torch.from_numpy(recorded["waveform"])[None])[0].numpy()
    assert mel.shape == (BANDS, int(recorded["n_frames_raw"]))
    np.testing.assert_allclose(mel, recorded["logmel_raw"], atol=1e-4)
    np.testing.assert_allclose(mel.astype(np.float16), recorded["logmel_raw_fp16"], atol=0.04)
    for key in recorded:
        if key.startswith("logmel_target"):
            length = int(key.removeprefix("logmel_target"))
            padded = np.pad(mel[:, :length], ((0, 0), (0, max(0, length - mel.shape[1]))))
            np.testing.assert_allclose(padded, recorded[key], atol=1e-4, err_msg=key)


@pytest.mark.recorded("G_audio", "mel_basis.npz")
def test_filters_and_window(case: Path) -> None:
    recorded = np.load(case, allow_pickle=False)
    mel = LogMel().mel
    np.testing.assert_allclose(mel.mel_scale.fb.numpy().T, recorded["mel_basis"], atol=1e-8)
    np.testing.assert_allclose(mel.spectrogram.window.numpy(), recorded["window"], atol=1e-12)
