"""Ranks of the right answers, and the metrics made of them (paper: evaluation)."""

from typing import TYPE_CHECKING, Literal, TypeVar

import numpy as np

from multisk.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

Ranks = TypeVar("Ranks", np.ndarray, "pd.DataFrame")

METRICS = ("R1", "R5", "R10", "R50", "MedR", "MeanR", "GeoMean")
CUTOFFS = (1, 5, 10, 50)

Metrics = dict[str, float]


def query_ranks(sim_QQ: np.ndarray, ties: Literal["mean", "best"] = "mean") -> np.ndarray:
    """Return the rank of each query's right answer among all answers, f64 [Q]; 1 is the best.

    sim_QQ: similarity of query i with answer j; answer i is the right one of query i
    ties: rank of an answer that others exactly equal: the mean of their places (as released), or the best

    Raises InputError for NaN, which has no rank.
    """
    assert sim_QQ.shape == (len(sim_QQ), len(sim_QQ)), sim_QQ.shape
    broken = np.flatnonzero(np.isnan(sim_QQ).any(axis=1))
    if len(broken):
        raise InputError(
            f"similarities of query {broken[0]} are NaN; the embeddings are not finite: train again"
        )
    right_Q1 = np.diagonal(sim_QQ)[:, None]
    better_Q = (sim_QQ > right_Q1).sum(axis=1)
    equal_Q = (sim_QQ == right_Q1).sum(axis=1)
    return better_Q + (1.0 if ties == "best" else (equal_Q + 1) / 2)


def metrics_of(ranks: np.ndarray, complete_size: int | None = None) -> Metrics:
    """Return the metrics of ranks [Q], as METRICS names them.

    R@K in percent of `complete_size` (default Q): what the benchmark lists but is missing counts as an error.
    MedR and MeanR are over the queries there are. GeoMean is the geometric mean of R1, R5 and R10.
    """
    size = complete_size or len(ranks)
    assert 0 < len(ranks) <= size, (len(ranks), size)
    recalls = {f"R{k}": 100.0 * int(found(ranks, k).sum()) / size for k in CUTOFFS}
    return {
        **recalls,
        "MedR": float(np.median(ranks)),
        "MeanR": float(ranks.mean()),
        "GeoMean": _geometric(recalls),
    }


def found(ranks: Ranks, k: int) -> Ranks:
    """Tell which ranks count for R@K.

    As released, mean rank 5.5 (tied for the fifth place) counts for R5, but mean rank 1.5 not for R1.
    """
    return ranks == 1 if k == 1 else ranks < k + 1


def chance_level(present: int, complete_size: int | None = None) -> Metrics:
    """Return what random rankings of `present` answers score in expectation (GeoMean: of those R@K)."""
    size, middle = complete_size or present, (present + 1) / 2
    assert 0 < present <= size, (present, size)
    recalls = {f"R{k}": 100.0 * min(k, present) / size for k in CUTOFFS}
    return {**recalls, "MedR": middle, "MeanR": middle, "GeoMean": _geometric(recalls)}


def _geometric(recalls: dict[str, float]) -> float:
    return float(np.prod([recalls["R1"], recalls["R5"], recalls["R10"]]) ** (1 / 3))
