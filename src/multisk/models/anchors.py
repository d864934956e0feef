"""Anchors: vectors, learned as a rule, that describe the structure of each modality (paper: SSPC).

Shapes: B samples, K anchors, D features (input space or joint space).
"""

from collections.abc import Mapping, Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Space = Literal["input", "joint"]


class Anchors(nn.Module):
    """K anchors per modality in its input space, and K in the joint space.

    An anchor z enters every computation as z/|z|; what is learned is z itself, an ordinary parameter
    with the optimizer and learning rate of the rest (as released). Anchors that are not learned take no
    gradient and are part of the state all the same.

    Args:
        count: number of anchors K, one for all modalities or one per modality.
        dimension: size of the input features, one for all modalities or one per modality.
        joint_dimension: size of the joint features.
        modalities: names of the modalities.
        learned: whether the anchors learn, or stay as they are drawn.

    Attributes:
        input: `input[m]` f32 [K, dimension], initialised from N(0, 1) (as released).
        joint: `joint[m]` f32 [K, joint_dimension], initialised likewise.
    """

    def __init__(
        self,
        count: int | Mapping[str, int],
        dimension: int | Mapping[str, int],
        joint_dimension: int,
        modalities: Sequence[str] = ("t", "v", "a"),
        *,
        learned: bool = True,
    ) -> None:
        super().__init__()
        counts = count if isinstance(count, Mapping) else dict.fromkeys(modalities, count)
        dimensions = dimension if isinstance(dimension, Mapping) else dict.fromkeys(modalities, dimension)
        self.modalities = tuple(modalities)
        self.input = nn.ParameterDict({m: torch.randn(counts[m], dimensions[m]) for m in modalities})
        self.joint = nn.ParameterDict({m: torch.randn(counts[m], joint_dimension) for m in modalities})
        self.requires_grad_(learned)

    def normalized(self, space: Space, modality: str) -> Tensor:
        """Return the anchors of a modality in a space with unit length, [K, D]."""
        anchors_KD: Tensor = (self.input if space == "input" else self.joint)[modality]
        return F.normalize(anchors_KD, dim=1)

    def similarity(self, space: Space, anchor_modality: str, x: Tensor) -> Tensor:
        """Return x · z/|z| for the anchors z of `anchor_modality` in `space`.

        `x` [B, D] holds features of any modality that live in that space; with L2-normalised rows the
        result [B, K] is the cosine similarity.
        """
        anchors_KD = self.normalized(space, anchor_modality)
        return F.linear(x.to(anchors_KD.dtype), anchors_KD)

    def extra_repr(self) -> str:
        """Show the sizes."""
        return ", ".join(f"{m}: {tuple(self.input[m].shape)}" for m in self.modalities)
