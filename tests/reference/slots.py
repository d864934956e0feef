"""The slots of Multi-SK one by one, before the solver sums them."""

import torch
from torch import Tensor

from multisk.sinkhorn import Slots, _assigned, _check, _dtype, _solve


def slot_assignments(
    scores: Tensor,
    *,
    fraction: float | None = 0.5,
    epsilon: float = 0.07,
    iterations: int = 20,
    slots: Slots = "constant",
) -> Tensor:
    """Return the distinct slots A_i of `multi_sinkhorn` before they are summed, [..., S, N, K].

    Constant slots: S = 2, the low gain first; the slots stand for K - r and r copies. For r = 0 or r = K
    there is a single distinct slot (S = 1), and it is uniform whatever the scores are. Ramp slots: S = K.
    A single slot: S = 1, plain Sinkhorn-Knopp. Each slot's rows sum to one. Arguments and dtypes as for
    `multi_sinkhorn`.
    """
    _check(scores, fraction, epsilon, iterations, slots)
    *leading, N, K = scores.shape
    r = _assigned(K, fraction, slots)
    groups = [slot_PSNK for slot_PSNK, _ in _solve(scores, r, epsilon, iterations, slots)]
    slot_PSNK = torch.cat(groups).to(_dtype(scores))
    return slot_PSNK.reshape(*leading, slot_PSNK.shape[1], N, K)
