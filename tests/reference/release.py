"""Parts of the release that only its recorded cases need."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from multisk.models.release import ReleasedModel, StateDict, _released_shape, alias_of, released_names
from multisk.sampling.tokens import unit_length


def to_release(model: ReleasedModel, leftovers: Mapping[str, Tensor]) -> StateDict:
    """Return the state dict that the release would have saved: all names, leftovers and aliases.

    The tensors share memory with the model's.
    """
    names = released_names(model)
    released = {
        names[key]: tensor.reshape(_released_shape(key, tensor.shape))
        for key, tensor in model.state_dict().items()
    }
    released |= leftovers
    aliases = {alias: released[key] for key in released if (alias := alias_of(key, model))}
    return released | aliases


class FusedGatedUnit(nn.Module):
    """A gated sum of an audio and a text projection (AVLnet-Text)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.fc_audio = nn.Linear(inputs, outputs)
        self.fc_text = nn.Linear(inputs, outputs)
        self.gate = nn.Linear(outputs, outputs)

    def forward(self, audio: Tensor, text: Tensor) -> Tensor:
        """Map two [..., inputs] to [..., outputs]."""
        h = self.fc_audio(audio) + self.fc_text(text)
        return h * torch.sigmoid(self.gate(h))


def video_vector(streams: Sequence[np.ndarray]) -> np.ndarray:
    """Make one vector f32 [sum D_i] of a clip: each stream's maximum over time, with unit length.

    For models that take a vector instead of tokens, as AVLnet does. An empty stream's part is zero.
    """
    peaks = [stream.max(0) if len(stream) else np.zeros(stream.shape[1], np.float32) for stream in streams]
    return np.concatenate([unit_length(peak) for peak in peaks])
