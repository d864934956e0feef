"""Model and losses as one module, so that one forward pass gives the loss of a batch."""

from collections.abc import Mapping
from typing import Any, cast

import torch
from torch import Tensor, nn

from multisk.losses import LOSSES, ClipOrigins, GlobalBatch, MethodLoss
from multisk.models.embeddings import Embeddings
from multisk.settings.losses import Losses
from multisk.training.distributed import gather_embeddings, gather_rows


class Objective(nn.Module):
    """L = the sum of a method's losses of a model's embeddings (paper: loss).

    Only the model runs under autocast, in half precision; the losses take fp32 embeddings of the global
    batch, gathered over processes. Each loss is a submodule under its name, None where the method has none;
    its queues, centroids and decoders become part of this module's state.

    Args:
        model: maps a batch to `Embeddings`, and has what the losses need of it (`MethodLoss.of_model`).
        losses: settings of the losses; a method's entry is one.

    Raises:
        InputError: a loss with a model that lacks what it needs.
    """

    def __init__(self, model: Any, losses: Losses) -> None:
        super().__init__()
        self.model = model
        settings = losses.losses
        for name, loss in LOSSES.items():
            made = loss.of_model(settings[name], model) if name in settings else None
            self.add_module(name, cast(nn.Module | None, made))
        self.names = tuple(name for name in LOSSES if name in settings)

    def forward(self, batch: Mapping[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the loss, a scalar, and its terms by name, detached scalars."""
        embeddings = self.model(batch)
        with torch.autocast(batch["video"].device.type, enabled=False):
            return self.losses(gather_embeddings(in_full_precision(embeddings)), _origins(batch))

    def losses(
        self, embeddings: Embeddings, origins: ClipOrigins | None = None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the loss of the global batch's embeddings, fp32, and its terms.

        `origins`: where the global batch's clips come from, if it is known.

        The loss is NaN when an embedding or anchor is not finite.
        """
        batch = GlobalBatch(embeddings, getattr(self.model, "anchors", None), origins)
        parts = [cast(MethodLoss, getattr(self, name)).of_batch(batch) for name in self.names]
        terms = {name: term for _, found in parts for name, term in found.items()}
        return cast(Tensor, sum(loss for loss, _ in parts)), terms


def in_full_precision(embeddings: Embeddings) -> Embeddings:
    """Return the embeddings in fp32."""
    return Embeddings(
        joint={name: x_BJ.float() for name, x_BJ in embeddings.joint.items()},
        input={name: x_BD.float() for name, x_BD in embeddings.input.items()},
        nonempty=embeddings.nonempty,
    )


def _origins(batch: Mapping[str, Tensor]) -> ClipOrigins | None:
    """Return where the clips of the global batch come from; None for clips of benchmarks."""
    if "video_index" not in batch:
        return None
    return ClipOrigins(gather_rows(batch["video_index"]), gather_rows(batch["start"]))
