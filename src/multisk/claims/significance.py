"""Is a difference more than luck? Luck is which queries a benchmark has, and which seeds a method had.

Shapes: R training runs (seeds), Q queries, C clusters of queries (videos), B resamples.

A contrast is a weighted sum of scores, such as the gain of one method over another, or by how much that gain
is larger in one domain. Its distribution is a hierarchical bootstrap of two levels:

- queries, of which there are hundreds, are resampled; those of one video together, and the same ones for all
  methods and runs of a benchmark, so that methods are compared on the same queries;
- runs, of which there are few, are not: resampling three values shrinks their variance by a third and knows
  no heavy tails. Their part is Student's t with the degrees of freedom of Welch and Satterthwaite.

What a single run happens to find would count in both parts; it is taken out of the first. Runs of methods
that have the same seeds are compared seed by seed: they began with the same weights and saw the same batches,
and no assumption is needed of how alike that makes them. docs/claims.md has the measured coverage, also of
the plain hierarchical bootstrap.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from multisk.errors import InputError

RESAMPLES = 2000
MEDIAN_RESAMPLES = 500
QUANTILES = 200
CONFIDENCE = 0.95
TINY = 1e-9  # the spread of runs that all score the same


@dataclass(frozen=True)
class Term:
    """A weighted score of one method in one condition.

    Attributes:
        weight: its factor in the contrast.
        group: whose runs these are; terms of one group share their runs, row by row: those of one method, or
            of several that are compared seed by seed. Groups are independent.
        population: whose queries these are; terms of one population share their queries, column by column.
        values: f64 [R, Q], what each query adds to the run's score; the score is the mean over queries.
        clusters: int [Q], the cluster of each query.
    """

    weight: float
    group: str
    population: str
    values: np.ndarray
    clusters: np.ndarray


class Estimate(NamedTuple):
    """A contrast with its uncertainty.

    With one run in a group, nothing tells how much runs differ: `low` and `high` are then over queries alone,
    `p_greater` and `p_less` are 1, and `over_runs` is false.

    effect, low, high: in the unit of the values; the interval holds 95 %
    p_greater: one-sided, of "the contrast is not above the threshold"; p_less: of "not below"
    runs: number of runs, of the group that has fewest
    """

    effect: float
    low: float
    high: float
    p_greater: float
    p_less: float
    runs: int
    over_runs: bool

    @property
    def p_two_sided(self) -> float:
        """The p-value of "the contrast equals the threshold"."""
        return min(1.0, 2 * min(self.p_greater, self.p_less))


def estimate(terms: Sequence[Term], threshold: float = 0.0, seed: int = 0) -> Estimate:
    """Return the contrast of some terms with its interval and its p-values against a threshold."""
    scores = run_scores(terms)
    effect = float(sum(score_R.mean() for score_R in scores.values()))
    deviations_B = query_deviations(terms, np.random.default_rng(seed))
    return combine(effect, deviations_B, *run_spread(list(scores.values())), threshold)


def estimate_median(ranks_RQ: np.ndarray, clusters_Q: np.ndarray, seed: int = 0) -> Estimate:
    """Return the median rank of a method, the mean over its runs, with its interval."""
    rng = np.random.default_rng(seed)
    medians_R = np.median(ranks_RQ, axis=1)
    members = [np.flatnonzero(clusters_Q == cluster) for cluster in np.unique(clusters_Q)]
    draws = rng.integers(len(members), size=(MEDIAN_RESAMPLES, len(members)))
    resampled_B = [
        np.median(ranks_RQ[:, np.concatenate([members[c] for c in drawn])], axis=1).mean() for drawn in draws
    ]
    effect = float(medians_R.mean())
    return combine(effect, np.array(resampled_B) - effect, *run_spread([medians_R]), threshold=0.0)


def combine(
    effect: float, deviations_B: np.ndarray, spread: float, freedom: float, runs: int, threshold: float
) -> Estimate:
    """Return the estimate whose error is one of the deviations plus `spread` times Student's t.

    deviations_B: equally probable errors from the sample of queries, f64 [B]
    spread, freedom, runs: of the part of the runs, as `run_spread` gives them
    """
    from scipy.special import stdtr  # the distribution function of Student's t

    if runs < 2:
        low, high = np.quantile(deviations_B, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
        return Estimate(effect, effect + low, effect + high, 1.0, 1.0, runs, over_runs=False)

    # A few quantiles stand for all deviations: the same distribution, a tenth of the time.
    deviations_B = np.quantile(deviations_B, (np.arange(QUANTILES) + 0.5) / QUANTILES)

    def below(value: float) -> float:
        return float(stdtr(freedom, (value - effect - deviations_B) / spread).mean())

    low, high = (_solve(below, share, effect) for share in ((1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2))
    p = below(threshold)
    return Estimate(effect, low, high, p, 1 - p, runs, over_runs=True)


def run_scores(terms: Sequence[Term]) -> dict[str, np.ndarray]:
    """Return each group's part of the contrast, run by run: f64 [R] by group."""
    scores: dict[str, np.ndarray] = {}
    for term in terms:
        score_R = term.weight * term.values.mean(axis=1)
        scores[term.group] = scores.get(term.group, 0) + score_R
    return scores


def run_spread(scores: Sequence[np.ndarray]) -> tuple[float, float, int]:
    """Return the standard error that runs cause, its degrees of freedom, and the smallest number of runs.

    scores: f64 [R] per group; groups are independent (Welch and Satterthwaite)
    """
    runs = min(len(score_R) for score_R in scores)
    if runs < 2:
        return 0.0, 1.0, runs
    variances = np.array([score_R.var(ddof=1) / len(score_R) for score_R in scores])
    freedoms = np.array([len(score_R) - 1 for score_R in scores])
    total = variances.sum()
    if total == 0:
        return TINY, float(freedoms.sum()), runs
    return float(np.sqrt(total)), float(total**2 / (variances**2 / freedoms).sum()), runs


def query_deviations(
    terms: Sequence[Term], rng: np.random.Generator, resamples: int = RESAMPLES
) -> np.ndarray:
    """Return by how much the contrast changes with other queries, the runs being the same: f64 [B].

    What a run finds by its own luck differs between queries and between runs; `run_spread` has it already,
    so the deviations are shrunk by its share in their variance.
    """
    populations: dict[str, dict[str, np.ndarray]] = {}
    clusters: dict[str, np.ndarray] = {}
    for term in terms:
        groups = populations.setdefault(term.population, {})
        groups[term.group] = groups.get(term.group, 0) + term.weight * term.values
        clusters[term.population] = term.clusters
    total_B = np.zeros(resamples)
    for population, groups in populations.items():
        share_Q = np.sum([values_RQ.mean(axis=0) for values_RQ in groups.values()], axis=0)
        deviations_B = resampled_means(share_Q, clusters[population], rng, resamples)
        own = sum(luck_within_runs(values_RQ, clusters[population]) for values_RQ in groups.values())
        variance = deviations_B.var()
        total_B += deviations_B * np.sqrt(max(0.0, 1 - own / variance) if variance else 0.0)
    return total_B


def luck_within_runs(values_RQ: np.ndarray, clusters_Q: np.ndarray) -> float:
    """Return the variance of the mean over runs that comes of what only one run does with a query.

    It is the interaction of runs and clusters in a table of both; 0 for a single run, which cannot tell.
    """
    runs, queries = values_RQ.shape
    if runs < 2:
        return 0.0
    _, cluster_Q = np.unique(clusters_Q, return_inverse=True)
    count = int(cluster_Q.max()) + 1
    residual_RQ = (
        values_RQ - values_RQ.mean(axis=0) - values_RQ.mean(axis=1, keepdims=True) + values_RQ.mean()
    )
    sums_RC = np.stack([np.bincount(cluster_Q, weights=row_Q) for row_Q in residual_RQ])
    return float((sums_RC**2).sum() * count / (count - 1) / (runs - 1) / runs / queries**2)


def resampled_means(
    values_Q: np.ndarray, clusters_Q: np.ndarray, rng: np.random.Generator, resamples: int = RESAMPLES
) -> np.ndarray:
    """Return how the mean changes when whole clusters are drawn anew, f64 [B].

    Stretched by sqrt(C / (C - 1)), so that its variance is right for few clusters too.
    """
    _, cluster_Q = np.unique(clusters_Q, return_inverse=True)
    sums_C = np.bincount(cluster_Q, weights=values_Q)
    sizes_C = np.bincount(cluster_Q)
    count = len(sizes_C)
    if count < 2:
        raise InputError(f"{count} cluster of queries; a bootstrap over queries needs two videos at least")
    drawn_BC = rng.multinomial(count, np.full(count, 1 / count), size=resamples)
    means_B = (drawn_BC @ sums_C) / (drawn_BC @ sizes_C)
    return (means_B - values_Q.mean()) * np.sqrt(count / (count - 1))


def jackknife_deviations(left_out_G: np.ndarray, resamples: int = RESAMPLES) -> np.ndarray:
    """Return errors of a statistic, f64 [B]: normal, with the variance of the delete-a-group jackknife.

    left_out_G: the statistic without each of G groups of equal size
    """
    from scipy.stats import norm

    groups = len(left_out_G)
    if groups < 2:
        raise InputError(f"{groups} group of videos; a jackknife needs two videos at least")
    variance = (groups - 1) / groups * ((left_out_G - left_out_G.mean()) ** 2).sum()
    return float(np.sqrt(variance)) * norm.ppf((np.arange(resamples) + 0.5) / resamples)


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """Return the p-values corrected for their number, so that all of them hold together (Holm 1979)."""
    corrected, largest = {}, 0.0
    for position, name in enumerate(sorted(p_values, key=lambda name: p_values[name])):
        largest = max(largest, min(1.0, (len(p_values) - position) * p_values[name]))
        corrected[name] = largest
    return {name: corrected[name] for name in p_values}


def _solve(increasing: Callable[[float], float], target: float, start: float) -> float:
    """Return where an increasing function of a distribution reaches a share, searching outwards first."""
    from scipy.optimize import brentq

    reach = 1.0
    while increasing(start - reach) > target or increasing(start + reach) < target:
        reach *= 2
    return float(brentq(lambda value: increasing(value) - target, start - reach, start + reach, xtol=1e-6))
