"""Model and losses as one module, so that one forward pass gives the loss of a batch."""

from collections.abc import Mapping
from typing import Any, Self, cast

import torch
from torch import Tensor, nn

from multisk.errors import InputError
from multisk.losses import ClusteringLoss, ContrastiveLoss, Places, ReconstructionLoss, SSPCLoss
from multisk.models.anchors import Anchors
from multisk.models.embeddings import Embeddings
from multisk.settings.losses import Clustering, Contrastive, Reconstruction, Sspc
from multisk.settings.training import Method
from multisk.training.distributed import gather_embeddings, gather_rows


class Objective(nn.Module):
    """L = contrastive loss + the other losses of a method, of a model's embeddings (paper: loss).

    Only the model runs under autocast, in half precision; the losses take fp32 embeddings of the global
    batch, gathered over processes.

    Args:
        model: maps a batch to `Embeddings`; has `anchors` when there is SSPC, `joint_dimension` when there
            is clustering or reconstruction, `input_dimensions` when there is reconstruction.
        contrastive: settings of the contrastive loss.
        sspc: settings of the SSPC loss, whose queues become part of this module's state; None: no SSPC.
        clustering: settings of joint clustering, whose queue and centroids do so, too; None: none.
        reconstruction: settings of reconstruction, whose decoders do so, too; None: none.

    Raises:
        InputError: a loss with a model that lacks what it needs.
    """

    def __init__(
        self,
        model: Any,
        contrastive: Contrastive,
        sspc: Sspc | None = None,
        clustering: Clustering | None = None,
        reconstruction: Reconstruction | None = None,
    ) -> None:
        super().__init__()
        self.model = model
        self.contrastive = ContrastiveLoss(contrastive)
        self.sspc = _sspc_loss(model, sspc) if sspc else None
        self.clustering = _clustering_loss(model, clustering) if clustering else None
        self.reconstruction = _reconstruction_loss(model, reconstruction) if reconstruction else None

    @classmethod
    def of_method(cls, method: Method, model: nn.Module) -> Self:
        """Return the objective that a method pretrains its model with."""
        return cls(model, method.contrastive, method.sspc, method.clustering, method.reconstruction)

    def forward(self, batch: Mapping[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the loss, a scalar, and its terms by name, detached scalars."""
        embeddings = self.model(batch)
        with torch.autocast(batch["video"].device.type, enabled=False):
            return self.losses(gather_embeddings(in_full_precision(embeddings)), _places(batch))

    def losses(
        self, embeddings: Embeddings, places: Places | None = None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the loss of the global batch's embeddings, fp32, and its terms.

        `places`: where the global batch's clips come from, if it is known.

        The loss is NaN when an embedding or anchor is not finite.
        """
        loss, terms = self.contrastive(embeddings, places)
        for part in (self._sspc, self._clustering, self._reconstruction):
            more, more_terms = part(embeddings)
            loss, terms = loss + more, terms | more_terms
        return loss, terms

    def _sspc(self, embeddings: Embeddings) -> tuple[Tensor | float, dict[str, Tensor]]:
        if self.sspc is None:
            return 0.0, {}
        anchors = cast(Anchors, self.model.anchors)
        # Multi-SK refuses NaN; a loss that is NaN, beside its terms, lets the caller say where it began.
        if not _all_finite([*embeddings.joint.values(), *embeddings.input.values(), *anchors.parameters()]):
            return torch.nan, {}
        return self.sspc(anchors, embeddings.input, embeddings.joint)

    def _clustering(self, embeddings: Embeddings) -> tuple[Tensor | float, dict[str, Tensor]]:
        return self.clustering(embeddings) if self.clustering else (0.0, {})

    def _reconstruction(self, embeddings: Embeddings) -> tuple[Tensor | float, dict[str, Tensor]]:
        if self.reconstruction is None:
            return 0.0, {}
        return self.reconstruction(embeddings.input, embeddings.joint, embeddings.nonempty)


def in_full_precision(embeddings: Embeddings) -> Embeddings:
    """Return the embeddings in fp32."""
    return Embeddings(
        joint={name: x_BJ.float() for name, x_BJ in embeddings.joint.items()},
        input={name: x_BD.float() for name, x_BD in embeddings.input.items()},
        nonempty=embeddings.nonempty,
    )


def _places(batch: Mapping[str, Tensor]) -> Places | None:
    """Return where the clips of the global batch come from; None for clips of benchmarks."""
    if "video_index" not in batch:
        return None
    return Places(gather_rows(batch["video_index"]), gather_rows(batch["start"]))


def _all_finite(tensors: list[Tensor]) -> bool:
    return bool(torch.stack([x.isfinite().all() for x in tensors]).all())


def _sspc_loss(model: Any, sspc: Sspc) -> SSPCLoss:
    anchors = getattr(model, "anchors", None)
    if anchors is None:
        raise InputError("params.yaml: methods: sspc needs a model with anchors; set model: per_modality")
    dimensions = {m: anchors.input[m].shape[1] for m in anchors.modalities}
    return SSPCLoss(sspc, dimensions, anchors.joint[anchors.modalities[0]].shape[1])


def _clustering_loss(model: Any, clustering: Clustering) -> ClusteringLoss:
    return ClusteringLoss(clustering, model.modalities, model.joint_dimension)


def _reconstruction_loss(model: Any, reconstruction: Reconstruction) -> ReconstructionLoss:
    if not model.input_dimensions:
        raise InputError(
            "params.yaml: methods: reconstruction needs a model with input features; leave it out"
        )
    return ReconstructionLoss(reconstruction, model.input_dimensions, model.joint_dimension)
