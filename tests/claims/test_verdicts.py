"""Verdicts from p-values, and how often they are wrong where nothing is there to be found."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import ndtr
from scipy.stats import binom

from multisk.claims.significance import Term, estimate
from multisk.claims.verdicts import Evidence, joined, judge_all

LEVEL = 0.05


def two_sided(rule, *p_for):
    return Evidence(rule, p_for, [1 - p for p in p_for])


def test_all_needs_every_comparison_and_any_needs_one():
    found = judge_all(
        {
            "all": two_sided("all", 0.001, 0.2),
            "any": two_sided("any", 0.001, 0.2),
            "both": two_sided("all", 0.001),
        },
        LEVEL,
    )
    assert {name: judged.verdict for name, judged in found.items()} == {
        "all": "inconclusive",
        "any": "supported",
        "both": "supported",
    }
    assert found["all"].p == 0.2
    assert found["any"].p == 0.002


def test_one_comparison_contradicts_all_and_every_one_contradicts_any():
    found = judge_all({"all": two_sided("all", 0.5, 0.9999), "any": two_sided("any", 0.5, 0.9999)}, LEVEL)
    assert found["all"].verdict == "contradicted"
    assert found["any"].verdict == "inconclusive"
    assert judge_all({"any": two_sided("any", 0.99, 0.9999)}, LEVEL)["any"].verdict == "contradicted"


def test_what_was_not_run_still_counts_in_the_correction():
    alone = judge_all({"a": two_sided("all", 0.02)}, LEVEL)["a"]
    assert (alone.verdict, alone.p_corrected) == ("supported", 0.02)
    among = judge_all({"a": two_sided("all", 0.02), "b": None, "c": None}, LEVEL)
    assert among["a"].verdict == "inconclusive"
    assert among["a"].p_corrected == pytest.approx(0.06)
    assert among["b"].verdict == "not run"
    assert among["b"].p is None


@given(st.lists(st.lists(st.floats(0, 1), min_size=1, max_size=4), min_size=1, max_size=6))
def test_no_claim_is_supported_and_contradicted(claims):
    for rule in ("all", "any"):
        found = judge_all({str(i): two_sided(rule, *p) for i, p in enumerate(claims)}, LEVEL)
        for judged in found.values():
            assert not (judged.p_corrected <= LEVEL and judged.p_against_corrected <= LEVEL)


def test_joined_p_values():
    assert joined("all", [0.01, 0.3]) == 0.3
    assert joined("any", [0.01, 0.3]) == 0.02
    assert joined("any", [0.7, 0.8]) == 1.0


METHODS = ("plain", "new", "other")
CLAIMS = {
    "close": ("all", [("new", "plain", "close")]),
    "both": ("all", [("new", "plain", "close"), ("new", "plain", "far")]),
    "either": ("any", [("new", "other", "close"), ("new", "other", "far")]),
    "last": ("all", [("other", "plain", "far")]),
}


def judged_world(rng: np.random.Generator, gain: float) -> set[str]:
    """Verdicts on CLAIMS where `new` finds more by `gain` probits; seeds differ by 5 points of R@10."""
    videos = np.repeat(np.arange(40), 5)
    cells = {}
    for domain in ("close", "far"):
        common_Q = -0.4 + 0.8 * rng.standard_normal(200) + 0.4 * rng.standard_normal(40)[videos]
        for method in METHODS:
            level_RQ = common_Q + 0.2 * rng.standard_normal(200) + 0.18 * rng.standard_normal((3, 1))
            chances_RQ = ndtr(level_RQ + (gain if method == "new" else 0))
            cells[method, domain] = 100.0 * (rng.random((3, 200)) < chances_RQ)
    evidence = {}
    for name, (rule, comparisons) in CLAIMS.items():
        found = [
            estimate(
                [
                    Term(1, better, domain, cells[better, domain], videos),
                    Term(-1, worse, domain, cells[worse, domain], videos),
                ]
            )
            for better, worse, domain in comparisons
        ]
        evidence[name] = Evidence(rule, [e.p_greater for e in found], [e.p_less for e in found])
    return {f"{name} {judged.verdict}" for name, judged in judge_all(evidence, LEVEL).items()}


def test_without_an_effect_at_most_one_world_in_twenty_has_a_false_verdict():
    rng, worlds = np.random.default_rng(0), 120
    verdicts = [judged_world(rng, gain=0.0) for _ in range(worlds)]
    most = binom.ppf(0.999, worlds, LEVEL)
    assert sum(any("supported" in verdict for verdict in found) for found in verdicts) <= most
    assert sum(any("contradicted" in verdict for verdict in found) for found in verdicts) <= most


def test_a_great_effect_gets_its_verdict_and_only_where_it_is():
    rng = np.random.default_rng(1)
    verdicts = [judged_world(rng, gain=2.0) for _ in range(25)]
    assert sum("both supported" in found for found in verdicts) >= 20
    assert sum("either supported" in found for found in verdicts) >= 20
    assert sum("last inconclusive" in found for found in verdicts) >= 23
