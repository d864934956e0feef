"""Building blocks that the models share: projections, masked mean, transformer.

Shapes: B samples, N tokens, D width, H heads.
"""

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from multisk.errors import InputError

ProjectionKind = Literal["gated", "minimal"]

NORM_EPSILON = 1e-6
INITIAL_STD = 0.02


class GatedProjection(nn.Module):
    """A linear layer whose output gates itself: h = W x + b, then h * sigmoid(W' h + b').

    Miech, Laptev, Sivic: Learnable pooling with Context Gating (2017). Weights keep torch's default
    initialisation (as released).
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.fc = nn.Linear(inputs, outputs)
        self.gate = nn.Linear(outputs, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Map [..., inputs] to [..., outputs]."""
        h = self.fc(x)
        return h * torch.sigmoid(self.gate(h))


def projection(kind: ProjectionKind, inputs: int, outputs: int) -> nn.Module:
    """Return a gated projection, or a plain linear layer ("minimal")."""
    return GatedProjection(inputs, outputs) if kind == "gated" else nn.Linear(inputs, outputs)


def masked_mean(x_BND: Tensor, mask_BN: Tensor, epsilon: float = 0.0) -> Tensor:
    """Return the mean over the tokens where the mask is True, [B, D].

    `epsilon` is added to the count: 1e-5 in the release of Multi-SK, where a lone token hence shrinks by
    1e-5, and 0 in that of EAO.
    """
    weight_BN1 = mask_BN[:, :, None].to(x_BND.dtype)
    return (x_BND * weight_BN1).sum(1) / (weight_BN1.sum(1) + epsilon)


class Attention(nn.Module):
    """Multi-head self-attention that ignores masked keys."""

    def __init__(self, dimension: int, heads: int, qkv_bias: bool = True) -> None:
        super().__init__()
        if dimension % heads:
            raise InputError(f"heads: {heads} do not divide dimension {dimension}; use a divisor")
        self.heads = heads
        self.qkv = nn.Linear(dimension, 3 * dimension, bias=qkv_bias)
        self.proj = nn.Linear(dimension, dimension)

    def forward(self, qkv_BNE: Tensor, mask_BN: Tensor) -> Tensor:
        """Attend to the tokens whose mask is True, of which each sample needs one at least; [B, N, D].

        `qkv_BNE` [B, N, 3 D] are queries, keys and values as `self.qkv` makes them.
        """
        B, N, E = qkv_BNE.shape
        q, k, v = qkv_BNE.view(B, N, 3, self.heads, E // (3 * self.heads)).permute(2, 0, 3, 1, 4)
        y_BHNd = F.scaled_dot_product_attention(q, k, v, attn_mask=mask_BN[:, None, None, :])
        return self.proj(y_BHNd.transpose(1, 2).reshape(B, N, E // 3))


class Mlp(nn.Module):
    """Two linear layers with GELU between."""

    def __init__(self, dimension: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(dimension, hidden)
        self.fc2 = nn.Linear(hidden, dimension)

    def forward(self, x: Tensor) -> Tensor:
        """Map [..., D] to [..., D]."""
        return self.fc2(F.gelu(self.fc1(x)))


class Block(nn.Module):
    """Pre-norm transformer block."""

    def __init__(self, dimension: int, heads: int, mlp_ratio: float = 1, qkv_bias: bool = True) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dimension, eps=NORM_EPSILON)
        self.attn = Attention(dimension, heads, qkv_bias)
        self.norm2 = nn.LayerNorm(dimension, eps=NORM_EPSILON)
        self.mlp = Mlp(dimension, int(dimension * mlp_ratio))

    def qkv(self, x_BND: Tensor) -> Tensor:
        """Return queries, keys and values, [B, N, 3 D]; each token's depend on that token alone."""
        return self.attn.qkv(self.norm1(x_BND))

    def forward(self, x_BND: Tensor, mask_BN: Tensor, qkv_BNE: Tensor | None = None) -> Tensor:
        """Return the tokens after attention to unmasked tokens and the MLP, [B, N, D].

        `qkv_BNE` saves computing `qkv(x_BND)`. What comes out in masked positions means nothing.
        """
        x_BND = x_BND + self.attn(self.qkv(x_BND) if qkv_BNE is None else qkv_BNE, mask_BN)
        return x_BND + self.mlp(self.norm2(x_BND))


@dataclass(frozen=True)
class TransformerSettings:
    """Shape of a transformer.

    Attributes:
        depth: number of blocks; 0 leaves the tokens as they are.
        heads: attention heads; must divide the tokens' width D.
        mlp_ratio: hidden width of the MLP over D.
        qkv_bias: whether queries, keys and values have a bias.
        cls_token: prepend a learned token, which then sums the sequence up in place of the mean.
    """

    depth: int
    heads: int
    mlp_ratio: float = 1
    qkv_bias: bool = True
    cls_token: bool = False


class Transformer(nn.Module):
    """A stack of blocks over tokens of width D, without final norm."""

    cls_token: nn.Parameter | None

    def __init__(self, dimension: int, settings: TransformerSettings) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            Block(dimension, settings.heads, settings.mlp_ratio, settings.qkv_bias)
            for _ in range(settings.depth)
        )
        self.register_parameter("cls_token", learned_token(dimension) if settings.cls_token else None)
        self.apply(_initialize)

    def first_qkv(self, x_BND: Tensor) -> Tensor | None:
        """Return the first block's queries, keys and values, to share between sequences; None at depth 0."""
        if not len(self.blocks):
            return None
        first = self.blocks[0]
        assert isinstance(first, Block)
        return first.qkv(x_BND)

    def forward(
        self, x_BND: Tensor, mask_BN: Tensor, first_qkv_BNE: Tensor | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """Return the tokens [B, N, D] after all blocks, and the cls token [B, D] if there is one.

        `first_qkv_BNE` saves computing `first_qkv(x_BND)`.
        """
        if self.cls_token is not None:
            B, _, D = x_BND.shape
            cls_B1D = self.cls_token.to(x_BND.dtype).expand(B, 1, D)
            cls_qkv_B1E = self.first_qkv(cls_B1D)
            if cls_qkv_B1E is not None and first_qkv_BNE is not None:
                first_qkv_BNE = torch.cat([cls_qkv_B1E, first_qkv_BNE], 1)
            x_BND = torch.cat([cls_B1D, x_BND], 1)
            mask_BN = F.pad(mask_BN, (1, 0), value=True)
        for depth, block in enumerate(self.blocks):
            x_BND = block(x_BND, mask_BN, first_qkv_BNE if depth == 0 else None)
        return (x_BND, None) if self.cls_token is None else (x_BND[:, 1:], x_BND[:, 0])


def learned_token(*shape: int) -> nn.Parameter:
    """Return a parameter drawn from N(0, 0.02), truncated at 2 (as released)."""
    return nn.Parameter(nn.init.trunc_normal_(torch.empty(shape), std=INITIAL_STD))


def _initialize(module: nn.Module) -> None:
    # As released: only the transformers' own linear layers, not projections.
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=INITIAL_STD)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
