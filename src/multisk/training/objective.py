"""Model and losses as one module, so that one forward pass gives the loss of a batch."""

from collections.abc import Mapping
from typing import cast

import torch
from torch import Tensor, nn

from multisk import params
from multisk.errors import InputError
from multisk.losses import ContrastiveLoss, SSPCLoss
from multisk.models.anchors import Anchors
from multisk.models.embeddings import Embeddings
from multisk.training.distributed import gather_embeddings


class Objective(nn.Module):
    """L = contrastive loss + SSPC loss of a model's embeddings (paper: loss).

    Only the model runs under autocast, in half precision; the losses take fp32 embeddings of the global
    batch, gathered over processes.

    Args:
        model: maps a batch to `Embeddings`; has `anchors` when there is SSPC.
        contrastive: settings of the contrastive loss.
        sspc: settings of the SSPC loss, whose queues become part of this module's state; None: no SSPC.

    Raises:
        InputError: SSPC with a model that has no anchors.
    """

    def __init__(
        self, model: nn.Module, contrastive: params.Contrastive, sspc: params.Sspc | None = None
    ) -> None:
        super().__init__()
        self.model = model
        self.contrastive = ContrastiveLoss(contrastive)
        self.sspc = _sspc_loss(model, sspc) if sspc else None

    def forward(self, batch: Mapping[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the loss, a scalar, and its terms by name, detached scalars."""
        embeddings = self.model(batch)
        with torch.autocast(batch["video"].device.type, enabled=False):
            return self.losses(gather_embeddings(in_full_precision(embeddings)))

    def losses(self, embeddings: Embeddings) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the loss of the global batch's embeddings, fp32, and its terms.

        The loss is NaN when an embedding or anchor is not finite.
        """
        loss, terms = self.contrastive(embeddings)
        if self.sspc is None:
            return loss, terms
        anchors = cast(Anchors, self.model.anchors)
        # Multi-SK refuses NaN; a loss that is NaN, beside its terms, lets the caller say where it began.
        if not _all_finite([*embeddings.joint.values(), *embeddings.input.values(), *anchors.parameters()]):
            return loss + torch.nan, terms
        consistency, more = self.sspc(anchors, embeddings.input, embeddings.joint)
        return loss + consistency, terms | more


def in_full_precision(embeddings: Embeddings) -> Embeddings:
    """Return the embeddings in fp32."""
    return Embeddings(
        joint={name: x_BJ.float() for name, x_BJ in embeddings.joint.items()},
        input={name: x_BD.float() for name, x_BD in embeddings.input.items()},
        nonempty=embeddings.nonempty,
    )


def _all_finite(tensors: list[Tensor]) -> bool:
    return bool(torch.stack([x.isfinite().all() for x in tensors]).all())


def _sspc_loss(model: nn.Module, sspc: params.Sspc) -> SSPCLoss:
    anchors = getattr(model, "anchors", None)
    if anchors is None:
        raise InputError("params.yaml: methods: sspc needs a model with anchors; set model: per_modality")
    dimensions = {m: anchors.input[m].shape[1] for m in anchors.modalities}
    return SSPCLoss(sspc, dimensions, anchors.joint[anchors.modalities[0]].shape[1])
