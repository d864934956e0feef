"""Reconstruction: what the joint embedding of a modality still knows of its input.

Chen et al.: Multimodal Clustering Networks for Self-supervised Learning from Unlabeled Videos (ICCV 2021).
`recipes/mcn.yaml` says what of it is here.

Shapes: B samples, D input features, J joint features.
"""

from collections.abc import Mapping
from typing import Any, Self

import torch
from torch import Tensor, nn

from multisk.errors import InputError
from multisk.losses.batch import GlobalBatch, Terms
from multisk.losses.contrastive import normalized
from multisk.settings.losses import Reconstruction


class ReconstructionLoss(nn.Module):
    """Squared distance of each modality's input feature from what a decoder makes of its joint embedding.

        L = weight · mean over m of mean over b of |decoder_m(x^_mb) - x_mb|²

    with x^ the L2-normalised joint embedding and x the L2-normalised input feature, over the samples b
    that have modality m. x is a target without gradient: it is learned too, and would otherwise become
    whatever is easy to predict.

    Args:
        reconstruction: settings as in params.yaml.
        input_dimensions: size D of the input features by modality.
        joint_dimension: size J of the joint embeddings.
    """

    def __init__(
        self, reconstruction: Reconstruction, input_dimensions: Mapping[str, int], joint_dimension: int
    ) -> None:
        super().__init__()
        self.weight = reconstruction.weight
        self.decoders = nn.ModuleDict(
            {
                m: nn.Sequential(nn.Linear(joint_dimension, D), nn.ReLU(), nn.Linear(D, D))
                for m, D in input_dimensions.items()
            }
        )

    @classmethod
    def of_model(cls, settings: Reconstruction, model: Any) -> Self:
        """Make the loss of a method for a model; raise InputError if it has no input features."""
        if not model.input_dimensions:
            raise InputError(
                "params.yaml: methods: reconstruction needs a model with input features; leave it out"
            )
        return cls(settings, model.input_dimensions, model.joint_dimension)

    def of_batch(self, batch: GlobalBatch) -> tuple[Tensor, Terms]:
        """Return the loss of a batch and its terms, see `forward`."""
        return self(batch.embeddings.input, batch.embeddings.joint, batch.embeddings.nonempty)

    def forward(
        self, input: Mapping[str, Tensor], joint: Mapping[str, Tensor], nonempty: Mapping[str, Tensor]
    ) -> tuple[Tensor, Terms]:
        """Return the loss, a scalar, and the distance of each modality, `reconstruction/m`, detached."""
        terms = {}
        for m, decoder in self.decoders.items():
            present_B = nonempty[m]
            if present_B.any():
                x_nD = normalized(input[m][present_B]).detach()
                decoded_nD = decoder(normalized(joint[m][present_B]))
                terms[f"reconstruction/{m}"] = (decoded_nD - x_nD).square().sum(1).mean()
        if not terms:
            return torch.zeros((), device=next(self.parameters()).device, requires_grad=True), {}
        loss = self.weight * torch.stack(list(terms.values())).mean()
        return loss, {name: term.detach() for name, term in terms.items()}
