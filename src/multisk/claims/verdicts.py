"""From the p-values of comparisons to the verdict on a claim.

Two one-sided questions are asked of each claim: do its comparisons show what it says, and do they show the
opposite? Each question has its own correction over all claims that were declared, whether or not they were
run, so that running less never makes a verdict easier.
"""

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

from multisk.claims.significance import holm

Rule = Literal["all", "any"]
Verdict = Literal["supported", "contradicted", "inconclusive", "not run"]


class Evidence(NamedTuple):
    """One-sided p-values of a claim's comparisons: for what it says, and for the opposite."""

    rule: Rule
    p_for: Sequence[float]
    p_against: Sequence[float]


class Judgement(NamedTuple):
    """A verdict with the claim's p-values, before and after the correction over the claims."""

    verdict: Verdict
    p: float | None
    p_corrected: float | None
    p_against: float | None
    p_against_corrected: float | None


def judge_all(claims: Mapping[str, Evidence | None], level: float) -> dict[str, Judgement]:
    """Return the verdict on each claim; None stands for a claim that was not run.

    level: the probability of one false "supported", or of one false "contradicted", among all claims
    """
    p_for = {name: joined(found.rule, found.p_for) if found else 1.0 for name, found in claims.items()}
    p_against = {
        name: joined(opposite(found.rule), found.p_against) if found else 1.0
        for name, found in claims.items()
    }
    corrected_for, corrected_against = holm(p_for), holm(p_against)
    judgements = {}
    for name, found in claims.items():
        if found is None:
            judgements[name] = Judgement("not run", None, None, None, None)
            continue
        verdict = _verdict(corrected_for[name], corrected_against[name], level)
        judgements[name] = Judgement(
            verdict, p_for[name], corrected_for[name], p_against[name], corrected_against[name]
        )
    return judgements


def joined(rule: Rule, p_values: Sequence[float]) -> float:
    """Return the p-value of "all" (the largest) or of "any" (the smallest times their number)."""
    return max(p_values) if rule == "all" else min(1.0, len(p_values) * min(p_values))


def opposite(rule: Rule) -> Rule:
    """Return how the comparisons contradict: one suffices against "all", all are needed against "any"."""
    return "any" if rule == "all" else "all"


def _verdict(p_for: float, p_against: float, level: float) -> Verdict:
    if p_for <= level:
        return "supported"
    return "contradicted" if p_against <= level else "inconclusive"
