"""Comparisons of methods whose runs share their seeds."""

import pandas as pd

from multisk.benchmarks.definition import load_definitions
from multisk.claims.declared import RetrievalComparison
from multisk.claims.measured import Measured

CLIPS = 40
COMPARISON = RetrievalComparison.model_validate(
    {
        "name": "gain",
        "says": "new minus old",
        "test": "bootstrap",
        "metric": "R10",
        "direction": "headline",
        "above_chance": False,
        "alternative": "greater",
        "threshold": 0,
        "minimum_seeds": 3,
        "terms": [
            {"weight": 1, "method": "new", "benchmark": "msrvtt", "setting": "zero-shot"},
            {"weight": -1, "method": "old", "benchmark": "msrvtt", "setting": "zero-shot"},
        ],
    }
)


def measured(found: dict[str, dict[int, int]]) -> Measured:
    """Results in which a method's run with a seed finds so many clips, the first ones."""
    rows = [
        (method, "msrvtt", "zero-shot", seed, "t2va", f"clip-{clip}", 1 if clip < count else 20, f"v{clip}")
        for method, counts in found.items()
        for seed, count in counts.items()
        for clip in range(CLIPS)
    ]
    columns = ["method", "benchmark", "setting", "seed", "direction", "clip_id", "rank", "video_id"]
    sizes = [("msrvtt", which, CLIPS) for which in ("present", "complete")]
    return Measured(
        ranks=pd.DataFrame(rows, columns=columns),
        anchors=pd.DataFrame(),
        chance=pd.DataFrame(),
        sizes=pd.DataFrame(sizes, columns=["benchmark", "which", "value"]),
        runs=pd.DataFrame(),
        methods=frozenset(found),
        benchmarks={name: one.settings for name, one in load_definitions().items()},
    )


def width(found: dict[str, dict[int, int]]) -> float:
    """The interval's width, for runs that differ much while the methods differ by four clips."""
    estimate, _ = measured(found).estimate(COMPARISON)
    assert estimate.effect == 10
    return estimate.high - estimate.low


def test_methods_with_the_same_seeds_are_compared_seed_by_seed():
    old = {0: 8, 1: 16, 2: 24}
    same = width({"new": {seed: count + 4 for seed, count in old.items()}, "old": old})
    other = width({"new": {seed + 1: count + 4 for seed, count in old.items()}, "old": old})
    assert same < 25
    assert other > 60
