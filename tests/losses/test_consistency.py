"""SSPC: an oracle straight from the paper's terms, the queue's schedule, what is computed and what is not."""

import math
import runpy
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from pydantic import ValidationError
from torch import Tensor

from multisk.errors import InputError
from multisk.losses import SSPCLoss, assignment_loss, consistency
from multisk.losses.consistency import usage
from multisk.models.anchors import Anchors
from multisk.settings.losses import Sspc
from multisk.sinkhorn import MultiSinkhornResult, multi_sinkhorn

REFERENCES = runpy.run_path(str(Path(__file__).parents[1] / "reference" / "multi_sinkhorn.py"))
REFERENCE, SINGLE = REFERENCES["multi_sinkhorn"], REFERENCES["sinkhorn_knopp"]
B, Q, JOINT = 6, 15, 7
DIMENSIONS = {"t": 4, "v": 6, "a": 5}
NONE = {m: dict.fromkeys("tva", 0.0) for m in "tva"}
Features = dict[str, Tensor]


def build(counts: int | dict[str, int] = 8, **settings: Any) -> tuple[SSPCLoss, Anchors]:
    torch.manual_seed(3)
    return SSPCLoss({"queue": Q, **settings}, DIMENSIONS, JOINT), Anchors(counts, DIMENSIONS, JOINT)


def batch(seed: int, B: int = B) -> tuple[Features, Features]:
    generator = torch.Generator().manual_seed(seed)
    return (
        {m: torch.randn(B, D, generator=generator).requires_grad_() for m, D in DIMENSIONS.items()},
        {m: torch.randn(B, JOINT, generator=generator).requires_grad_() for m in DIMENSIONS},
    )


def fill(loss: SSPCLoss, anchors: Anchors) -> int:
    """Push batches until the next call has a loss; return the next seed."""
    seed = 0
    while loss.filled < Q:
        loss(anchors, *batch(seed))
        seed += 1
    return seed


# --- the oracle --------------------------------------------------------------------------------


def oracle(
    loss: SSPCLoss,
    anchors: Anchors,
    input: Features,
    joint: Features,
    history: list[tuple[Features, Features]],
    temperature: float = 0.1,
    slots: str = "constant",
) -> tuple[Tensor, dict[str, Tensor]]:
    """All 18 terms, each with its own similarities and its own K-slot Multi-SK."""

    def similarities(x: Tensor, z: Tensor) -> Tensor:
        return F.normalize(x, dim=1) @ F.normalize(z, dim=1).T

    def M(earlier: list[Tensor], x: Tensor, z: Tensor) -> Tensor:
        rows = torch.cat([torch.cat(earlier)[-Q:], x])
        scores = similarities(rows, z).detach().double()
        if slots == "single":
            return SINGLE(scores, 0.07, 20)[-len(x) :].float()
        return REFERENCE(scores, fraction=0.5, slots=slots)[-len(x) :].float()

    def bce(s: Tensor, q: Tensor) -> Tensor:
        logit = torch.exp(s / temperature).double()
        negative = F.logsigmoid(-logit)
        return -(q * torch.sigmoid(logit).log() + (1 - q) * negative).mean()

    total, terms = torch.zeros(()), {}
    for m in "tva":
        for n in "tva":
            s_input = similarities(input[m], anchors.input[m])
            s_joint = similarities(joint[n], anchors.joint[m])
            q_input = M([h[0][m] for h in history], input[m], anchors.input[m])
            q_joint = M([h[1][n] for h in history], joint[n], anchors.joint[m])
            terms[f"sspc/input_to_joint/{m}-{n}"] = bce(s_input, q_joint)
            terms[f"sspc/joint_to_input/{m}-{n}"] = bce(s_joint, q_input)
            weight = 0.1 if "a" in (m, n) else 1.0
            total = total + weight * (
                terms[f"sspc/input_to_joint/{m}-{n}"] + terms[f"sspc/joint_to_input/{m}-{n}"]
            )
    return total, terms


@pytest.mark.parametrize("counts", [8, {"t": 4, "v": 8, "a": 6}, {"t": 8, "v": 8, "a": 5}])
def test_agrees_with_the_oracle(counts: int | dict[str, int]) -> None:
    loss, anchors = build(counts)
    history = [batch(seed) for seed in range(fill(loss, anchors))]
    for seed in range(len(history), len(history) + 3):
        input, joint = batch(seed)
        expected, expected_terms = oracle(loss, anchors, input, joint, history)
        leaves = [*input.values(), *joint.values(), *anchors.parameters()]
        expected_gradients = torch.autograd.grad(expected, leaves)
        total, terms = loss(anchors, input, joint)
        torch.testing.assert_close(total.double(), expected.double(), rtol=1e-4, atol=1e-5)
        for name, term in expected_terms.items():
            torch.testing.assert_close(terms[name].double(), term.detach(), rtol=1e-4, atol=1e-5)
        for gradient, other in zip(torch.autograd.grad(total, leaves), expected_gradients, strict=True):
            torch.testing.assert_close(gradient, other, rtol=1e-3, atol=1e-4)
        history.append((input, joint))


def test_temperature_and_slots_reach_the_terms() -> None:
    loss, anchors = build(temperature=0.3, sinkhorn={"slots": "ramp"})
    history = [batch(seed) for seed in range(fill(loss, anchors))]
    input, joint = batch(len(history))
    expected, expected_terms = oracle(loss, anchors, input, joint, history, temperature=0.3, slots="ramp")
    total, terms = loss(anchors, input, joint)
    torch.testing.assert_close(total.double(), expected.double(), rtol=1e-4, atol=1e-5)
    for name, term in expected_terms.items():
        torch.testing.assert_close(terms[name].double(), term.detach(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("similarity", "target", "cost"),
    [(1, 1, 0), (-1, 1, 0.693), (-1, 0, 0.693), (0, 1, 0.313), (0, 0, 1.313), (1, 0, 22026.47)],
)
def test_cost_of_an_assignment(similarity: float, target: float, cost: float) -> None:
    value = assignment_loss(torch.tensor([[float(similarity)]]), torch.tensor([[float(target)]]))
    assert value.item() == pytest.approx(cost, rel=1e-3, abs=1e-4)


# --- the queue's schedule ----------------------------------------------------------------------


@pytest.mark.parametrize(("Q", "B"), [(12, 6), (13, 6), (6, 6), (7, 6), (5, 1)])
def test_the_first_loss_comes_when_no_random_row_is_left(Q: int, B: int) -> None:
    loss, anchors = build(queue=Q)
    for call in range(1, math.ceil(Q / B) + 4):
        total, terms = loss(anchors, *batch(call, B))
        has_loss = call >= math.ceil(Q / B) + 1
        assert bool(terms) == has_loss
        assert (total != 0) == has_loss
        total.backward()


def test_nothing_is_computed_while_the_queue_is_filling(monkeypatch: pytest.MonkeyPatch) -> None:
    loss, anchors = build()
    monkeypatch.setattr(consistency, "multi_sinkhorn", None)
    monkeypatch.setattr(anchors, "normalized", None)
    fill(loss, anchors)
    assert loss.filled >= Q


def test_random_rows_have_no_influence() -> None:
    losses = []
    for value in (0.0, 1.0):
        loss, anchors = build()
        for buffer in loss.buffers():
            buffer.fill_(value if buffer.is_floating_point() else 0)
        losses.append(loss(anchors, *batch(fill(loss, anchors)))[0])
    assert torch.equal(*losses)


def test_a_batch_larger_than_the_queue_is_refused() -> None:
    loss, anchors = build()
    with pytest.raises(InputError, match=r"sspc\.queue: 15 .* 16"):
        loss(anchors, *batch(0, Q + 1))


def test_without_a_queue_the_batch_alone_is_assigned_from_the_first_call_on() -> None:
    loss, anchors = build(queue=0)
    for seed in range(3):
        input, joint = batch(seed, 12)
        total, terms = loss(anchors, input, joint)
        nothing = [({m: x[:0] for m, x in input.items()}, {m: x[:0] for m, x in joint.items()})]
        expected, _ = oracle(loss, anchors, input, joint, nothing)
        torch.testing.assert_close(total.double(), expected.double(), rtol=1e-4, atol=1e-5)
        assert terms
    assert all(len(buffer) == 0 for name, buffer in loss.named_buffers() if name != "filled")


def test_a_single_slot_is_plain_sinkhorn() -> None:
    single = {"slots": "single", "fraction": None}
    loss, anchors = build(sinkhorn=single)
    history = [batch(seed) for seed in range(fill(loss, anchors))]
    input, joint = batch(len(history))
    expected, _ = oracle(loss, anchors, input, joint, history, slots="single")
    torch.testing.assert_close(
        loss(anchors, input, joint)[0].double(), expected.double(), rtol=1e-4, atol=1e-5
    )


def test_anchors_that_are_not_learned_stay_as_they_are() -> None:
    torch.manual_seed(3)
    loss, anchors = SSPCLoss({"queue": Q}, DIMENSIONS, JOINT), Anchors(8, DIMENSIONS, JOINT, learned=False)
    input, joint = batch(fill(loss, anchors))
    loss(anchors, input, joint)[0].backward()
    assert all(anchor.grad is None for anchor in anchors.parameters())
    assert len(anchors.state_dict()) == 6
    assert all(x.grad is not None for x in (*input.values(), *joint.values()))


def test_batches_may_differ_in_size() -> None:
    loss, anchors = build()
    next_seed = fill(loss, anchors)
    for size in (1, 4, Q):
        assert torch.isfinite(loss(anchors, *batch(next_seed, size))[0])


def test_evaluation_leaves_the_queue_alone() -> None:
    loss, anchors = build()
    seed = fill(loss, anchors)
    before = {key: value.clone() for key, value in loss.state_dict().items()}
    first, _ = loss.eval()(anchors, *batch(seed))
    assert all(torch.equal(value, before[key]) for key, value in loss.state_dict().items())
    assert torch.equal(first, loss.train()(anchors, *batch(seed))[0])


@pytest.mark.parametrize("calls", [1, 5])
def test_a_restored_state_goes_on_identically(calls: int, tmp_path: Path) -> None:
    loss, anchors = build()
    for seed in range(calls):
        loss(anchors, *batch(seed))
    torch.save(loss.state_dict(), tmp_path / "state.pt")
    restored, _ = build()
    restored.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    for seed in range(calls, calls + 4):
        (total, terms), (other, other_terms) = (each(anchors, *batch(seed)) for each in (loss, restored))
        assert torch.equal(total, other)
        assert terms == other_terms
    for key, value in loss.state_dict().items():
        assert torch.equal(value, restored.state_dict()[key])


def test_the_queue_holds_normalised_features() -> None:
    loss, anchors = build()
    fill(loss, anchors)
    for name, buffer in loss.named_buffers():
        if name != "filled":
            torch.testing.assert_close(buffer.norm(dim=1), torch.ones(Q))


# --- what is computed --------------------------------------------------------------------------


@pytest.fixture
def solved(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """The shapes of the scores given to Multi-SK."""
    shapes: list[tuple[int, ...]] = []

    def spy(scores: Tensor, **settings: Any) -> MultiSinkhornResult:
        shapes.append(tuple(scores.shape))
        return multi_sinkhorn(scores, **settings)

    monkeypatch.setattr(consistency, "multi_sinkhorn", spy)
    return shapes


def test_twelve_problems_are_solved_in_one_call(solved: list[tuple[int, ...]]) -> None:
    loss, anchors = build()
    loss(anchors, *batch(fill(loss, anchors)))
    assert solved == [(12, Q + B, 8)]


def test_problems_are_grouped_by_their_number_of_anchors(solved: list[tuple[int, ...]]) -> None:
    loss, anchors = build({"t": 8, "v": 8, "a": 5})
    loss(anchors, *batch(fill(loss, anchors)))
    assert solved == [(4, Q + B, 5), (8, Q + B, 8)]


def test_terms_without_weight_are_not_computed(solved: list[tuple[int, ...]]) -> None:
    only = {**NONE, "t": {"t": 0.0, "v": 2.0, "a": 0.0}}
    loss, anchors = build(input_to_joint=only, joint_to_input=NONE)
    input, joint = batch(fill(loss, anchors))
    total, terms = loss(anchors, input, joint)
    total.backward()
    assert solved == [(1, Q + B, 8)]
    assert [name for name in terms if "_to_" in name] == ["sspc/input_to_joint/t-v"]
    torch.testing.assert_close(total.detach(), 2 * terms["sspc/input_to_joint/t-v"])
    reached = {name for name, anchor in anchors.named_parameters() if anchor.grad is not None}
    assert reached == {"input.t"}
    assert input["t"].grad is not None
    assert joint["v"].grad is None


def test_the_joint_side_learns_from_the_input_side() -> None:
    only = {**NONE, "t": {"t": 0.0, "v": 1.0, "a": 0.0}}
    loss, anchors = build(input_to_joint=NONE, joint_to_input=only)
    input, joint = batch(fill(loss, anchors))
    loss(anchors, input, joint)[0].backward()
    assert {name for name, anchor in anchors.named_parameters() if anchor.grad is not None} == {"joint.t"}
    assert joint["v"].grad is not None
    assert all(x.grad is None for x in (*input.values(), joint["t"], joint["a"]))


@pytest.mark.parametrize("nothing", [{"beta": 0.0}, {"input_to_joint": NONE, "joint_to_input": NONE}])
def test_without_weight_there_is_no_loss(nothing: dict[str, Any], solved: list[tuple[int, ...]]) -> None:
    loss, anchors = build(**nothing)
    total, terms = loss(anchors, *batch(fill(loss, anchors)))
    assert total == 0
    assert terms == {}
    assert solved == []


def test_beta_scales_the_loss_but_not_the_terms() -> None:
    (total, terms), (half, same_terms) = (
        loss(anchors, *batch(fill(loss, anchors))) for loss, anchors in (build(), build(beta=0.5))
    )
    torch.testing.assert_close(half, total / 2)
    assert terms == same_terms


def test_the_length_of_features_and_anchors_does_not_matter() -> None:
    loss, anchors = build()
    seed = fill(loss, anchors)
    input, joint = batch(seed)
    total, _ = loss.eval()(anchors, input, joint)
    with torch.no_grad():
        for parameter in anchors.parameters():
            parameter *= 3
    scaled, _ = loss(anchors, {m: 2 * x for m, x in input.items()}, {m: 5 * x for m, x in joint.items()})
    torch.testing.assert_close(scaled, total, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_float32(dtype: torch.dtype) -> None:
    loss, anchors = build()
    seed = fill(loss, anchors)
    input, joint = ({m: x.detach().to(dtype) for m, x in features.items()} for features in batch(seed))
    expected, _ = loss.eval()(anchors, *({m: x.float() for m, x in f.items()} for f in (input, joint)))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        total, _ = loss(anchors, input, joint)
    assert total.dtype == torch.float32
    assert torch.equal(total, expected)


def test_two_modalities_are_enough() -> None:
    torch.manual_seed(0)
    dimensions = {"t": 4, "v": 6}
    loss, anchors = SSPCLoss({"queue": 6}, dimensions, JOINT), Anchors(8, dimensions, JOINT, ("t", "v"))
    loss(anchors, *batch(0))
    _, terms = loss(anchors, *batch(1))
    assert len([name for name in terms if "_to_" in name]) == 8


# --- settings and diagnostics ------------------------------------------------------------------


def test_settings_may_be_a_section_or_a_mapping() -> None:
    terms = {m: {n: 0.1 if "a" in (m, n) else 1.0 for n in "tva"} for m in "tva"}
    section = Sspc.model_validate(
        {
            "anchors": {"count": 8},
            "queue": Q,
            "temperature": 0.1,
            "beta": 1.0,
            "input_to_joint": terms,
            "joint_to_input": terms,
            "sinkhorn": {"fraction": 0.5, "epsilon": 0.07, "iterations": 20, "slots": "constant"},
        }
    )
    loss, anchors = build()
    same = SSPCLoss(section, DIMENSIONS, JOINT)
    seed = fill(loss, anchors)
    fill(same, anchors)
    assert torch.equal(loss(anchors, *batch(seed))[0], same(anchors, *batch(seed))[0])


def test_a_nested_setting_leaves_its_neighbours_alone() -> None:
    sinkhorn = SSPCLoss({"sinkhorn": {"epsilon": 0.2}}, 4, 4).settings.sinkhorn
    assert (sinkhorn.epsilon, sinkhorn.iterations) == (0.2, 20)


@pytest.mark.parametrize("mistake", [{"que": 5}, {"sinkhorn": {"eps": 0.1}}, {"queue": -1}])
def test_mistaken_settings_are_refused(mistake: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        SSPCLoss(mistake, 4, 4)


@pytest.mark.parametrize("fraction", [0.0, 0.01, 1.0])
def test_a_fraction_without_information_is_refused_at_once(fraction: float) -> None:
    with pytest.raises(ValidationError, match=r"sinkhorn\.fraction \(.*\) of anchors\.count \(64\)"):
        SSPCLoss({"sinkhorn": {"fraction": fraction}}, 4, 4)


def test_usage_is_the_effective_share_of_anchors() -> None:
    assert usage(torch.eye(8)).item() == pytest.approx(1)
    assert usage(torch.eye(8)[:4]).item() == pytest.approx(0.5)
    assert usage(torch.eye(8)[[2, 2, 2]]).item() == pytest.approx(1 / 8)


def test_diagnostics() -> None:
    loss, anchors = build()
    total, terms = loss(anchors, *batch(fill(loss, anchors)))
    diagnostics = {name: value.item() for name, value in terms.items() if "_to_" not in name}
    usages = {f"sspc/usage/{space}/{m}" for space in ("input", "joint") for m in "tva"}
    assert diagnostics.keys() == usages | {"sspc/marginal_error", "sspc/flat"}
    assert all(1 / 8 <= diagnostics[name] <= 1 for name in usages)
    assert 0 <= diagnostics["sspc/marginal_error"] < 1
    assert diagnostics["sspc/flat"] == 0
    assert total.requires_grad
    assert not any(value.requires_grad for value in terms.values())


def test_collapsed_features_show_in_the_diagnostics() -> None:
    loss, anchors = build()
    input, joint = batch(0, 1)
    collapsed = [{m: x.detach().expand(B, -1) for m, x in features.items()} for features in (input, joint)]
    for _ in range(4):
        total, terms = loss(anchors, *collapsed)
    assert torch.isfinite(total)
    assert terms["sspc/flat"] == 1
    assert terms["sspc/usage/joint/t"].item() == pytest.approx(1 / 8)
