"""The audio network: convolutions, lengths and masks."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from multisk.errors import InputError
from multisk.models.davenet import ResDavenet, ResidualBlock


def make(stages: int = 6, width: int = 4) -> ResDavenet:
    return ResDavenet([1] * stages, [width] * (stages + 1), kernel=9)


def plain_convolution(x_BCT: Tensor, weight_DCK: Tensor, stride: int) -> Tensor:
    """Every output is a sum over channels and over the frames around it; zeros lie outside."""
    B, _, T = x_BCT.shape
    outputs, _, K = weight_DCK.shape
    centres = range(0, T, stride)
    y = x_BCT.new_zeros(B, outputs, len(centres))
    for n, centre in enumerate(centres):
        for k in range(K):
            t = centre + k - K // 2
            if 0 <= t < T:
                y[:, :, n] += x_BCT[:, :, t] @ weight_DCK[:, :, k].T
    return y


def plain_norm(x_BCT: Tensor, norm: nn.BatchNorm1d) -> Tensor:
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale = norm.weight / (norm.running_var + norm.eps).sqrt()
    return (x_BCT - norm.running_mean[:, None]) * scale[:, None] + norm.bias[:, None]


def randomize(module: nn.Module) -> None:
    for norm in module.modules():
        if isinstance(norm, nn.BatchNorm1d):
            norm.load_state_dict(
                {name: torch.rand(x.shape) + 0.5 for name, x in norm.state_dict().items() if x.ndim},
                strict=False,
            )


@pytest.mark.parametrize(("inputs", "stride"), [(3, 1), (5, 1), (3, 2)])
@torch.no_grad()
def test_block_is_two_convolutions_and_a_shortcut(inputs: int, stride: int) -> None:
    torch.manual_seed(0)
    block = ResidualBlock(inputs, 5, kernel=9, stride=stride).double().eval()
    randomize(block)
    x = torch.randn(2, inputs, 21, dtype=torch.float64)
    shortcut = x
    if isinstance(block.shortcut, nn.Sequential):
        convolution, norm = block.shortcut
        assert isinstance(convolution, nn.Conv1d)
        assert isinstance(norm, nn.BatchNorm1d)
        shortcut = plain_norm(plain_convolution(x, convolution.weight, stride), norm)
    y = plain_norm(plain_convolution(x, block.conv1.weight, stride), block.bn1).relu()
    y = plain_norm(plain_convolution(y, block.conv2.weight, 1), block.bn2)
    torch.testing.assert_close(block(x), (y + shortcut).relu())


def test_only_a_change_of_shape_needs_a_learned_shortcut() -> None:
    assert isinstance(ResidualBlock(4, 4, 9, stride=1).shortcut, nn.Identity)
    assert not isinstance(ResidualBlock(4, 4, 9, stride=2).shortcut, nn.Identity)


@settings(deadline=None, max_examples=20)
@given(stages=st.integers(1, 6), frames=st.integers(1, 400))
@torch.no_grad()
def test_token_count_is_the_length_of_the_output(stages: int, frames: int) -> None:
    davenet = make(stages).eval()
    assert davenet(torch.zeros(1, 40, frames)).shape == (1, 4, davenet.token_count(frames))


@settings(deadline=None, max_examples=50)
@given(frames=st.integers(1, 5000), real=st.integers(0, 5000))
def test_mask_marks_tokens_with_a_real_frame(frames: int, real: int) -> None:
    davenet = make()
    if not davenet.fits(frames):
        return
    tokens = davenet.token_count(frames)
    window = -(-frames // tokens)
    mask = torch.arange(frames)[None] < real
    found = davenet.token_mask(mask)[0]
    assert found.tolist() == [bool(mask[0, n * window : (n + 1) * window].any()) for n in range(tokens)]


@pytest.mark.parametrize("frames", [768, 3072, 3200, 4608])
def test_published_lengths_fit(frames: int) -> None:
    assert make().token_mask(torch.ones(2, frames, dtype=torch.bool)).all()


@pytest.mark.parametrize("frames", [65, 700, 800, 1000])
def test_other_lengths_are_refused_with_some_that_fit(frames: int) -> None:
    davenet = make()
    with pytest.raises(InputError, match=rf"^audio_frames: {frames} frames .*; use \d+ or \d+$") as caught:
        davenet.token_mask(torch.ones(1, frames, dtype=torch.bool))
    shorter, longer = (int(n) for n in str(caught.value).split("; use ")[1].split(" or "))
    assert shorter < frames < longer
    assert all(davenet.fits(n) == (n in (shorter, longer)) for n in range(shorter, longer + 1))


def test_sizes_that_disagree_are_refused() -> None:
    with pytest.raises(InputError, match="one entry more"):
        ResDavenet([1, 1], [4, 4])
    with pytest.raises(InputError, match="odd"):
        ResDavenet([1], [4, 4], kernel=8)
