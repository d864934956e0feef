"""Contrastive losses: a naive oracle, empty modalities, weights."""

import math
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from torch import Tensor

from multisk.losses import (
    ClipOrigins,
    ContrastiveLoss,
    max_margin_ranking,
    max_margin_softmax,
    mil_nce,
    norm_softmax,
)
from multisk.settings.losses import Contrastive

FUSED = ("tv", "ta", "va")


def embeddings(
    B: int = 9, present: float = 0.7, fused: bool = True, seed: int = 0, dtype: torch.dtype = torch.float64
) -> SimpleNamespace:
    generator = torch.Generator().manual_seed(seed)
    joint = {
        key: torch.randn(B, 5, generator=generator, dtype=torch.float64).to(dtype).requires_grad_()
        for key in ("t", "v", "a", *(FUSED if fused else ()))
    }
    nonempty = {m: torch.rand(B, generator=generator) < present for m in "tva"}
    return SimpleNamespace(joint=joint, nonempty=nonempty)


def naive_pair(x: Tensor, y: Tensor, keep: list[int], temperature: float) -> float:
    """Symmetric InfoNCE one scalar at a time."""

    def similarity(i: int, j: int) -> float:
        return (x[i] @ y[j] / (x[i].norm() * y[j].norm())).item() / temperature

    loss = 0.0
    for i in keep:
        loss -= similarity(i, i) - math.log(sum(math.exp(similarity(i, j)) for j in keep))
        loss -= similarity(i, i) - math.log(sum(math.exp(similarity(j, i)) for j in keep))
    return loss / len(keep)


def naive(output: SimpleNamespace, weights: dict[str, float], temperature: float, alpha: float) -> float:
    total = weight_sum = 0.0
    for pair, weight in weights.items():
        first, second = pair.split("_")
        keep = [
            i for i in range(len(output.joint["t"])) if all(output.nonempty[m][i] for m in first + second)
        ]
        if keep and first in output.joint and second in output.joint:
            total += weight * naive_pair(output.joint[first], output.joint[second], keep, temperature)
            weight_sum += weight
    return alpha * total / weight_sum if weight_sum else 0.0


@settings(max_examples=25, deadline=None)
@given(
    B=st.integers(1, 8),
    present=st.sampled_from([0.2, 0.6, 1.0]),
    fused=st.booleans(),
    seed=st.integers(0, 2**20),
    weights=st.lists(st.sampled_from([0.0, 0.1, 1.0]), min_size=6, max_size=6),
    temperature=st.sampled_from([0.05, 0.5]),
)
def test_agrees_with_the_naive_form(
    B: int, present: float, fused: bool, seed: int, weights: list[float], temperature: float
) -> None:
    output = embeddings(B, present, fused, seed)
    named = dict(zip(("t_v", "t_a", "v_a", "t_va", "v_ta", "a_tv"), weights, strict=True))
    loss, _ = ContrastiveLoss({"temperature": temperature, "alpha": 0.7, "weights": named})(output)
    assert loss.item() == pytest.approx(naive(output, named, temperature, 0.7), rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("n", [1, 2, 10])
def test_ties_everywhere_cost_the_logarithm_of_the_number_of_samples(n: int) -> None:
    assert norm_softmax(torch.full((n, n), 0.3)).item() == pytest.approx(2 * math.log(n), abs=1e-6)


def test_true_pairs_alone_cost_nothing() -> None:
    assert norm_softmax(torch.eye(6)).item() == pytest.approx(0, abs=1e-6)


def test_the_order_of_samples_does_not_matter() -> None:
    output, order = embeddings(), torch.randperm(9)
    shuffled = SimpleNamespace(
        joint={key: x[order] for key, x in output.joint.items()},
        nonempty={key: mask[order] for key, mask in output.nonempty.items()},
    )
    loss = ContrastiveLoss({})
    torch.testing.assert_close(loss(output)[0], loss(shuffled)[0])


def test_samples_without_a_modality_have_no_influence_on_its_pairs() -> None:
    output = embeddings(fused=False)
    absent = ~output.nonempty["a"]
    assert absent.any()
    loss, _ = ContrastiveLoss({})(output)
    loss.backward()
    assert (output.joint["a"].grad[absent] == 0).all()
    assert (output.joint["a"].grad[~absent] != 0).any()


def test_a_fused_pair_needs_all_three_modalities() -> None:
    output = embeddings(B=3, present=2.0)
    output.nonempty["a"] = torch.tensor([True, False, True])
    _, terms = ContrastiveLoss({})(output)
    expected = naive_pair(output.joint["t"], output.joint["va"], [0, 2], 0.05)
    assert terms["contrastive/t-va"].item() == pytest.approx(expected, rel=1e-6)


def test_a_pair_that_no_sample_has_is_left_out_of_the_weights() -> None:
    output = embeddings(present=2.0, fused=False)
    output.nonempty["a"] = torch.zeros(9, dtype=torch.bool)
    loss, terms = ContrastiveLoss({"alpha": 0.5})(output)
    assert terms.keys() == {"contrastive/t-v"}
    torch.testing.assert_close(loss.detach(), 0.5 * terms["contrastive/t-v"])


def test_a_pair_that_one_sample_has_counts_as_zero() -> None:
    output = embeddings(present=2.0, fused=False)
    output.nonempty["a"] = torch.arange(9) == 4
    loss, terms = ContrastiveLoss({})(output)
    assert terms["contrastive/t-a"] == terms["contrastive/v-a"] == 0
    torch.testing.assert_close(loss.detach(), terms["contrastive/t-v"] / 1.2)


def test_a_batch_without_any_pair_costs_nothing_and_has_a_backward_pass() -> None:
    output = embeddings(present=0.0)
    loss, terms = ContrastiveLoss({})(output)
    loss.backward()
    assert loss == 0
    assert terms == {}


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_and_a_zero_embedding_stay_finite(dtype: torch.dtype) -> None:
    output = embeddings(dtype=dtype)
    with torch.no_grad():
        output.joint["t"][0] = 0
    loss, _ = ContrastiveLoss({})(output)
    loss.backward()
    assert loss.dtype == torch.float32
    assert torch.isfinite(loss)
    assert all(torch.isfinite(x.grad[1:]).all() for x in output.joint.values())


def test_terms_are_detached_and_weights_of_zero_have_none() -> None:
    _, terms = ContrastiveLoss({"weights": {"v_a": 0.0}})(embeddings())
    assert terms.keys() == {f"contrastive/{pair}" for pair in ("t-v", "t-a", "t-va", "v-ta", "a-tv")}
    assert not any(term.requires_grad for term in terms.values())


@pytest.mark.parametrize("fused", [True, False])
def test_gradient_is_the_slope(fused: bool) -> None:
    output = embeddings(B=5, fused=fused)
    loss = ContrastiveLoss({"temperature": 0.5})
    keys = list(output.joint)

    def value(*joint: Tensor) -> Tensor:
        return loss(SimpleNamespace(joint=dict(zip(keys, joint, strict=True)), nonempty=output.nonempty))[0]

    assert torch.autograd.gradcheck(value, tuple(output.joint.values()), fast_mode=True)


def test_margin_lowers_the_true_pairs() -> None:
    x = torch.randn(6, 6)
    lowered = x - torch.diag(torch.full((6,), 0.2))
    torch.testing.assert_close(max_margin_softmax(x, 0.2), norm_softmax(lowered, 1.0))
    assert max_margin_softmax(x, 0.2) > max_margin_softmax(x, 0.0)


def test_another_pair_loss_can_be_given() -> None:
    output = embeddings(present=2.0)
    _, terms = ContrastiveLoss({}, max_margin_softmax)(output)
    t, v = (torch.nn.functional.normalize(output.joint[m], dim=1) for m in "tv")
    torch.testing.assert_close(terms["contrastive/t-v"], max_margin_softmax(t @ v.T).detach())


def test_settings_may_be_a_section_or_a_mapping() -> None:
    weights = {"t_v": 1.0, "t_a": 0.1, "v_a": 0.1, "t_va": 0.1, "v_ta": 0.1, "a_tv": 0.1}
    section = Contrastive.model_validate({"temperature": 0.05, "alpha": 1.0, "weights": weights})
    assert torch.equal(ContrastiveLoss(section)(embeddings())[0], ContrastiveLoss({})(embeddings())[0])


@pytest.mark.parametrize("mistake", [{"temprature": 0.1}, {"weights": {"t_x": 1.0}}, {"temperature": 0}])
def test_mistaken_settings_are_refused(mistake: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        ContrastiveLoss(mistake)


# --- losses of a pair that other methods bring ---------------------------------------------------


def origins(videos: list[int], starts: list[float]) -> ClipOrigins:
    return ClipOrigins(torch.tensor(videos), torch.tensor(starts))


def similarities(n: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return 2 * torch.rand(n, n, generator=generator, dtype=torch.float64) - 1


def naive_ranking(s: Tensor, videos: list[int], margin: float, intra_video: float) -> float:
    total, n = 0.0, len(videos)
    for i in range(n):
        kinds = [
            ([j for j in range(n) if j != i and videos[j] == videos[i]], intra_video),
            ([j for j in range(n) if videos[j] != videos[i]], 1 - intra_video),
        ]
        kinds = [(negatives, weight) for negatives, weight in kinds if negatives and weight > 0]
        for negatives, weight in kinds:
            share = weight / sum(other for _, other in kinds) / len(negatives)
            for j in negatives:
                total += share * max(0.0, margin + (s[i, j] - s[i, i]).item())
                total += share * max(0.0, margin + (s[j, i] - s[i, i]).item())
    return total / n


@settings(max_examples=50, deadline=None)
@given(
    videos=st.lists(st.integers(0, 3), min_size=1, max_size=9),
    margin=st.sampled_from([0.0, 0.1, 0.5]),
    intra_video=st.sampled_from([0.0, 0.5, 0.8, 1.0]),
    seed=st.integers(0, 2**20),
)
def test_ranking_is_the_sum_over_weighted_negatives(
    videos: list[int], margin: float, intra_video: float, seed: int
) -> None:
    s = similarities(len(videos), seed)
    same_video = origins(videos, [0.0] * len(videos)).same_video()
    found = max_margin_ranking(s, same_video, margin, intra_video)
    assert found.item() == pytest.approx(naive_ranking(s, videos, margin, intra_video))


def test_ranking_is_content_with_pairs_that_are_ahead_by_the_margin() -> None:
    s = torch.full((4, 4), 0.3).fill_diagonal_(0.45)
    assert max_margin_ranking(s, torch.eye(4, dtype=torch.bool), 0.1) == 0
    assert max_margin_ranking(s, torch.eye(4, dtype=torch.bool), 0.2).item() == pytest.approx(0.1)


def naive_mil_nce(
    s: Tensor, videos: list[int], starts: list[float], seconds: float, temperature: float
) -> float:
    total, n = 0.0, len(videos)
    for i in range(n):
        bag = [j for j in range(n) if videos[j] == videos[i] and abs(starts[j] - starts[i]) <= seconds]
        rest = [j for j in range(n) if j not in bag]
        positive = sum(math.exp(s[i, j] / temperature) for j in bag)
        negative = sum(math.exp(s[i, j] / temperature) + math.exp(s[j, i] / temperature) for j in rest)
        total -= math.log(positive / (positive + negative))
    return total / n


@settings(max_examples=50, deadline=None)
@given(
    clips=st.lists(st.tuples(st.integers(0, 2), st.floats(0, 60, width=32)), min_size=1, max_size=9),
    seconds=st.sampled_from([0.0, 8.0, 30.0]),
    seed=st.integers(0, 2**20),
)
def test_mil_nce_is_its_equation(clips: list[tuple[int, float]], seconds: float, seed: int) -> None:
    videos, starts = [video for video, _ in clips], [start for _, start in clips]
    s = similarities(len(clips), seed)
    found = mil_nce(s, origins(videos, starts).close(seconds), 0.3)
    assert found.item() == pytest.approx(naive_mil_nce(s, videos, starts, seconds, 0.3))


def test_any_narration_of_the_bag_will_do() -> None:
    s = torch.tensor([[-1.0, 1, -1], [1, -1, -1], [-1, -1, 1]])
    alone, bag = torch.eye(3, dtype=torch.bool), origins([0, 0, 1], [3.0, 9.0, 3.0]).close(8)
    assert mil_nce(s, bag) < 1e-6
    assert mil_nce(s, alone) > 10


def test_a_margin_softmax_is_infonce_of_the_lowered_diagonal() -> None:
    s = similarities(6)
    lowered = s - 0.2 * torch.eye(6)
    torch.testing.assert_close(max_margin_softmax(s, 0.2, 0.05), norm_softmax(lowered, 0.05))
    torch.testing.assert_close(max_margin_softmax(s, 0.2), norm_softmax(lowered, 1.0))


LOSSES = [
    ({"loss": "mms", "margin": 0.2}, lambda s, _: max_margin_softmax(s, 0.2, 0.05)),
    (
        {"loss": "max_margin", "temperature": None, "margin": 0.1, "intra_video": 0.5},
        lambda s, here: max_margin_ranking(s, here.same_video(), 0.1, 0.5),
    ),
    ({"loss": "mil_nce", "bag_seconds": 8.0}, lambda s, here: mil_nce(s.T, here.close(8.0), 0.05)),
]


@pytest.mark.parametrize(("given", "expected"), LOSSES, ids=["mms", "max_margin", "mil_nce"])
def test_the_loss_of_the_settings_sees_the_places_of_the_samples_that_are_there(
    given: dict[str, Any], expected: Any
) -> None:
    output, here = embeddings(), origins([0, 0, 0, 1, 1, 2, 2, 2, 3], [0, 5, 30, 1, 2, 9, 12, 40, 4])
    only = dict.fromkeys(["t_a", "v_a", "t_va", "v_ta", "a_tv"], 0.0)
    loss = ContrastiveLoss({**given, "weights": only})
    there = output.nonempty["t"] & output.nonempty["v"]
    assert 3 < there.sum() < 9
    t, v = (torch.nn.functional.normalize(output.joint[m][there], dim=1) for m in "tv")
    torch.testing.assert_close(
        loss(output, here)[0], expected(t @ v.T, ClipOrigins(here.video[there], here.start[there]))
    )
    lonely = origins(list(range(9)), [0.0] * 9)
    torch.testing.assert_close(loss(output)[0], loss(output, lonely)[0])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"loss": "mms"}, "loss: mms needs margin"),
        ({"loss": "max_margin", "margin": 0.1, "intra_video": 0.5}, "loss: max_margin has no temperature"),
        ({"loss": "nce", "margin": 0.1}, "loss: nce has no margin"),
        ({"loss": "mil_nce"}, "loss: mil_nce needs bag_seconds"),
        ({"temperature": None}, "loss: nce needs temperature"),
    ],
)
def test_settings_that_a_loss_lacks_or_does_not_have_are_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        ContrastiveLoss(given)
