"""Appearance features: any image network that timm knows, or CLIP's image tower.

N frames of H x W pixels; D features.
"""

from typing import Any

import torch
from torch import Tensor, nn

from multisk.errors import InputError, one_line

KEY = "params.yaml: features.appearance"


class AppearanceNetwork(nn.Module):
    """Frames u8 [N, H, W, 3] to features f32 [N, D] with a network of timm.

    A CNN looks at the whole picture and gives the mean of its last feature map, a transformer its pooled
    token; with `every_stage` a CNN gives the means of all stages' maps side by side.
    Source: paper, inputs (ResNet-152, shorter side 224, mean over the whole rectangle).
    """

    mean: Tensor
    std: Tensor

    def __init__(self, model: str, *, every_stage: bool = False, pretrained: bool = False) -> None:
        super().__init__()
        self.model = model
        self.every_stage = every_stage
        if every_stage:
            self.backbone = _create(model, pretrained, features_only=True)
            if not any(isinstance(module, nn.BatchNorm2d) for module in self.backbone.modules()):
                raise InputError(
                    f"{KEY}.weights: random ones are calibrated by batch normalisation, which {model} lacks; "
                    "name trained ones"
                )
            self.dimension: int = sum(self.backbone.feature_info.channels())
        else:
            self.backbone = _create(model, pretrained, num_classes=0)
            self.dimension = getattr(self.backbone, "head_hidden_size", None) or self.backbone.num_features
        trained_on = _trained_on(self.backbone)
        self.side: int = trained_on["input_size"][-1]  # of the pictures that it was trained with
        self.register_buffer("mean", torch.tensor(trained_on["mean"])[:, None, None], persistent=False)
        self.register_buffer("std", torch.tensor(trained_on["std"])[:, None, None], persistent=False)

    def preprocess(self, frames: Tensor) -> Tensor:
        """Normalise frames u8 [N, H, W, 3] to f32 [N, 3, H, W] as the network was trained."""
        return (frames.permute(0, 3, 1, 2) / 255 - self.mean) / self.std

    def forward(self, frames: Tensor) -> Tensor:
        """Return features f32 [N, D] of frames u8 [N, H, W, 3]."""
        pictures = self.preprocess(frames)
        if self.every_stage:
            return torch.cat([map_NDHW.mean(dim=(2, 3)) for map_NDHW in self.backbone(pictures)], dim=1)
        return self.backbone.forward_head(self.backbone.forward_features(pictures), pre_logits=True)


def _create(model: str, pretrained: bool, **options: Any) -> Any:
    import timm

    try:
        return timm.create_model(model, pretrained=pretrained, **options)
    except (RuntimeError, OSError) as error:
        raise InputError(
            f"{KEY}: {one_line(error)}; name a model of timm, and weights that can be had"
        ) from None


def _trained_on(backbone: nn.Module) -> dict[str, Any]:
    from timm.data import resolve_model_data_config

    return resolve_model_data_config(backbone)
