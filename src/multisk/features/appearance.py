"""Appearance features: any 2-D network that timm knows, the mean of its last feature map.

N frames of H x W pixels; D features.
"""

from typing import Any

import torch
from torch import Tensor, nn

from multisk.errors import InputError

KEY = "params.yaml: features.appearance"
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


class AppearanceNetwork(nn.Module):
    """Frames u8 [N, H, W, 3] to features f32 [N, D]: whole pictures, nothing is cropped.

    The mean of the last feature map, or with `every_stage` the means of all stages' maps side by side.
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
            self.dimension: int = sum(self.backbone.feature_info.channels())
        else:
            self.backbone = _create(model, pretrained, num_classes=0)
            self.dimension = self.backbone.num_features
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN)[:, None, None], persistent=False)
        self.register_buffer("std", torch.tensor(IMAGENET_STD)[:, None, None], persistent=False)

    def preprocess(self, frames: Tensor) -> Tensor:
        """Normalise frames u8 [N, H, W, 3] to f32 [N, 3, H, W] as ImageNet networks expect."""
        return (frames.permute(0, 3, 1, 2) / 255 - self.mean) / self.std

    def forward(self, frames: Tensor) -> Tensor:
        """Return features f32 [N, D] of frames u8 [N, H, W, 3]."""
        pictures = self.preprocess(frames)
        maps = self.backbone(pictures) if self.every_stage else [self.backbone.forward_features(pictures)]
        channels = sum(map_NDHW.shape[1] for map_NDHW in maps if map_NDHW.ndim == 4)
        if channels != self.dimension:
            raise InputError(f"{KEY}.model: {self.model} gives no feature maps; choose a CNN")
        return torch.cat([map_NDHW.mean(dim=(2, 3)) for map_NDHW in maps], dim=1)


def _create(model: str, pretrained: bool, **options: Any) -> Any:
    import timm

    try:
        return timm.create_model(model, pretrained=pretrained, **options)
    except (RuntimeError, OSError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{KEY}: {reason}; name a model of timm, and weights that can be had") from None
