import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import rankdata

from multisk.errors import InputError
from multisk.evaluation.ranking import CUTOFFS, METRICS, chance_level, metrics_of, query_ranks

SQUARES = st.integers(1, 12).flatmap(
    # Few distinct values, so that ties are common.
    lambda n: arrays(np.float32, (n, n), elements=st.integers(-3, 3).map(float))
)
RANKS = st.lists(st.integers(2, 120).map(lambda twice: twice / 2), min_size=1, max_size=60).map(np.array)


@settings(deadline=None)
@given(SQUARES)
def test_ranks_are_those_of_scipy(sims: np.ndarray) -> None:
    for ties, method in (("mean", "average"), ("best", "min")):
        expected = np.diagonal(rankdata(-sims, method=method, axis=1))
        np.testing.assert_array_equal(query_ranks(sims, ties), expected)  # type: ignore[arg-type]


@settings(deadline=None)
@given(SQUARES)
def test_ranks_ignore_scale_and_the_order_of_clips(sims: np.ndarray) -> None:
    np.testing.assert_array_equal(query_ranks(np.exp(3 * sims) - 7), query_ranks(sims))
    order = np.random.RandomState(len(sims)).permutation(len(sims))
    np.testing.assert_array_equal(query_ranks(sims[order][:, order]), query_ranks(sims)[order])


@given(RANKS, st.integers(1, 40))
def test_missing_clips_are_errors_and_have_no_rank(ranks: np.ndarray, missing: int) -> None:
    there, complete = metrics_of(ranks), metrics_of(ranks, len(ranks) + missing)
    share = len(ranks) / (len(ranks) + missing)
    for name in METRICS:
        factor = 1 if name in ("MedR", "MeanR") else share
        assert complete[name] == pytest.approx(there[name] * factor)


@given(RANKS)
def test_metrics_stay_in_bounds(ranks: np.ndarray) -> None:
    metrics = metrics_of(ranks)
    recalls = [metrics[f"R{k}"] for k in CUTOFFS]
    assert tuple(metrics) == METRICS
    assert recalls == sorted(recalls)
    assert 0 <= recalls[0] <= metrics["GeoMean"] + 1e-9 <= recalls[2] + 2e-9
    assert recalls[-1] <= 100
    assert ranks.min() <= metrics["MedR"] <= ranks.max()


def test_all_equal_similarities_rank_in_the_middle() -> None:
    ranks = query_ranks(np.zeros((12, 12)))
    assert ranks.tolist() == [6.5] * 12
    assert metrics_of(ranks)["R5"] == 0
    assert metrics_of(ranks)["R10"] == 100
    assert query_ranks(np.zeros((12, 12)), ties="best").tolist() == [1] * 12


def test_a_tie_for_the_first_place_is_no_hit_but_one_for_the_fifth_is() -> None:
    assert metrics_of(np.array([1.5]))["R1"] == 0
    assert metrics_of(np.array([5.5]))["R5"] == 100
    assert metrics_of(np.array([6.0]))["R5"] == 0


def test_a_single_clip_is_always_found() -> None:
    assert metrics_of(query_ranks(np.array([[-0.3]]))) == pytest.approx(
        {**dict.fromkeys(METRICS, 100.0), "MedR": 1, "MeanR": 1}
    )


def test_nan_is_an_error() -> None:
    sims = np.eye(4)
    sims[2, 1] = np.nan
    with pytest.raises(InputError, match="query 2 are NaN"):
        query_ranks(sims)


@pytest.mark.parametrize(("present", "complete"), [(200, None), (30, 50), (4, 4)])
def test_chance_is_what_random_rankings_score(present: int, complete: int | None) -> None:
    rng = np.random.RandomState(0)
    drawn = [metrics_of(query_ranks(rng.rand(present, present)), complete) for _ in range(200)]
    chance = chance_level(present, complete)
    for name in METRICS[:-1]:
        values = [metrics[name] for metrics in drawn]
        error = 5 * np.std(values) / np.sqrt(len(values)) + 1e-9
        # The median of a finite sample is not quite unbiased for few clips.
        assert np.mean(values) == pytest.approx(chance[name], abs=error + (0.1 if name == "MedR" else 0))
    recalls = [chance[f"R{k}"] for k in (1, 5, 10)]
    assert chance["GeoMean"] == pytest.approx(np.exp(np.mean(np.log(recalls))))
