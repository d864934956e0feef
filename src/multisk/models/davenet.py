"""ResDAVEnet: log-mel frames -> audio tokens, trained with the rest of the model.

Harwath, Hsu, Glass: Learning Hierarchical Discrete Linguistic Units from Visually-Grounded Speech
(2020). Multi-SK and EAO use a longer version with six stages ("v2").

Shapes: B samples, F mel bands, T frames, C channels, N tokens.
"""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from multisk.errors import InputError

BANDS = 40


class ResidualBlock(nn.Module):
    """Two convolutions over frames with batch norm, plus a shortcut."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv1d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False)
        self.bn1 = nn.BatchNorm1d(outputs)
        self.conv2 = nn.Conv1d(outputs, outputs, kernel, padding=kernel // 2, bias=False)
        self.bn2 = nn.BatchNorm1d(outputs)
        same_shape = stride == 1 and inputs == outputs
        self.shortcut: nn.Module = nn.Identity() if same_shape else _shortcut(inputs, outputs, stride)

    def forward(self, x_BCT: Tensor) -> Tensor:
        """Map [B, inputs, T] to [B, outputs, ceil(T / stride)]."""
        y = F.relu(self.bn1(self.conv1(x_BCT)))
        return F.relu(self.bn2(self.conv2(y)) + self.shortcut(x_BCT))


class ResDavenet(nn.Module):
    """ResDAVEnet: a stem that mixes the mel bands, then residual stages that halve the frame rate.

    The release holds the weights of 2-D convolutions, (bands, 1) in the stem and (1, kernel) behind it;
    once the stem has collapsed the bands only frames are left, so these are 1-D convolutions.

    Args:
        layers: residual blocks per stage; six stages in v2 (1 token per 64 frames), four in v1 (16).
        widths: channels of the stem, then of each stage.
        kernel: frames that a convolution sees; odd.
        bands: mel bands of the input.
    """

    def __init__(
        self, layers: Sequence[int], widths: Sequence[int], kernel: int = 9, bands: int = BANDS
    ) -> None:
        super().__init__()
        if len(widths) != len(layers) + 1 or kernel % 2 == 0:
            raise InputError(
                f"davenet: {len(layers)} layers, {len(widths)} widths, kernel {kernel}: "
                "widths needs one entry more than layers (the stem's) and kernel must be odd"
            )
        self.channels = widths[-1]
        self.stride = 2 ** len(layers)
        self.conv1 = nn.Conv1d(bands, widths[0], kernel_size=1, bias=False)
        self.bn1 = nn.BatchNorm1d(widths[0])
        self.stages = nn.ModuleList(
            nn.Sequential(
                ResidualBlock(inputs, outputs, kernel, stride=2),
                *(ResidualBlock(outputs, outputs, kernel, stride=1) for _ in range(blocks - 1)),
            )
            for blocks, inputs, outputs in zip(layers, widths[:-1], widths[1:], strict=True)
        )
        for module in self.stages.modules():
            if isinstance(module, nn.Conv1d):
                _initialize(module, positions=module.kernel_size[0])
        # The released stem is a 2-D convolution, whose kernel positions are the bands.
        _initialize(self.conv1, positions=bands)

    def forward(self, audio_BFT: Tensor) -> Tensor:
        """Map log-mel frames [B, bands, T] to features [B, C, N] with N = `token_count(T)`.

        Padded frames take part in convolutions and batch statistics (as released).
        """
        x = F.relu(self.bn1(self.conv1(audio_BFT)))
        for stage in self.stages:
            x = stage(x)
        return x

    def token_count(self, frames: int) -> int:
        """Return how many tokens come out of `frames` frames: each stage rounds up the half."""
        return -(-frames // self.stride)

    def token_mask(self, mask_BT: Tensor) -> Tensor:
        """Return which tokens have a real frame beneath them, bool [B, N], for frames bool [B, T].

        Tokens are laid over windows of ceil(T / N) frames (as released), which covers the frames only
        for some T. Raises InputError for others and names the nearest lengths that work.
        """
        _, T = mask_BT.shape
        if not self.fits(T):
            shorter = next((n for n in range(T - 1, 0, -1) if self.fits(n)), None)
            longer = next(n for n in range(T + 1, T + 2 * self.stride) if self.fits(n))
            remedy = " or ".join(str(n) for n in (shorter, longer) if n)
            raise InputError(
                f"audio_frames: {T} frames do not divide into {self.token_count(T)} tokens; use {remedy}"
            )
        window = -(-T // self.token_count(T))
        return F.max_pool1d(mask_BT[:, None].float(), window)[:, 0] > 0

    def fits(self, frames: int) -> bool:
        """Say whether windows of ceil(T / N) frames give exactly N tokens."""
        tokens = self.token_count(frames)
        window = -(-frames // tokens)
        return frames // window == tokens


def _shortcut(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv1d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm1d(outputs))


def _initialize(convolution: nn.Conv1d, positions: int) -> None:
    """Draw weights from N(0, 2 / (positions * outputs)), as released."""
    nn.init.normal_(convolution.weight, std=(2 / (positions * convolution.out_channels)) ** 0.5)
