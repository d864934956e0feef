"""How often intervals hold the truth and tests are wrong, in simulated worlds whose truth is known.

    python benchmarks/interval_coverage.py

Two methods answer the same queries of a benchmark as large as the miniature's (40 videos with 5 clips each).
Queries are more or less hard, for both methods and for each; clips of a video are alike; each training run is
better or worse by chance, and runs with the same seed are alike to some degree. The first table has no
effect: a found difference is a false one. The second has one, and tells how large it must be to be found.
docs/claims.md shows what it printed.
"""

import argparse
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.special import ndtr
from tqdm import tqdm

from multisk.claims.significance import Term, estimate

VIDEOS, CLIPS = 40, 5
SEEDS = (2, 3, 5)
SPREADS = (0.0, 0.15, 0.25)  # of runs, in probits
ALIKE = (0.0, 0.8)  # share of a run's luck that it has in common with the other method's run of its seed
GAINS = (0.3, 0.6, 0.9)  # of a method, in probits
CLAIMS = 6  # Holm's correction divides the level by as many, at most
LEVEL = 0.05
RESAMPLES = 500


class World(NamedTuple):
    """What two methods found: hits in percent, f64 [runs, queries], and the video of each query."""

    new: np.ndarray
    old: np.ndarray
    videos: np.ndarray


def main() -> None:
    """Run both simulations and print their tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--worlds", type=int, default=1000, help="per row of the tables")
    worlds = parser.parse_args().worlds
    places = [(spread, alike) for spread in SPREADS for alike in ALIKE if spread or not alike]
    rows = [without_effect(seeds, *place, worlds) for seeds in SEEDS for place in places]
    print(pd.DataFrame(rows).to_markdown(index=False))
    print()
    rows = [with_effect(*place, gain, worlds // 2) for place in places for gain in GAINS]
    print(pd.DataFrame(rows).to_markdown(index=False))


def draw(rng: np.random.Generator, seeds: int, spread: float, alike: float = 0.0, gain: float = 0.0) -> World:
    """Draw one world."""
    videos = np.repeat(np.arange(VIDEOS), CLIPS)
    queries = len(videos)
    common_Q = -0.4 + 0.8 * rng.standard_normal(queries) + 0.4 * rng.standard_normal(VIDEOS)[videos]
    common_R1 = rng.standard_normal((seeds, 1))
    hits = []
    for own_gain in (gain, 0.0):
        own_Q = 0.2 * rng.standard_normal(queries) + 0.2 * rng.standard_normal(VIDEOS)[videos]
        luck_R1 = np.sqrt(alike) * common_R1 + np.sqrt(1 - alike) * rng.standard_normal((seeds, 1))
        shift_R1 = spread * luck_R1 + own_gain
        hits.append(100.0 * (rng.random((seeds, queries)) < ndtr(common_Q + own_Q + shift_R1)))
    return World(hits[0], hits[1], videos)


def without_effect(seeds: int, spread: float, alike: float, worlds: int) -> dict[str, str]:
    """Return a row of the first table."""
    rng = np.random.default_rng(0)
    rows = []
    for index in tqdm(range(worlds), desc=f"{seeds} seeds, {spread} probits, alike {alike}", disable=None):
        world = draw(rng, seeds, spread, alike)
        found = estimate(terms(world), seed=index)
        apart = estimate(terms(world, by_seed=False), seed=index)
        low, high, p = plain_bootstrap(world, rng, over_seeds=True)
        queries_low, queries_high, _ = plain_bootstrap(world, rng, over_seeds=False)
        rows.append(
            {
                "std of R@10": world.old.mean(axis=1).std(ddof=1),
                "false": found.p_greater <= LEVEL,
                "coverage": found.low <= 0 <= found.high,
                "half width": (found.high - found.low) / 2,
                "independent: false": apart.p_greater <= LEVEL,
                "independent: coverage": apart.low <= 0 <= apart.high,
                "independent: half width": (apart.high - apart.low) / 2,
                "plain: false": p <= LEVEL,
                "plain: coverage": low <= 0 <= high,
                "queries alone: coverage": queries_low <= 0 <= queries_high,
            }
        )
    means = pd.DataFrame(rows).mean()
    points = ("std of R@10", "half width", "independent: half width")
    return {"seeds": str(seeds), "alike": f"{100 * alike:.0f} %"} | {
        str(name): f"{value:.1f}" if name in points else f"{100 * value:.1f} %"
        for name, value in means.items()
    }


def with_effect(spread: float, alike: float, gain: float, worlds: int) -> dict[str, str]:
    """Return a row of the second table, for three seeds."""
    rng = np.random.default_rng(1)
    drawn = [draw(rng, 3, spread, alike, gain) for _ in range(worlds)]
    found = [estimate(terms(world), seed=index) for index, world in enumerate(tqdm(drawn, disable=None))]
    p_values = np.array([outcome.p_greater for outcome in found])
    return {
        "alike": f"{100 * alike:.0f} %",
        "std of R@10": f"{np.mean([world.old.mean(axis=1).std(ddof=1) for world in drawn]):.1f}",
        "effect": f"{np.mean([outcome.effect for outcome in found]):.1f}",
        "found": f"{100 * (p_values <= LEVEL).mean():.0f} %",
        f"found among {CLAIMS} claims": f"{100 * (p_values <= LEVEL / CLAIMS).mean():.0f} %",
    }


def terms(world: World, *, by_seed: bool = True) -> list[Term]:
    """Return the difference of both methods, their runs compared seed by seed or as independent ones."""
    new, old = ("seeds", "seeds") if by_seed else ("new", "old")
    return [
        Term(1, new, "benchmark", world.new, world.videos),
        Term(-1, old, "benchmark", world.old, world.videos),
    ]


def plain_bootstrap(
    world: World, rng: np.random.Generator, *, over_seeds: bool
) -> tuple[float, float, float]:
    """Return interval and one-sided p-value of percentiles: videos and, if told so, seeds are drawn anew."""
    difference_RQ = world.new - world.old
    runs = len(difference_RQ)
    by_video_RV = difference_RQ.reshape(runs, VIDEOS, CLIPS).mean(axis=2)
    seeds_BR = np.full((RESAMPLES, runs), 1 / runs)
    if over_seeds:
        seeds_BR = rng.multinomial(runs, np.full(runs, 1 / runs), size=RESAMPLES) / runs
    videos_BV = rng.multinomial(VIDEOS, np.full(VIDEOS, 1 / VIDEOS), size=RESAMPLES) / VIDEOS
    means_B = ((seeds_BR @ by_video_RV) * videos_BV).sum(axis=1)
    low, high = np.quantile(means_B, [0.025, 0.975])
    return float(low), float(high), float((means_B <= 0).mean())


if __name__ == "__main__":
    main()
