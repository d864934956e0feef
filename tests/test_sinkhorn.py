"""Multi-SK: agreement with the plain K-slot form, invariances, number formats, degenerate problems."""

import runpy
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.reference.slots import slot_assignments
from torch import Tensor

from multisk import sinkhorn
from multisk.sinkhorn import multi_sinkhorn

REFERENCE = runpy.run_path(str(Path(__file__).parent / "reference" / "multi_sinkhorn.py"))
few = settings(max_examples=25, deadline=None)


def cosines(*shape: int, seed: int = 0) -> Tensor:
    """Cosine similarities [..., N, K] of random samples and anchors in few dimensions."""
    *leading, N, K = shape
    generator = torch.Generator().manual_seed(seed)
    samples = F.normalize(torch.randn(*leading, N, 6, generator=generator), dim=-1)
    anchors = F.normalize(torch.randn(*leading, K, 6, generator=generator), dim=-1)
    return samples @ anchors.mT


@st.composite
def problems(draw: st.DrawFn) -> tuple[Tensor, dict[str, Any]]:
    N, K = draw(st.integers(1, 40)), draw(st.integers(2, 24))
    r = draw(st.integers(1, K - 1))
    arguments = {
        "fraction": (r + 0.5) / K,
        "epsilon": draw(st.sampled_from([0.05, 0.07, 0.2, 0.5])),
        "iterations": draw(st.integers(1, 25)),
        "slots": draw(st.sampled_from(["constant", "ramp"])),
    }
    return cosines(N, K, seed=draw(st.integers(0, 2**20))), arguments


# --- the plain form ----------------------------------------------------------------------------


@few
@given(problems())
def test_slots_are_those_of_the_plain_form(problem: tuple[Tensor, dict[str, Any]]) -> None:
    scores, arguments = problem
    K = scores.shape[1]
    cube = REFERENCE["cube"](scores.double(), **arguments)
    slots = slot_assignments(scores.double(), **arguments)
    r = int(K * arguments["fraction"])
    copies = [1] * K if arguments["slots"] == "ramp" else [K - r, r]
    torch.testing.assert_close(slots.repeat_interleave(torch.tensor(copies), 0), cube, rtol=1e-9, atol=1e-12)


@few
@given(problems())
def test_assignment_is_that_of_the_plain_form(problem: tuple[Tensor, dict[str, Any]]) -> None:
    scores, arguments = problem
    result = multi_sinkhorn(scores.double(), **arguments)
    summed = REFERENCE["cube"](scores.double(), **arguments)[
        -int(scores.shape[1] * arguments["fraction"]) :
    ].sum(0)
    # Stretching a row whose sums hardly differ stretches their rounding, too.
    if (summed.amax(1) - summed.amin(1)).min() > 1e-8:
        expected = REFERENCE["multi_sinkhorn"](scores.double(), **arguments)
        torch.testing.assert_close(result.assignment, expected, rtol=0, atol=1e-6)


@few
@given(problems())
def test_a_single_slot_is_plain_sinkhorn_knopp(problem: tuple[Tensor, dict[str, Any]]) -> None:
    scores, arguments = problem
    epsilon, iterations = arguments["epsilon"], arguments["iterations"]
    plan = REFERENCE["plan"](scores.double(), epsilon, iterations)
    (slot,) = slot_assignments(scores.double(), epsilon=epsilon, iterations=iterations, slots="single")
    torch.testing.assert_close(slot, plan, rtol=1e-9, atol=1e-12)
    if (plan.amax(1) - plan.amin(1)).min() > 1e-8:
        result = multi_sinkhorn(scores.double(), epsilon=epsilon, iterations=iterations, slots="single")
        expected = REFERENCE["sinkhorn_knopp"](scores.double(), epsilon, iterations)
        torch.testing.assert_close(result.assignment, expected, rtol=0, atol=1e-6)


def test_float32_stays_close_to_float64() -> None:
    scores = cosines(3, 700, 64)
    single, double = multi_sinkhorn(scores).assignment, multi_sinkhorn(scores.double()).assignment
    torch.testing.assert_close(single.double(), double, rtol=0, atol=5e-6)


def test_defaults_are_the_papers() -> None:
    scores = cosines(30, 8)
    given = multi_sinkhorn(scores, fraction=0.5, epsilon=0.07, iterations=20, slots="constant")
    assert torch.equal(multi_sinkhorn(scores).assignment, given.assignment)


# --- invariants --------------------------------------------------------------------------------


@few
@given(problems(), st.randoms(use_true_random=False))
def test_order_of_samples_and_anchors_does_not_matter(
    problem: tuple[Tensor, dict[str, Any]], random: Any
) -> None:
    scores, arguments = problem
    N, K = scores.shape
    n, k = torch.tensor(random.sample(range(N), N)), torch.tensor(random.sample(range(K), K))
    slots = slot_assignments(scores.double(), **arguments)
    shuffled = slot_assignments(scores.double()[n][:, k], **arguments)
    torch.testing.assert_close(shuffled, slots[:, n][:, :, k], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("slots", ["constant", "ramp"])
def test_marginals_hold(slots: sinkhorn.Slots) -> None:
    scores = cosines(96, 12).double()
    slot = slot_assignments(scores, iterations=400, slots=slots)
    copies = torch.tensor([6.0, 6.0] if slots == "constant" else [1.0] * 12, dtype=torch.float64)
    torch.testing.assert_close(slot.sum(-1), torch.ones(len(copies), 96).double())
    torch.testing.assert_close(
        slot.sum(-2), torch.full((len(copies), 12), 96 / 12).double(), rtol=1e-4, atol=0
    )
    every_slot = (slot * copies[:, None, None]).sum(0)
    torch.testing.assert_close(every_slot, torch.ones(96, 12).double(), rtol=1e-4, atol=0)


def test_a_single_slot_uses_anchors_equally_and_gives_each_sample_one() -> None:
    scores = cosines(96, 12).double()
    (plan,) = slot_assignments(scores, iterations=400, slots="single")
    torch.testing.assert_close(plan.sum(1), torch.ones(96).double())
    torch.testing.assert_close(plan.sum(0), torch.full((12,), 8.0).double(), rtol=1e-4, atol=0)


def test_a_single_slot_is_told_by_its_own_marginal_alone() -> None:
    scores = cosines(2, 96, 12)
    early, late = (multi_sinkhorn(scores, iterations=n, slots="single") for n in (1, 400))
    assert (early.marginal_error > 0.1).all()
    assert late.converged(1e-4).all()
    (plan,) = slot_assignments(scores[0], iterations=1, slots="single")
    torch.testing.assert_close(early.marginal_error[0], (plan.sum(0) / 8 - 1).abs().max())


def test_a_single_slot_assigns_more_sharply_than_multi_sk() -> None:
    scores = cosines(200, 16)
    single, several = multi_sinkhorn(scores, slots="single"), multi_sinkhorn(scores)
    assert single.assignment.sum(1).mean() < 0.5 * several.assignment.sum(1).mean()
    assert torch.equal(multi_sinkhorn(scores, fraction=None, slots="single").assignment, single.assignment)


def test_marginal_error_tells_whether_the_marginals_hold() -> None:
    scores = cosines(2, 96, 12)
    early, late = multi_sinkhorn(scores, iterations=1), multi_sinkhorn(scores, iterations=400)
    assert early.marginal_error.shape == (2,)
    assert (early.marginal_error > 0.1).all()
    assert (late.marginal_error < 1e-4).all()
    assert not early.converged().any()
    assert late.converged().all()
    slot = slot_assignments(scores[0], iterations=1)
    by_hand = max((slot.sum(1) / 8 - 1).abs().max(), (6 * slot.sum(0) - 1).abs().max())
    torch.testing.assert_close(early.marginal_error[0], by_hand)


def test_every_row_reaches_from_zero_to_one() -> None:
    assignment = multi_sinkhorn(cosines(4, 50, 16)).assignment
    assert (assignment.amin(-1) == 0).all()
    assert (assignment.amax(-1) == 1).all()


def test_ties_are_treated_alike() -> None:
    scores = cosines(40, 8)
    scores[:, 5] = scores[:, 2]
    scores[7] = scores[3]
    assignment = multi_sinkhorn(scores).assignment
    torch.testing.assert_close(assignment[:, 5], assignment[:, 2])
    torch.testing.assert_close(assignment[7], assignment[3])


def test_a_sample_without_preference_among_others_is_not_flat() -> None:
    scores = cosines(40, 8)
    scores[4] = 0.3
    result = multi_sinkhorn(scores)
    assert result.flat == 0
    torch.testing.assert_close(
        result.assignment.double(), REFERENCE["multi_sinkhorn"](scores.double()), rtol=0, atol=1e-5
    )


def test_a_faint_preference_is_not_flat() -> None:
    scores = 1e-6 * cosines(60, 8).double()
    result = multi_sinkhorn(scores)
    assert result.flat == 0
    torch.testing.assert_close(result.assignment, REFERENCE["multi_sinkhorn"](scores), rtol=0, atol=1e-7)


# --- batches, number formats, side effects -----------------------------------------------------


@pytest.mark.parametrize("slots", ["constant", "ramp"])
def test_batched_is_looped(slots: sinkhorn.Slots) -> None:
    scores = cosines(2, 3, 30, 10)
    result = multi_sinkhorn(scores, slots=slots)
    assert result.assignment.shape == (2, 3, 30, 10)
    for i in range(2):
        for j in range(3):
            alone = multi_sinkhorn(scores[i, j], slots=slots)
            torch.testing.assert_close(result.assignment[i, j], alone.assignment)
            torch.testing.assert_close(result.marginal_error[i, j], alone.marginal_error)
            assert result.flat[i, j] == alone.flat
    assert slot_assignments(scores, slots=slots).shape[:2] == (2, 3)


def test_problems_too_large_for_one_group_are_all_solved() -> None:
    scores = cosines(3, 9000, 64)
    alone = multi_sinkhorn(scores[2]).assignment
    torch.testing.assert_close(multi_sinkhorn(scores).assignment[2], alone, rtol=0, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_low_precision_is_computed_in_float32(dtype: torch.dtype) -> None:
    scores = cosines(60, 8).to(dtype)
    result = multi_sinkhorn(scores)
    assert result.assignment.dtype == torch.float32
    assert torch.equal(result.assignment, multi_sinkhorn(scores.float()).assignment)


def test_float64_stays_float64() -> None:
    result = multi_sinkhorn(cosines(60, 8).double())
    assert result.assignment.dtype == result.marginal_error.dtype == torch.float64


def test_autocast_changes_nothing() -> None:
    scores = cosines(60, 8)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = multi_sinkhorn(scores).assignment
    assert torch.equal(inside, multi_sinkhorn(scores).assignment)


@pytest.mark.parametrize("epsilon", [0.07, 0.002])
def test_scores_are_left_alone_and_no_gradient_flows(epsilon: float) -> None:
    scores = cosines(60, 8).double().requires_grad_()
    before = scores.detach().clone()
    result = multi_sinkhorn(scores, epsilon=epsilon)
    assert not result.assignment.requires_grad
    assert torch.equal(scores, before)


def test_memory_layout_does_not_matter() -> None:
    scores = cosines(8, 60).T
    assert torch.equal(multi_sinkhorn(scores).assignment, multi_sinkhorn(scores.contiguous()).assignment)


# --- wide scores -------------------------------------------------------------------------------


@pytest.mark.parametrize("slots", ["constant", "ramp", "single"])
@pytest.mark.parametrize("epsilon", [0.07, 0.5])
def test_logarithms_give_what_exponentials_give(
    slots: sinkhorn.Slots, epsilon: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores = cosines(2, 50, 12).double()
    plain = slot_assignments(scores, epsilon=epsilon, slots=slots)
    monkeypatch.setattr(sinkhorn, "_exponent_limit", lambda _: -1.0)
    logarithms = slot_assignments(scores, epsilon=epsilon, slots=slots)
    assert not torch.equal(plain, logarithms)
    torch.testing.assert_close(logarithms, plain, rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("scale", [1.0, 10.0, 1e4])
def test_no_scale_overflows(scale: float) -> None:
    scores = scale * cosines(64, 16)
    for slots in ("constant", "ramp", "single"):
        result = multi_sinkhorn(scores, slots=slots)
        assert torch.isfinite(result.assignment).all()
        assert torch.isfinite(result.marginal_error).all()
        assert result.assignment.dtype == torch.float32


@pytest.mark.parametrize("epsilon", [0.05, 0.04, 0.03, 0.02, 0.01])
def test_float32_is_right_on_both_sides_of_the_limit(epsilon: float) -> None:
    scores = cosines(500, 32)
    expected = REFERENCE["multi_sinkhorn"](scores.double(), epsilon=epsilon)
    assignment = multi_sinkhorn(scores, epsilon=epsilon).assignment
    torch.testing.assert_close(assignment.double(), expected, rtol=0, atol=1e-5)


# --- degenerate problems -----------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_equal_samples_are_flat_and_assigned_evenly(dtype: torch.dtype) -> None:
    result = multi_sinkhorn(cosines(1, 16).to(dtype).expand(300, 16), fraction=0.25)
    assert result.flat == 300
    assert (result.assignment == 0.25).all()


def test_equal_scores_are_flat() -> None:
    result = multi_sinkhorn(torch.zeros(2, 5, 4), fraction=0.5)
    assert result.flat.tolist() == [5, 5]
    assert (result.assignment == 0.5).all()


def test_one_sample_is_flat() -> None:
    assert multi_sinkhorn(cosines(1, 8)).flat == 1


@pytest.mark.parametrize(("K", "fraction"), [(8, 0.0), (8, 0.12), (8, 1.0), (1, 0.5), (1, 1.0)])
@pytest.mark.parametrize("slots", ["constant", "ramp"])
def test_a_fraction_without_information_is_refused(K: int, fraction: float, slots: sinkhorn.Slots) -> None:
    with pytest.raises(ValueError, match=f"fraction: {fraction} of {K} anchors"):
        multi_sinkhorn(cosines(10, K), fraction=fraction, slots=slots)


@pytest.mark.parametrize("fraction", [0.0, 1.0])
def test_slots_without_information_are_uniform(fraction: float) -> None:
    slots = slot_assignments(cosines(10, 4), fraction=fraction)
    torch.testing.assert_close(slots, torch.full((1, 10, 4), 0.25))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_scores_that_are_not_finite_are_refused(value: float) -> None:
    scores = cosines(2, 10, 4)
    scores[1, 3, 2] = value
    with pytest.raises(ValueError, match="NaN or infinity"):
        multi_sinkhorn(scores)


def test_exponents_beyond_all_range_are_refused() -> None:
    with pytest.raises(ValueError, match="NaN or infinity"):
        multi_sinkhorn(1e308 * cosines(10, 4).double())


@pytest.mark.parametrize(
    ("scores", "arguments", "named"),
    [
        (torch.zeros(0, 4), {}, "scores"),
        (torch.zeros(0, 5, 4), {}, "scores"),
        (torch.zeros(5, 0), {}, "scores"),
        (torch.zeros(4), {}, "scores"),
        (torch.zeros(5, 4, dtype=torch.long), {}, "scores"),
        (torch.zeros(5, 4), {"fraction": 1.5}, "fraction"),
        (torch.zeros(5, 4), {"fraction": float("nan")}, "fraction"),
        (torch.zeros(5, 4), {"fraction": None}, "fraction"),
        (torch.zeros(5, 4), {"epsilon": 0.0}, "epsilon"),
        (torch.zeros(5, 4), {"iterations": 0}, "iterations"),
        (torch.zeros(5, 4), {"slots": "discrete"}, "slots"),
    ],
)
def test_arguments_out_of_range_are_refused(scores: Tensor, arguments: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=f"^{named}: ") as error:
        multi_sinkhorn(scores, **arguments)
    assert "\n" not in str(error.value)
