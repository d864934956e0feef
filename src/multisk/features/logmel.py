"""Log-mel spectrograms, computed by torchaudio as the release computed them with librosa.

B waveforms of N samples -> F = 1 + N // 160 frames of M = 40 mel bands.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from multisk.features.audio import BANDS, HOP, SAMPLE_RATE, WINDOW

FLOOR = 1e-10
PRE_EMPHASIS = 0.97
RANGE_DB = 80.0


class LogMel(nn.Module):
    """Waveforms f32 [B, N] (16 kHz, any level) to decibels f32 [B, M, F] in [-80, 0].

    DC removal; pre-emphasis 0.97 with the first sample kept; power spectra of 25 ms symmetric Hamming
    windows every 10 ms, centred, the borders reflected; 40 Slaney mel bands between 20 Hz and 8 kHz;
    10 log10 relative to the loudest value of the whole waveform, cut off 80 dB below it. Silence is 0 dB.

    Source: paper, inputs; reflection, symmetric window and reference as released.
    """

    def __init__(self) -> None:
        super().__init__()
        from torchaudio.transforms import MelSpectrogram

        with _double_precision():
            self.mel = MelSpectrogram(
                sample_rate=SAMPLE_RATE,
                n_fft=WINDOW,
                hop_length=HOP,
                f_min=20.0,
                f_max=SAMPLE_RATE / 2,
                n_mels=BANDS,
                window_fn=partial(torch.hamming_window, periodic=False),
                power=2.0,
                center=False,
                norm="slaney",
                mel_scale="slaney",
            ).double()

    @torch.inference_mode()
    def forward(self, waveform_BN: Tensor) -> Tensor:
        """Return the log-mel spectrograms of waveforms of equal length, at least one sample long."""
        assert waveform_BN.shape[1] > 0, "an empty waveform has no spectrogram"
        centred = waveform_BN - waveform_BN.mean(dim=1, keepdim=True)
        emphasised = torch.cat([centred[:, :1], centred[:, 1:] - PRE_EMPHASIS * centred[:, :-1]], dim=1)
        power_BMF = self.mel(_reflect(emphasised, WINDOW // 2).double())
        decibels = 10 * torch.log10(power_BMF.clamp(min=FLOOR))
        return (decibels - decibels.amax(dim=(1, 2), keepdim=True)).clamp(min=-RANGE_DB).float()


@contextmanager
def _double_precision() -> Iterator[None]:
    # torchaudio computes its filters in the default dtype; in single precision they are off by up to 1e-3 dB.
    previous = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(previous)


def _reflect(waveform_BN: Tensor, width: int) -> Tensor:
    """Mirror both ends without repeating the border; waveforms shorter than `width` swing to and fro."""
    N = waveform_BN.shape[1]
    if width < N:
        return F.pad(waveform_BN[:, None], (width, width), mode="reflect")[:, 0]
    period = max(2 * (N - 1), 1)
    position = torch.arange(-width, N + width, device=waveform_BN.device) % period
    return waveform_BN[:, torch.where(position < N, position, period - position)]
