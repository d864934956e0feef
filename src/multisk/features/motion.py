"""Motion features: a 3-D ResNeXt over windows of frames.

Hara, Kataoka, Satoh: "Can Spatiotemporal 3D CNNs Retrace the History of 2D CNNs and ImageNet?" (CVPR 2018);
names of parameters follow the published checkpoints, so that those load as they are.

N windows of T frames, H x W pixels; D features.
"""

import torch
from torch import Tensor, nn

KINETICS_MEAN = (110.6, 103.2, 96.3)  # of 0..255 RGB; the published network divides by nothing
EXPANSION = 2


class Bottleneck(nn.Module):
    """1x1x1, grouped 3x3x3, 1x1x1, with the shortcut of type B: projected where the shape changes."""

    def __init__(self, channels: int, width: int, cardinality: int, stride: int) -> None:
        super().__init__()
        out = EXPANSION * width
        self.conv1 = nn.Conv3d(channels, width, 1, bias=False)
        self.bn1 = nn.BatchNorm3d(width)
        self.conv2 = nn.Conv3d(width, width, 3, stride, padding=1, groups=cardinality, bias=False)
        self.bn2 = nn.BatchNorm3d(width)
        self.conv3 = nn.Conv3d(width, out, 1, bias=False)
        self.bn3 = nn.BatchNorm3d(out)
        self.relu = nn.ReLU(inplace=True)
        self.downsample: nn.Module | None = None
        if stride != 1 or channels != out:
            self.downsample = nn.Sequential(
                nn.Conv3d(channels, out, 1, stride, bias=False), nn.BatchNorm3d(out)
            )

    def forward(self, x: Tensor) -> Tensor:
        """Map [N, channels, T, H, W] to [N, 2 width, T, H, W], each side divided by the stride."""
        shortcut = x if self.downsample is None else self.downsample(x)
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.relu(self.bn2(self.conv2(x)))
        return self.relu(self.bn3(self.conv3(x)) + shortcut)


class ResNeXt3d(nn.Module):
    """Four stages of bottlenecks after a 7x7x7 stem.

    blocks, cardinality, width: (3, 4, 23, 3), 32, 128 in ResNeXt-101. `width` is the bottleneck's in the
    first stage and doubles from stage to stage; the stem has half of it, the last map 16 times as much.
    classes: outputs of the classifier `fc`, which published weights hold and features never use; 0: none
    """

    def __init__(self, blocks: tuple[int, ...], cardinality: int, width: int, classes: int = 0) -> None:
        super().__init__()
        stem = width // 2
        self.conv1 = nn.Conv3d(3, stem, 7, stride=(1, 2, 2), padding=3, bias=False)
        self.bn1 = nn.BatchNorm3d(stem)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool3d(3, stride=2, padding=1)
        channels = stem
        self.channels = [stem]
        for stage, count in enumerate(blocks):
            layer = nn.Sequential()
            for block in range(count):
                stride = 2 if stage and not block else 1
                layer.append(Bottleneck(channels, width << stage, cardinality, stride))
                channels = EXPANSION * (width << stage)
            self.add_module(f"layer{stage + 1}", layer)
            self.channels.append(channels)
        self.stages = [f"layer{stage + 1}" for stage in range(len(blocks))]
        self.fc = nn.Linear(channels, classes) if classes else None

    def forward(self, windows_NCTHW: Tensor) -> list[Tensor]:
        """Map normalised windows f32 [N, 3, T, H, W] to the maps [N, channels, ...] of stem and stages."""
        maps = [self.relu(self.bn1(self.conv1(windows_NCTHW)))]
        x = self.maxpool(maps[0])
        for stage in self.stages:
            x = self.get_submodule(stage)(x)
            maps.append(x)
        return maps


class MotionNetwork(nn.Module):
    """Consecutive frames u8 [n, H, W, 3] to one feature f32 [D] for each window of `window` frames.

    The mean over the time and space of the last stage's map, or with `every_stage` those of all maps side by
    side. Windows do not overlap; black frames fill the last one *before* the mean is subtracted, as released.
    Source: paper, inputs (16 frames at 24/s, the central 112 x 112 pixels).
    """

    mean: Tensor

    def __init__(self, backbone: ResNeXt3d, window: int, *, every_stage: bool = False) -> None:
        super().__init__()
        self.backbone = backbone
        self.first = 0 if every_stage else -1
        self.dimension = sum(backbone.channels[self.first :])
        self.window = window
        self.register_buffer("mean", torch.tensor(KINETICS_MEAN)[:, None, None, None], persistent=False)

    def preprocess(self, frames: Tensor) -> Tensor:
        """Cut frames u8 [n, H, W, 3] into normalised windows f32 [ceil(n / T), 3, T, H, W]."""
        n, H, W, C = frames.shape
        missing = -n % self.window
        padded = torch.cat([frames, frames.new_zeros(missing, H, W, C)])
        windows_NCTHW = padded.view(-1, self.window, H, W, C).permute(0, 4, 1, 2, 3)
        return windows_NCTHW.float() - self.mean

    def forward(self, frames: Tensor) -> Tensor:
        """Return features f32 [ceil(n / window), D] of frames u8 [n, H, W, 3]."""
        maps = self.backbone(self.preprocess(frames))[self.first :]
        return torch.cat([map_NDTHW.mean(dim=(2, 3, 4)) for map_NDTHW in maps], dim=1)
