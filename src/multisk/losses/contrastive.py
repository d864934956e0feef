"""Contrastive losses over pairs of modalities.

Paper: Everything at Once (CVPR 2022) for the six pairs, ICCV 2023 for three of them. Methods that are
compared bring their own loss of a pair. Shapes: B samples, n samples that have every modality of a pair,
D joint features.
"""

from collections.abc import Callable, Mapping
from typing import Any, Protocol, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from multisk.losses.batch import ClipOrigins, GlobalBatch, Terms
from multisk.settings.losses import Contrastive, contrastive_settings


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
        pair_loss: loss of a similarity matrix [n, n] with the true pairs on its diagonal, in place of the
            one that the settings name.
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
        self.settings = settings
        self.pair_loss = pair_loss

    @classmethod
    def of_model(cls, settings: Contrastive, _model: Any) -> Self:
        """Make the loss of a method; any model will do."""
        return cls(settings)

    def of_batch(self, batch: GlobalBatch) -> tuple[Tensor, Terms]:
        """Return the loss of a batch and its terms, see `forward`."""
        return self(batch.embeddings, batch.origins)

    def forward(
        self, embeddings: JointEmbeddings, origins: ClipOrigins | None = None
    ) -> tuple[Tensor, Terms]:
        """Return the loss (a scalar) and the terms L_p, detached, by names like `contrastive/t-v`.

        `origins` are for the losses that ask which clips are of one video (`max_margin`, `mil_nce`); without
        them every clip is of a video of its own.

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
            here = origins and ClipOrigins(*(x_B[present] for x_B in origins))
            loss = self._pair_loss(joint[first][present] @ joint[second][present].T, here)
            total, weight_sum = total + weight * loss, weight_sum + weight
            terms[f"contrastive/{pair}"] = loss.detach()
        return self.alpha * total / (weight_sum or 1), terms

    def _pair_loss(self, similarity: Tensor, origins: ClipOrigins | None) -> Tensor:
        if self.pair_loss is not None:
            return self.pair_loss(similarity)
        settings, alone = (
            self.settings,
            torch.eye(len(similarity), dtype=torch.bool, device=similarity.device),
        )
        if settings.loss == "max_margin":
            assert settings.margin is not None
            assert settings.intra_video is not None
            same_video = origins.same_video() if origins else alone
            return max_margin_ranking(similarity, same_video, settings.margin, settings.intra_video)
        assert settings.temperature is not None
        if settings.loss == "mil_nce":
            assert settings.bag_seconds is not None
            bag = origins.close(settings.bag_seconds) if origins else alone
            return mil_nce(similarity.T, bag, settings.temperature)
        if settings.loss == "mms":
            assert settings.margin is not None
            return max_margin_softmax(similarity, settings.margin, settings.temperature)
        return norm_softmax(similarity, settings.temperature)


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


def max_margin_softmax(similarity: Tensor, margin: float = 0.001, temperature: float = 1.0) -> Tensor:
    """Masked margin softmax (AVLnet): InfoNCE after the diagonal is lowered by `margin`.

    As released at temperature 1.
    """
    lowered = similarity - margin * torch.eye(
        len(similarity), dtype=similarity.dtype, device=similarity.device
    )
    return norm_softmax(lowered, temperature)


def max_margin_ranking(
    similarity: Tensor, same_video: Tensor, margin: float = 0.1, intra_video: float = 0.5
) -> Tensor:
    """Bi-directional max-margin ranking (Miech et al., HowTo100M, 2019).

        L = mean over i of Σ_{j != i} w_ij (max(0, margin + s_ij - s_ii) + max(0, margin + s_ji - s_ii))

    The weights w_ij of each i add up to one. Negatives j of the same video share `intra_video` of it and
    those of other videos the rest: the loss learns most from negatives that look alike. Where one kind is
    missing the other has all of it.

    Args:
        similarity: s [n, n] with the true pairs on its diagonal.
        same_video: bool [n, n], which clips are of the same video.
        margin: by how much a true pair must be ahead.
        intra_video: weight of the negatives of the same video, 0 to 1.
    """
    own = torch.eye(len(similarity), dtype=torch.bool, device=similarity.device)
    inside = intra_video * _shares(same_video & ~own, similarity)
    weight_nn = inside + (1 - intra_video) * _shares(~same_video, similarity)
    total_n1 = weight_nn.sum(1, keepdim=True)
    weight_nn = weight_nn / total_n1.where(total_n1 > 0, 1)
    true_n1 = similarity.diagonal()[:, None]
    hinges = F.relu(margin + similarity - true_n1) + F.relu(margin + similarity.T - true_n1)
    return (weight_nn * hinges).sum(1).mean()


def mil_nce(similarity: Tensor, bag: Tensor, temperature: float = 0.05) -> Tensor:
    """MIL-NCE (Miech et al., End-to-End Learning of Visual Representations, 2020).

        L = mean over i of -log( P_i / (P_i + N_i) ),    P_i = Σ_{j in bag(i)} e_ij,
        N_i = Σ_{j not in bag(i)} (e_ij + e_ji),         e_ij = exp(s_ij / temperature)

    Narration and picture seldom meet exactly, so that a clip has a bag of narrations, any of which may be
    the one that fits. With each clip's own narration alone in its bag it is InfoNCE with the negatives of
    both directions in one sum.

    Args:
        similarity: s [n, n] of clips (rows) and narrations (columns), with each clip's own on the diagonal.
        bag: symmetric bool [n, n], True on the diagonal: which narrations count as a clip's own.
        temperature: of the similarities.
    """
    logits = similarity / temperature
    positive = logits.masked_fill(~bag, -torch.inf)
    reverse = logits.T.masked_fill(bag, -torch.inf)
    return (torch.cat([logits, reverse], 1).logsumexp(1) - positive.logsumexp(1)).mean()


def _shares(chosen: Tensor, like: Tensor) -> Tensor:
    """Return rows in which the chosen entries are equal and add up to one; zero where none is chosen."""
    return chosen.to(like) / chosen.sum(1, keepdim=True).clamp(min=1)
