"""Transformer and projections against plain references."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from multisk.errors import InputError
from multisk.models.blocks import (
    Attention,
    Block,
    GatedProjection,
    Transformer,
    TransformerSettings,
    masked_mean,
    projection,
)


def masks(B: int, N: int) -> Tensor:
    """Random masks with a real token in each row."""
    mask = torch.rand(B, N) < 0.6
    mask[torch.arange(B), torch.randint(N, (B,))] = True
    return mask


def plain_attention(attention: Attention, x_BND: Tensor, mask_BN: Tensor) -> Tensor:
    """softmax(q k / sqrt(d)) v over the real tokens, one sample, head and query at a time."""
    B, N, D = x_BND.shape
    d = D // attention.heads
    q_BND, k_BND, v_BND = attention.qkv(x_BND).split(D, -1)
    y = torch.zeros_like(x_BND)
    for b in range(B):
        real = mask_BN[b].nonzero()[:, 0]
        for h in range(attention.heads):
            part = slice(h * d, (h + 1) * d)
            for n in range(N):
                scores = torch.stack([q_BND[b, n, part] @ k_BND[b, k, part] / math.sqrt(d) for k in real])
                weights = scores.exp() / scores.exp().sum()
                y[b, n, part] = sum(w * v_BND[b, k, part] for w, k in zip(weights, real, strict=True))
    return attention.proj(y)


def plain_norm(norm: nn.LayerNorm, x: Tensor) -> Tensor:
    centred = x - x.mean(-1, keepdim=True)
    return centred / (centred.square().mean(-1, keepdim=True) + 1e-6).sqrt() * norm.weight + norm.bias


def plain_gelu(x: Tensor) -> Tensor:
    return x * (1 + torch.erf(x / math.sqrt(2))) / 2


@settings(deadline=None, max_examples=10)
@given(B=st.integers(1, 3), N=st.integers(1, 6), heads=st.sampled_from([1, 2, 4]), bias=st.booleans())
@torch.no_grad()
def test_block_is_the_plain_pre_norm_block(B: int, N: int, heads: int, bias: bool) -> None:
    block = Block(8, heads, mlp_ratio=2, qkv_bias=bias).double()
    for parameter in block.parameters():
        nn.init.normal_(parameter)
    x, mask = torch.randn(B, N, 8, dtype=torch.float64), masks(B, N)
    y = x + plain_attention(block.attn, plain_norm(block.norm1, x), mask)
    hidden = plain_gelu(block.mlp.fc1(plain_norm(block.norm2, y)))
    torch.testing.assert_close(block(x, mask), y + block.mlp.fc2(hidden))


@pytest.mark.parametrize("cls_token", [False, True])
@pytest.mark.parametrize("depth", [0, 1, 2])
@torch.no_grad()
def test_sharing_the_first_qkv_changes_nothing(depth: int, cls_token: bool) -> None:
    transformer = Transformer(8, TransformerSettings(depth, heads=2, cls_token=cls_token)).double()
    x, mask = torch.randn(3, 5, 8, dtype=torch.float64), masks(3, 5)
    alone, shared = transformer(x, mask), transformer(x, mask, transformer.first_qkv(x))
    torch.testing.assert_close(shared, alone)


@torch.no_grad()
def test_depth_zero_leaves_the_tokens() -> None:
    x = torch.randn(2, 3, 8)
    found, cls = Transformer(8, TransformerSettings(depth=0, heads=2))(x, masks(2, 3))
    assert cls is None
    assert torch.equal(found, x)


@torch.no_grad()
def test_cls_token_is_a_real_token_before_the_others() -> None:
    torch.manual_seed(0)
    transformer = Transformer(8, TransformerSettings(depth=2, heads=2, cls_token=True))
    assert transformer.cls_token is not None
    nn.init.normal_(transformer.cls_token)
    x, mask = torch.randn(2, 3, 8), masks(2, 3)
    y = torch.cat([transformer.cls_token.expand(2, 1, 8), x], 1)
    for block in transformer.blocks:
        y = block(y, torch.cat([torch.ones(2, 1, dtype=torch.bool), mask], 1))
    tokens, cls = transformer(x, mask)
    torch.testing.assert_close(tokens, y[:, 1:])
    torch.testing.assert_close(cls, y[:, 0])


@settings(deadline=None, max_examples=20)
@given(B=st.integers(1, 4), N=st.integers(1, 6), epsilon=st.sampled_from([0.0, 1e-5, 0.5]))
def test_masked_mean_is_the_mean_of_real_tokens(B: int, N: int, epsilon: float) -> None:
    x, mask = torch.randn(B, N, 3, dtype=torch.float64), masks(B, N)
    rows = [x[b][mask[b]].sum(0) / (int(mask[b].sum()) + epsilon) for b in range(B)]
    torch.testing.assert_close(masked_mean(x, mask, epsilon), torch.stack(rows))


def test_gated_projection_gates_its_own_output() -> None:
    layer = GatedProjection(3, 5)
    x = torch.randn(2, 4, 3)
    h = x @ layer.fc.weight.T + layer.fc.bias
    gate = 1 / (1 + torch.exp(-(h @ layer.gate.weight.T + layer.gate.bias)))
    torch.testing.assert_close(layer(x), h * gate)


def test_minimal_projection_is_linear() -> None:
    assert isinstance(projection("minimal", 3, 5), nn.Linear)
    assert isinstance(projection("gated", 3, 5), GatedProjection)


def test_heads_must_divide_the_width() -> None:
    with pytest.raises(InputError, match="heads: 3 do not divide dimension 8"):
        Block(8, heads=3)
