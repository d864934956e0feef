"""Contrastive losses over pairs of modalities.

Paper: Everything at Once (CVPR 2022) for the six pairs, ICCV 2023 for three of them. Shapes: B samples,
n samples that have every modality of a pair, D joint features.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from multisk.losses.settings import contrastive_settings
from multisk.params import Contrastive


class JointEmbeddings(Protocol):
    """What the contrastive loss reads of a model's output."""

    @property
    def joint(self) -> Mapping[str, Tensor]:
        """Joint features [B, D] by modality (t, v, a) or fused pair (tv, ta, va), of any length."""

    @property
    def nonempty(self) -> Mapping[str, Tensor]:
        """Which samples have the modality, bool [B] by modality."""


class ContrastiveLoss(nn.Module):
    """Weighted mean of a symmetric contrastive loss over pairs of modalities, times alpha.

        L = alpha · Σ_p w_p L_p / Σ_p w_p

    Pairs are t-v, t-a, v-a, and t-va, v-ta, a-tv where the embeddings have fused ones. L_p is computed on
    the cosine similarities of the samples that have every modality of the pair. A pair that the embeddings
    do not have, or that no sample has (NaN in the release), is left out of both sums, so the
    weights that count always add up to alpha. A pair that a single sample has counts with L_p = 0, as
    released.

    Args:
        contrastive: settings as in params.yaml, or a mapping with any of its keys; the paper's values
            (temperature 0.05, alpha 1, weights 1 for t-v and 0.1 otherwise) stand in for the rest.
        pair_loss: loss of a similarity matrix [n, n] with the true pairs on its diagonal; `norm_softmax`
            with the temperature of the settings unless given.
    """

    def __init__(
        self,
        contrastive: Contrastive | Mapping[str, Any],
        pair_loss: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        super().__init__()
        settings = contrastive_settings(contrastive)
        self.alpha = settings.alpha
        self.weights = {key.replace("_", "-"): weight for key, weight in settings.weights if weight > 0}
        self.pair_loss = pair_loss or partial(norm_softmax, temperature=settings.temperature)

    def forward(self, embeddings: JointEmbeddings) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the loss (a scalar) and the terms L_p, detached, by names like `contrastive/t-v`.

        float16 and bfloat16 embeddings are computed in float32: the norm's guard of 1e-8 would be zero in
        half precision.
        """
        joint = {key: normalized(x) for key, x in embeddings.joint.items()}
        total = torch.zeros((), device=next(iter(joint.values())).device, requires_grad=True)
        weight_sum, terms = 0.0, {}
        for pair, weight in self.weights.items():
            first, second = pair.split("-")
            if first not in joint or second not in joint:
                continue
            present = torch.stack([embeddings.nonempty[m] for m in first + second]).all(0)
            if not present.any():
                continue
            loss = self.pair_loss(joint[first][present] @ joint[second][present].T)
            total, weight_sum = total + weight * loss, weight_sum + weight
            terms[f"contrastive/{pair}"] = loss.detach()
        return self.alpha * total / (weight_sum or 1), terms


def normalized(x: Tensor) -> Tensor:
    """Return rows of length one, x / max(|x|, 1e-8), in float32 or wider; a zero row stays zero."""
    return F.normalize(x.to(torch.promote_types(x.dtype, torch.float32)), dim=-1, eps=1e-8)


def norm_softmax(similarity: Tensor, temperature: float = 0.05) -> Tensor:
    """Symmetric InfoNCE of a similarity matrix [n, n] whose diagonal holds the true pairs.

    The sum (not the mean) of the cross-entropies of both directions, as released.
    """
    target = torch.arange(len(similarity), device=similarity.device)
    logits = similarity / temperature
    return F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)


def max_margin_softmax(similarity: Tensor, margin: float = 0.001) -> Tensor:
    """Masked margin softmax (AVLnet): InfoNCE at temperature 1 after the diagonal is lowered by `margin`."""
    lowered = similarity - margin * torch.eye(
        len(similarity), dtype=similarity.dtype, device=similarity.device
    )
    return norm_softmax(lowered, temperature=1.0)
