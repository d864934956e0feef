"""Reconstruction: by hand, and what takes a gradient."""

import torch
import torch.nn.functional as F
from torch import Tensor

from multisk.losses import ReconstructionLoss
from multisk.settings.losses import Reconstruction

B, J = 6, 7
DIMENSIONS = {"t": 4, "v": 6, "a": 5}


def build(weight: float = 1.0) -> ReconstructionLoss:
    torch.manual_seed(0)
    return ReconstructionLoss(Reconstruction(weight=weight), DIMENSIONS, J)


def batch() -> tuple[dict[str, Tensor], dict[str, Tensor], dict[str, Tensor]]:
    torch.manual_seed(1)
    input = {m: torch.randn(B, D).requires_grad_() for m, D in DIMENSIONS.items()}
    joint = {m: torch.randn(B, J).requires_grad_() for m in DIMENSIONS}
    return input, joint, {m: torch.arange(B) != k for k, m in enumerate(DIMENSIONS)}


def test_agrees_with_the_equation() -> None:
    loss = build(0.5)
    input, joint, nonempty = batch()
    parts = {}
    for m in DIMENSIONS:
        first, _, second = loss.decoders[m]  # type: ignore[misc]
        costs = []
        for b in range(B):
            if nonempty[m][b]:
                hidden = (first.weight @ F.normalize(joint[m][b], dim=0) + first.bias).clamp(min=0)
                decoded = second.weight @ hidden + second.bias
                costs.append(((decoded - F.normalize(input[m][b], dim=0)) ** 2).sum())
        parts[m] = torch.stack(costs).mean()
    total, terms = loss(input, joint, nonempty)
    torch.testing.assert_close(total, 0.5 * torch.stack(list(parts.values())).mean())
    for m, part in parts.items():
        torch.testing.assert_close(terms[f"reconstruction/{m}"], part.detach())


def test_the_input_is_a_target_without_gradient() -> None:
    loss = build()
    input, joint, nonempty = batch()
    loss(input, joint, nonempty)[0].backward()
    assert all(x.grad is None for x in input.values())
    for k, m in enumerate(DIMENSIONS):
        gradient = joint[m].grad
        assert gradient is not None
        assert not gradient[k].any()
        assert gradient.any()
    assert all(parameter.grad is not None for parameter in loss.parameters())


def test_without_samples_there_is_no_loss() -> None:
    input, joint, _ = batch()
    total, terms = build()(input, joint, {m: torch.zeros(B, dtype=torch.bool) for m in DIMENSIONS})
    assert total == 0
    assert terms == {}
    total.backward()
