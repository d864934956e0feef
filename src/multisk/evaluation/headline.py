"""Which direction of retrieval stands for a method where one number is shown, sought or compared."""

from collections.abc import Iterable, Mapping
from statistics import fmean
from typing import Any

from multisk.settings.benchmarks import BESIDE_BENCHMARKS

HEADLINE = ("t2va", "t2v+a", "t2v")  # text -> video+audio: fused, else averaged; else video alone
HEADLINE_METRICS = ("R1", "R5", "R10", "MedR")


def headline(directions: Iterable[str]) -> str:
    """Return the first of HEADLINE among a method's directions; raise ValueError if none is there."""
    found = set(directions)
    for direction in HEADLINE:
        if direction in found:
            return direction
    raise ValueError(f"directions: one of {', '.join(HEADLINE)} is needed, found {sorted(found)}")


def headline_metrics(full: Mapping[str, Any]) -> dict[str, dict[str, dict[str, float]]]:
    """Return the headline direction's means over seeds, to two decimals: benchmark -> setting -> metric.

    full: a method's metrics: benchmark -> setting -> seed -> direction -> metric, and BESIDE_BENCHMARKS
    """
    return {
        benchmark: {setting: _means(list(seeds.values())) for setting, seeds in settings.items()}
        for benchmark, settings in full.items()
        if benchmark not in BESIDE_BENCHMARKS
    }


def _means(seeds: list[Mapping[str, Mapping[str, float]]]) -> dict[str, float]:
    chosen = [found[headline(found)] for found in seeds]
    return {name: round(fmean(found[name] for found in chosen), 2) for name in HEADLINE_METRICS}
