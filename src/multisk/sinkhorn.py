"""Multi-SK: Sinkhorn-Knopp that gives every sample several anchors; and the plain one, which gives one.

Swetha, Rizve, Shvetsova, Kuehne, Shah: *Preserving Modality Structure Improves Multi-Modal Learning*,
ICCV 2023, arXiv 2308.13077.

Shapes in tensor names: P problems (the leading dimensions, flattened), S distinct slots, N samples,
K anchors; r anchors are assigned to a sample.
"""

import math
from collections.abc import Iterator
from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor

Slots = Literal["constant", "ramp", "single"]

GUARD = 1e-5  # added to every marginal before dividing by it (as released)
LOW_GAIN = 0.25  # of the first K - r constant slots; the last r have gain 1


class MultiSinkhornResult(NamedTuple):
    """Assignments from one call of `multi_sinkhorn`, and what tells how far to trust them.

    Attributes:
        assignment: [..., N, K] in [0, 1], float64 for float64 scores and float32 for all others. Every
            row that is not flat holds a 1 and a 0.
        marginal_error: [...] largest relative distance of a marginal from its target after the last
            iteration, over the samples' sum per slot and anchor (target N/K) and the slots' sum per
            sample and anchor (target 1; a single slot has no such marginal). The third marginal always
            holds up to rounding.
        flat: [...] int64, number of flat rows: samples that prefer no anchor by more than rounding, for
            which min-max is undefined; they are assigned r/K to every anchor (1/K with a single slot). All
            rows are flat when all samples are equal (a collapsed representation).
        iterations: iterations done.
    """

    assignment: Tensor
    marginal_error: Tensor
    flat: Tensor
    iterations: int

    def converged(self, tolerance: float = 1e-2) -> Tensor:
        """Return [...] bool: which problems hold their marginals up to a relative `tolerance`."""
        return self.marginal_error <= tolerance


def multi_sinkhorn(
    scores: Tensor,
    *,
    fraction: float | None = 0.5,
    epsilon: float = 0.07,
    iterations: int = 20,
    slots: Slots = "constant",
) -> MultiSinkhornResult:
    """Assign every sample to r = int(K · fraction) anchors, softly and with equal use of all anchors.

    K copies of the scores S, the *slots*, begin as A_ink = exp(g_i S_nk / epsilon) with gains g_i, divided
    by the sum over everything. One iteration then makes, in this order,

        Σ_n A_ink = N/K   per slot and anchor,
        Σ_i A_ink = 1     per sample and anchor,
        Σ_k A_ink = 1     per slot and sample,

    each by dividing by the present sum + 1e-5. After the last iteration the third is made exact, the last
    r slots are summed, and each sample's sums are stretched to [0, 1].

    *Constant* slots have gain 0.25 (the first K - r) or 1 (the last r). Slots of equal gain stay equal
    through every step, so two slots that count K - r and r times give the result of all K, with K/2 times
    less work and memory. *Ramp* slots have K different gains 0.9 (i + 1)/K + 0.1 and need the whole
    [K, N, K] cube. A *single* slot of gain 1 is plain Sinkhorn-Knopp, which gives each sample one anchor's
    worth of assignment: A = exp(S / epsilon), then by turns Σ_n A_nk = N/K and Σ_k A_nk = 1. The sum over
    slots, which makes a sample use its anchors equally, has no meaning there; everything else is the same,
    the stretching to [0, 1] too, so that a comparison with Multi-SK changes the assignment alone and not
    the scale of what is learned from it.

    float16, bfloat16 and float32 scores are computed in float32 (also under autocast), float64 scores in
    float64. Scores that spread so far that exp leaves the range of these floats (in float32, by more than
    about 50 · epsilon) go through the same steps on logarithms, in float64.

    Args:
        scores: [..., N, K], similarity of N samples to K anchors; finite, any floating dtype; not changed.
            Leading dimensions are independent problems.
        fraction: share ρ of the anchors that a sample is assigned to (paper: 0.5); a single slot has none,
            so there it is not looked at.
        epsilon: temperature, in units of the scores (paper: 0.07).
        iterations: number of iterations (paper: 20).
        slots: "constant" (paper), "ramp", or "single" for plain Sinkhorn-Knopp.

    Returns:
        Assignments and diagnostics, without gradient.

    Raises:
        ValueError: scores that are empty or hold NaN or infinity; an argument out of its range; r = 0 or
            r = K, for which the summed slots say nothing about a sample (the release returns rounding
            noise).

    Source: paper, Multi-SK; order of the steps, guards and min-max as released.
    """
    _check(scores, fraction, epsilon, iterations, slots)
    *leading, _, K = scores.shape
    r = _assigned(K, fraction, slots)
    if not 0 < r < K and slots != "single":
        raise ValueError(
            f"fraction: {fraction} of {K} anchors makes {r} assignments per sample, which carries no "
            f"information; choose a fraction with 1 <= int({K} * fraction) <= {K - 1}"
        )
    summed = r if slots == "ramp" else 1
    groups = [_summarize(*group, summed, r, slots) for group in _solve(scores, r, epsilon, iterations, slots)]
    assignment_PNK, error_P, flat_P = (torch.cat(parts) for parts in zip(*groups, strict=True))
    return MultiSinkhornResult(
        assignment_PNK.to(_dtype(scores)).reshape(scores.shape),
        error_P.to(_dtype(scores)).reshape(leading),
        flat_P.reshape(leading),
        iterations,
    )


def _dtype(scores: Tensor) -> torch.dtype:
    return torch.float64 if scores.dtype == torch.float64 else torch.float32


def _assigned(K: int, fraction: float | None, slots: Slots) -> int:
    """Return r, the number of anchors that a sample is assigned to."""
    if slots == "single":
        return 1
    assert fraction is not None  # `_check` has refused it
    return int(K * fraction)


def _check(scores: Tensor, fraction: float | None, epsilon: float, iterations: int, slots: str) -> None:
    if scores.dim() < 2 or not scores.is_floating_point():
        raise ValueError(
            f"scores: expected floating point [..., samples, anchors], found {scores.dtype} {[*scores.shape]}"
        )
    if scores.numel() == 0:
        raise ValueError(f"scores: {[*scores.shape]} hold nothing to assign; leave an empty batch out")
    if slots != "single" and (fraction is None or not 0 <= fraction <= 1):
        raise ValueError(f"fraction: {fraction} is not within [0, 1]")
    if not 0 < epsilon < math.inf:
        raise ValueError(f"epsilon: {epsilon} is not positive")
    if iterations < 1:
        raise ValueError(f"iterations: {iterations}; at least 1 is needed")
    if slots not in get_args(Slots):
        raise ValueError(f"slots: {slots!r} is none of {', '.join(get_args(Slots))}")


def _distinct_slots(K: int, r: int, slots: Slots) -> tuple[list[float], list[int]]:
    """Return gain and number of copies of each distinct slot, in the order of the slots."""
    if slots == "single":
        return [1.0], [1]
    if slots == "ramp":
        return [0.9 * (i + 1) / K + 0.1 for i in range(K)], [1] * K
    copies = {LOW_GAIN: K - r, 1.0: r}
    return [gain for gain in copies if copies[gain]], [count for count in copies.values() if count]


@torch.no_grad()
def _solve(
    scores: Tensor, r: int, epsilon: float, iterations: int, slots: Slots
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield the slots [P, S, N, K] of a group of problems and the copies [S, 1, 1], until all are solved."""
    *_, N, K = scores.shape
    gains, copies = _distinct_slots(K, r, slots)
    scores_PNK = scores.to(_dtype(scores)).reshape(-1, N, K).contiguous()
    balance = _balance
    # Cosines at the paper's epsilon never spread so far; logarithms in double precision cost more.
    if _exponent_span(scores_PNK, gains, epsilon) > _exponent_limit(scores_PNK):
        balance, scores_PNK = _balance_logarithms, scores_PNK.double()
    gain_S11 = scores_PNK.new_tensor(gains)[:, None, None]
    copies_S11 = scores_PNK.new_tensor(copies)[:, None, None]
    # On a CPU a group fits into the cache; on an accelerator it fills the device, within about 1 GB.
    elements = 2**20 if scores.device.type == "cpu" else 2**26
    for group_PNK in scores_PNK.split(max(1, elements // (len(gains) * N * K))):
        exponent_PSNK = group_PNK[:, None] * (gain_S11 / epsilon)
        # A common factor vanishes in the division by the global sum: without it, exp cannot overflow.
        exponent_PSNK -= exponent_PSNK.amax((-3, -2, -1), keepdim=True)
        yield balance(exponent_PSNK, copies_S11, iterations, across=slots != "single"), copies_S11


def _exponent_span(scores_PNK: Tensor, gains: list[float], epsilon: float) -> float:
    """Return the distance of the largest from the smallest exponent g_i S_nk / epsilon; refuse NaN."""
    extremes = torch.stack(torch.aminmax(scores_PNK)).tolist()
    exponents = [gain * score / epsilon for gain in gains for score in extremes]
    span = max(exponents) - min(exponents)
    if not math.isfinite(span):
        raise ValueError("scores: NaN or infinity among them; mend the features or anchors they come from")
    return span


def _exponent_limit(scores_PNK: Tensor) -> float:
    """Return the span of exponents up to which every intermediate value is a normal float."""
    _, N, K = scores_PNK.shape
    # The normalisations can shrink an entry by up to N K^2; e^20 is kept in reserve.
    return -math.log(torch.finfo(scores_PNK.dtype).tiny) - math.log(N * K * K) - 20


def _balance(exponent_PSNK: Tensor, copies_S11: Tensor, iterations: int, across: bool) -> Tensor:
    """Return the distinct slots; works in place. `across`: make the sum over slots one, too.

    What is iterated on is the mass of a slot, which is the slot times its number of copies: sums over
    all K slots are then plain sums over the S distinct ones.
    """
    *_, N, K = exponent_PSNK.shape
    mass_PSNK = exponent_PSNK.exp_().mul_(copies_S11)
    # Not just for scale: it makes the first sums small, so that the guard weighs in them (as released).
    mass_PSNK /= mass_PSNK.sum((-3, -2, -1), keepdim=True)
    for _ in range(iterations):
        mass_PSNK *= copies_S11 * (N / K) / (mass_PSNK.sum(-2, keepdim=True) + copies_S11 * GUARD)
        if across:
            mass_PSNK /= mass_PSNK.sum(-3, keepdim=True) + GUARD
        mass_PSNK *= copies_S11 / (mass_PSNK.sum(-1, keepdim=True) + copies_S11 * GUARD)
    # With the guard, rows add up to a little less than one.
    mass_PSNK /= mass_PSNK.sum(-1, keepdim=True)
    return mass_PSNK


def _balance_logarithms(exponent_PSNK: Tensor, copies_S11: Tensor, iterations: int, across: bool) -> Tensor:
    """Do step by step what `_balance` does, on the logarithm of the mass; works in place."""
    *_, N, K = exponent_PSNK.shape
    log_copies_S11 = copies_S11.log()
    guard, guard_S11 = copies_S11.new_tensor(GUARD).log(), (copies_S11 * GUARD).log()
    log_PSNK = exponent_PSNK.add_(log_copies_S11)
    log_PSNK -= log_PSNK.logsumexp((-3, -2, -1), keepdim=True)
    for _ in range(iterations):
        log_PSNK -= torch.logaddexp(log_PSNK.logsumexp(-2, keepdim=True), guard_S11)
        log_PSNK += log_copies_S11 + math.log(N / K)
        if across:
            log_PSNK -= torch.logaddexp(log_PSNK.logsumexp(-3, keepdim=True), guard)
        log_PSNK -= torch.logaddexp(log_PSNK.logsumexp(-1, keepdim=True), guard_S11)
        log_PSNK += log_copies_S11
    log_PSNK -= log_PSNK.logsumexp(-1, keepdim=True)
    return log_PSNK.exp_()


def _summarize(
    slot_PSNK: Tensor, copies_S11: Tensor, summed: int, r: int, slots: Slots
) -> tuple[Tensor, Tensor, Tensor]:
    """Return assignment [P, N, K], marginal error [P] and number of flat rows [P]."""
    _, _, N, K = slot_PSNK.shape
    error_P = (slot_PSNK.sum(-2) * (K / N) - 1).abs().amax((-2, -1))
    if slots != "single":
        slot_error_P = ((slot_PSNK * copies_S11).sum(-3) - 1).abs().amax((-2, -1))
        error_P = torch.maximum(error_P, slot_error_P)
    sum_PNK = slot_PSNK[:, -summed:].sum(-3)
    low_PN1, high_PN1 = torch.aminmax(sum_PNK, dim=-1, keepdim=True)
    spread_PN1 = high_PN1 - low_PN1
    # Stretching would make zeros and ones of rounding noise (as the release does).
    flat_PN1 = spread_PN1 <= 64 * torch.finfo(sum_PNK.dtype).eps * high_PN1
    assignment_PNK = ((sum_PNK - low_PN1) / spread_PN1).masked_fill(flat_PN1, r / K)
    return assignment_PNK, error_P, flat_PN1.sum((-2, -1))
