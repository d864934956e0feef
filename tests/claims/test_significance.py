"""Intervals and p-values against known truth: simulated worlds, closed forms, scipy."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import ndtr
from scipy.stats import binom, ttest_ind, ttest_rel

from multisk.claims.significance import (
    Term,
    combine,
    estimate,
    estimate_median,
    holm,
    jackknife_deviations,
    luck_within_runs,
    query_deviations,
    resampled_means,
    run_scores,
    run_spread,
)
from multisk.errors import InputError

VIDEOS, CLIPS = 40, 5
WORLDS = 300
SEED_SPREADS = (
    0.0,
    0.15,
    0.25,
)  # R@10 then varies by 2.5, 4.4 and 6.6 points over seeds, as it does in miniature


def simulated(
    rng: np.random.Generator,
    runs: tuple[int, int],
    seed_spread: float,
    gain: float = 0.0,
    alike: float = 0.0,
) -> tuple[Term, Term]:
    """Two methods on the same queries: "new" finds more than "old" by `gain` (in probits).

    Queries are more or less hard, for both and for each method; those of a video are alike; and a run is
    better or worse than another by chance; runs of a seed are `alike` to some degree.
    """
    videos = np.repeat(np.arange(VIDEOS), CLIPS)
    queries = len(videos)
    common = -0.4 + 0.8 * rng.standard_normal(queries) + 0.4 * rng.standard_normal(VIDEOS)[videos]
    common_R = rng.standard_normal(max(runs)) if alike else np.zeros(max(runs))
    terms = []
    for weight, name, count in ((1.0, "new", runs[0]), (-1.0, "old", runs[1])):
        own = 0.2 * rng.standard_normal(queries) + 0.2 * rng.standard_normal(VIDEOS)[videos]
        luck_R = np.sqrt(alike) * common_R[:count] + np.sqrt(1 - alike) * rng.standard_normal(count)
        shift_R1 = seed_spread * luck_R[:, None] + (gain if name == "new" else 0.0)
        found_RQ = rng.random((count, queries)) < ndtr(common + own + shift_R1)
        terms.append(Term(weight, name, "benchmark", 100.0 * found_RQ, videos))
    return terms[0], terms[1]


@pytest.mark.parametrize("seed_spread", SEED_SPREADS)
def test_without_an_effect_few_differences_are_found_and_intervals_hold_the_truth(seed_spread: float) -> None:
    rng = np.random.default_rng(0)
    found = [estimate(simulated(rng, (3, 3), seed_spread), seed=world) for world in range(WORLDS)]
    # Bounds that a test of exactly 5 % would pass in 999 of 1000 such simulations.
    most = binom.ppf(0.999, WORLDS, 0.05)
    assert sum(outcome.p_greater <= 0.05 for outcome in found) <= most
    assert sum(outcome.p_less <= 0.05 for outcome in found) <= most
    assert sum(outcome.p_two_sided <= 0.05 for outcome in found) <= most
    covered = sum(outcome.low <= 0 <= outcome.high for outcome in found)
    assert binom.ppf(0.001, WORLDS, 0.95) <= covered <= 0.99 * WORLDS


def by_seed(terms: tuple[Term, Term]) -> list[Term]:
    return [replace(term, group="seeds") for term in terms]


@pytest.mark.parametrize("alike", [0.0, 0.8])
def test_runs_compared_seed_by_seed_keep_their_promise_however_alike_they_are(alike: float) -> None:
    rng = np.random.default_rng(14)
    worlds = [simulated(rng, (3, 3), 0.25, alike=alike) for _ in range(WORLDS)]
    found = [estimate(by_seed(terms), seed=world) for world, terms in enumerate(worlds)]
    most = binom.ppf(0.999, WORLDS, 0.05)
    assert sum(outcome.p_greater <= 0.05 for outcome in found) <= most
    assert sum(outcome.p_less <= 0.05 for outcome in found) <= most
    assert binom.ppf(0.001, WORLDS, 0.95) <= sum(outcome.low <= 0 <= outcome.high for outcome in found)
    apart = [estimate(terms, seed=world) for world, terms in enumerate(worlds)]
    widths = [np.mean([outcome.high - outcome.low for outcome in outcomes]) for outcomes in (found, apart)]
    assert (widths[0] < widths[1]) == (alike > 0), (
        "what seeds have in common vanishes, and must not be made up"
    )


def test_where_queries_do_not_matter_runs_of_a_seed_are_students_paired_test() -> None:
    new, old = np.array([41.0, 47.5, 44.0]), np.array([38.0, 45.5, 41.0])
    expected = ttest_rel(new, old, alternative="greater")
    found = combine(new.mean() - old.mean(), np.zeros(10), *run_spread([new - old]), threshold=0.0)
    assert found.p_greater == pytest.approx(expected.pvalue)


def test_intervals_over_queries_alone_would_promise_too_much() -> None:
    rng = np.random.default_rng(1)
    covered = 0
    for world in range(WORLDS):
        terms = simulated(rng, (3, 3), 0.25)
        effect = sum(score.mean() for score in run_scores(terms).values())
        low, high = np.quantile(
            effect + query_deviations(terms, np.random.default_rng(world), 400), [0.025, 0.975]
        )
        covered += low <= 0 <= high
    assert covered < binom.ppf(0.001, WORLDS, 0.8)


def test_a_large_effect_is_found() -> None:
    rng = np.random.default_rng(2)
    found = [estimate(simulated(rng, (3, 3), 0.07, gain=0.8), seed=world) for world in range(60)]
    assert np.mean([outcome.p_greater <= 0.05 for outcome in found]) > 0.9
    assert min(outcome.effect for outcome in found) > 10


def test_other_numbers_of_seeds_are_no_trouble() -> None:
    rng = np.random.default_rng(3)
    found = [estimate(simulated(rng, (3, 5), 0.15), seed=world) for world in range(150)]
    assert sum(outcome.p_greater <= 0.05 for outcome in found) <= binom.ppf(0.999, 150, 0.05)
    assert {outcome.runs for outcome in found} == {3}


def test_the_same_data_give_the_same_numbers() -> None:
    terms = simulated(np.random.default_rng(4), (3, 3), 0.15)
    assert estimate(terms) == estimate(terms)


def test_swapped_methods_give_the_opposite() -> None:
    new, old = simulated(np.random.default_rng(5), (3, 3), 0.15, gain=0.3)
    swapped = [
        Term(-term.weight, term.group, term.population, term.values, term.clusters) for term in (new, old)
    ]
    there, back = estimate([new, old]), estimate(swapped)
    assert back.effect == pytest.approx(-there.effect)
    assert back.p_less == pytest.approx(there.p_greater, abs=0.01)
    assert back.low == pytest.approx(-there.high, abs=0.5)


def test_a_threshold_moves_the_question_and_not_the_interval() -> None:
    terms = simulated(np.random.default_rng(6), (3, 3), 0.07, gain=0.8)
    plain, strict = estimate(terms), estimate(terms, threshold=40.0)
    assert (plain.effect, plain.low, plain.high) == (strict.effect, strict.low, strict.high)
    assert plain.p_greater < 0.01
    assert strict.p_less < 0.05


def test_where_queries_do_not_matter_it_is_welchs_test() -> None:
    new, old = np.array([41.0, 47.5, 44.0]), np.array([38.0, 39.5, 36.0, 37.5])
    expected = ttest_ind(new, old, equal_var=False, alternative="greater")
    both_sides = ttest_ind(new, old, equal_var=False).confidence_interval(0.95)
    found = combine(new.mean() - old.mean(), np.zeros(10), *run_spread([new, -old]), threshold=0.0)
    assert found.p_greater == pytest.approx(expected.pvalue)
    assert (found.low, found.high) == pytest.approx((both_sides.low, both_sides.high), abs=1e-4)
    assert found.runs == 3


def test_a_single_run_makes_no_test() -> None:
    found = estimate(simulated(np.random.default_rng(7), (1, 3), 0.15, gain=2.0))
    assert not found.over_runs
    assert (found.p_greater, found.p_less, found.runs) == (1.0, 1.0, 1)
    assert found.low < found.effect < found.high


def test_terms_of_one_method_share_its_runs() -> None:
    """A gain of 10 points in every run is certain, however much the runs differ from each other."""
    rng = np.random.default_rng(8)
    base_RQ = 50 + 10 * np.array([[-1.0], [0.0], [1.0]]) + np.zeros((3, 40))
    clusters = np.arange(40)
    terms = [
        Term(1, "method", "far", base_RQ + 10 + rng.normal(0, 0.1, (3, 40)), clusters),
        Term(-1, "method", "close", base_RQ, clusters),
    ]
    found = estimate(terms)
    assert found.effect == pytest.approx(10, abs=0.1)
    assert found.high - found.low < 1
    assert found.p_greater < 0.001


def test_resampled_means_have_the_variance_of_a_mean() -> None:
    values = np.random.default_rng(9).normal(size=200)
    means = resampled_means(values, np.arange(200), np.random.default_rng(0), 20_000)
    assert means.std() == pytest.approx(values.std(ddof=1) / np.sqrt(200), rel=0.03)
    assert means.mean() == pytest.approx(0, abs=0.002)


def test_queries_of_one_video_are_drawn_together() -> None:
    videos = np.repeat(np.arange(20), 10)
    values = np.random.default_rng(10).normal(size=20)[videos]
    together = resampled_means(values, videos, np.random.default_rng(0)).std()
    apart = resampled_means(values, np.arange(200), np.random.default_rng(0)).std()
    assert together > 2.5 * apart


def test_one_video_is_too_few() -> None:
    with pytest.raises(InputError, match="needs two videos"):
        resampled_means(np.ones(5), np.zeros(5), np.random.default_rng(0))
    with pytest.raises(InputError, match="needs two videos"):
        jackknife_deviations(np.ones(1))


def test_luck_within_runs_is_the_interaction_of_runs_and_queries() -> None:
    rng = np.random.default_rng(11)
    additive = rng.normal(size=(3, 1)) + rng.normal(size=(1, 4000))
    noise = rng.normal(0, 2, size=(3, 4000))
    assert luck_within_runs(additive, np.arange(4000)) == pytest.approx(0, abs=1e-12)
    assert luck_within_runs(additive + noise, np.arange(4000)) == pytest.approx(4 / (3 * 4000), rel=0.05)
    assert luck_within_runs(noise[:1], np.arange(4000)) == 0


def test_the_jackknife_of_a_mean_is_its_standard_error() -> None:
    values = np.random.default_rng(12).normal(size=30)
    left_out = (values.sum() - values) / 29
    assert jackknife_deviations(left_out).std() == pytest.approx(values.std(ddof=1) / np.sqrt(30), rel=0.01)


def test_the_median_rank_has_an_interval_too() -> None:
    ranks = np.random.default_rng(13).geometric(0.05, size=(3, 300)).astype(float)
    found = estimate_median(ranks, np.arange(300))
    assert found.effect == pytest.approx(np.median(ranks, axis=1).mean())
    assert found.low < 13.5 < found.high
    alone = estimate_median(ranks[:1], np.arange(300))
    assert not alone.over_runs
    assert alone.low <= alone.effect <= alone.high


def test_runs_that_all_score_the_same_leave_the_queries() -> None:
    found = estimate([Term(1, "a", "q", np.tile(np.arange(50.0), (3, 1)), np.arange(50))])
    assert found.effect == pytest.approx(24.5)
    assert 3 < found.high - found.effect < 5


def test_holm_corrects_as_in_its_table() -> None:
    assert holm({"c": 0.03, "a": 0.01, "d": 0.5, "b": 0.02}) == pytest.approx(
        {"c": 0.06, "a": 0.04, "d": 0.5, "b": 0.06}
    )


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_keeps_the_order_and_never_lowers(values: list[float]) -> None:
    p_values = {str(index): value for index, value in enumerate(values)}
    corrected = holm(p_values)
    assert list(corrected) == list(p_values)
    assert all(p_values[name] <= corrected[name] <= 1 for name in p_values)
    assert all(corrected[name] <= min(1, len(values) * p_values[name]) + 1e-12 for name in p_values)
    by_size = sorted(p_values, key=lambda name: p_values[name])
    assert [corrected[name] for name in by_size] == sorted(corrected.values())
