"""Multi-SK and plain Sinkhorn-Knopp straight from the equations: one [K, N, K] cube, nothing clever.

Tests and benchmarks load it with runpy; it follows the dtype of the scores.
"""

import torch
from torch import Tensor


def gains(K: int, r: int, slots: str) -> list[float]:
    """Return the gain of each of the K slots."""
    if slots == "ramp":
        return [0.9 * (i + 1) / K + 0.1 for i in range(K)]
    return [0.25] * (K - r) + [1.0] * r


def cube(scores: Tensor, fraction: float, epsilon: float, iterations: int, slots: str) -> Tensor:
    """Return all K slots, [K, N, K]: slot, sample, anchor."""
    N, K = scores.shape
    gain = torch.tensor(gains(K, int(K * fraction), slots), dtype=scores.dtype, device=scores.device)
    A = torch.exp(gain[:, None, None] * scores / epsilon)
    A = A / A.sum()
    for _ in range(iterations):
        A = A / (A.sum(1, keepdim=True) + 1e-5) * (N / K)
        A = A / (A.sum(0, keepdim=True) + 1e-5)
        A = A / (A.sum(2, keepdim=True) + 1e-5)
    return A / A.sum(2, keepdim=True)


def stretch(A: Tensor, r: int) -> Tensor:
    """Sum the last r slots and stretch each sample's row to [0, 1]."""
    total = A[-r:].sum(0)
    low, high = total.amin(1, keepdim=True), total.amax(1, keepdim=True)
    return (total - low) / (high - low)


def multi_sinkhorn(
    scores: Tensor,
    fraction: float = 0.5,
    epsilon: float = 0.07,
    iterations: int = 20,
    slots: str = "constant",
) -> Tensor:
    """Return the assignment [N, K] of `scores` [N, K]."""
    r = int(scores.shape[1] * fraction)
    return stretch(cube(scores, fraction, epsilon, iterations, slots), r)


def plan(scores: Tensor, epsilon: float, iterations: int) -> Tensor:
    """Return plain Sinkhorn-Knopp's assignment [N, K]: N/K samples an anchor, rows that sum to one."""
    N, K = scores.shape
    A = torch.exp(scores / epsilon)
    A = A / A.sum()
    for _ in range(iterations):
        A = A / (A.sum(0, keepdim=True) + 1e-5) * (N / K)
        A = A / (A.sum(1, keepdim=True) + 1e-5)
    return A / A.sum(1, keepdim=True)


def sinkhorn_knopp(scores: Tensor, epsilon: float, iterations: int) -> Tensor:
    """Return plain Sinkhorn-Knopp's assignment with each row stretched to [0, 1]."""
    return stretch(plan(scores, epsilon, iterations)[None], 1)
