"""The paper's claims: what reports/claims.yaml declares, against what was measured.

`judge` gives each claim its verdict; docs/claims.md tells how, and what the verdicts mean.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Literal

import pandas as pd

from multisk.claims.declared import Claim, Claims, Comparison, Declared
from multisk.claims.measured import Measured
from multisk.claims.significance import Estimate
from multisk.claims.verdicts import Evidence, Judgement, Rule, Verdict, judge_all

SCALES = ("miniature", "paper")

Finding = Literal["above", "below", "open", "not run"]


@dataclass(frozen=True)
class ComparisonResult:
    """A comparison and its outcome; the numbers are None where it was not run.

    Attributes:
        claim, name, says, test, metric, alternative, threshold, minimum_seeds: as declared.
        unit: of effect, interval and threshold.
        effect, low, high: the weighted sum with its 95 % interval; over queries alone unless `over_runs`.
        p, p_two_sided: for the declared alternative; and for "equal to the threshold".
        finding: where the interval lies, seen from the threshold.
        seeds: of the method that has fewest.
        samples: test clips of all benchmarks that enter.
        reason: why it was not run, or why no verdict follows; else empty.
        files, run_ids: the run records of the evaluations, and their ids in the tracker.
    """

    claim: str
    name: str
    says: str
    test: str
    metric: str
    unit: str
    alternative: str
    threshold: float
    minimum_seeds: int
    effect: float | None = None
    low: float | None = None
    high: float | None = None
    p: float | None = None
    p_two_sided: float | None = None
    finding: Finding = "not run"
    seeds: int = 0
    samples: int = 0
    over_runs: bool = False
    reason: str = ""
    files: tuple[str, ...] = ()
    run_ids: tuple[str, ...] = ()


@dataclass(frozen=True)
class ClaimResult:
    """A claim with its verdict, at the scale of one profile.

    Attributes:
        p, p_corrected: for what the claim says, by its rule; corrected over all declared claims (Holm).
        p_against, p_against_corrected: the same for the opposite.
    """

    name: str
    number: int
    statement: str
    reading: str
    caveat: str
    rule: Rule
    verdict: Verdict
    reason: str
    p: float | None
    p_corrected: float | None
    p_against: float | None
    p_against_corrected: float | None
    profile: str
    comparisons: tuple[ComparisonResult, ...]


# --- judging -----------------------------------------------------------------------------------


def judge(declared: Claims, measured: Measured, profile: str) -> list[ClaimResult]:
    """Return the verdict on each declared claim."""
    results = {
        claim.name: tuple(compare(claim.name, comparison, measured) for comparison in claim.comparisons)
        for claim in declared.claims
    }
    evidence = {claim.name: _evidence(claim.rule, results[claim.name]) for claim in declared.claims}
    judgements = judge_all(evidence, declared.level)
    return [
        ClaimResult(
            **claim.model_dump(include={"name", "number", "statement", "reading", "caveat", "rule"}),
            **judgements[claim.name]._asdict(),
            reason=_reason(claim, judgements[claim.name], results[claim.name], declared.level),
            profile=profile,
            comparisons=results[claim.name],
        )
        for claim in declared.claims
    ]


def compare(claim: str, declared: Declared, measured: Measured) -> ComparisonResult:
    """Return the outcome of one comparison."""
    unit = "points" if declared.test == "bootstrap" else declared.metric.upper()
    plan = {
        **declared.model_dump(include={*Comparison.model_fields, "test", "metric"}),
        "claim": claim,
        "unit": unit,
    }
    missing = measured.missing(declared)
    if missing:
        return ComparisonResult(**plan, reason=missing)
    estimated, samples = measured.estimate(declared)
    greater = declared.alternative == "greater"
    runs = measured.evaluations({term.method for term in declared.terms})
    return ComparisonResult(
        **plan,
        effect=estimated.effect,
        low=estimated.low,
        high=estimated.high,
        p=estimated.p_greater if greater else estimated.p_less,
        p_two_sided=estimated.p_two_sided,
        finding=_finding(estimated, declared.threshold),
        seeds=estimated.runs,
        samples=samples,
        over_runs=estimated.over_runs,
        reason=_too_few(estimated.runs, declared.minimum_seeds),
        files=tuple(runs["file"]),
        run_ids=tuple(filter(None, runs["run_id"])),
    )


def claims_frame(results: Sequence[ClaimResult]) -> pd.DataFrame:
    """Return a row per comparison, its claim's verdict in front; files and run ids are joined by `;`."""
    rows = [
        {
            "number": result.number,
            "verdict": result.verdict,
            "claim_p": result.p,
            "claim_p_corrected": result.p_corrected,
            "rule": result.rule,
            "profile": result.profile,
            **asdict(comparison),
            "files": ";".join(comparison.files),
            "run_ids": ";".join(comparison.run_ids),
        }
        for result in results
        for comparison in result.comparisons
    ]
    return pd.DataFrame(rows)


def verdicts_frame(results: Sequence[ClaimResult]) -> pd.DataFrame:
    """Return a row per claim: verdict, p-values, comparisons, and the seeds of the method that has fewest."""
    rows = [
        {
            "number": result.number,
            "claim": result.name,
            "statement": result.statement,
            "verdict": result.verdict,
            "profile": result.profile,
            "rule": result.rule,
            "comparisons": len(result.comparisons),
            "seeds": min((each.seeds for each in result.comparisons), default=0),
            "p": result.p,
            "p_corrected": result.p_corrected,
            "p_against": result.p_against,
            "p_against_corrected": result.p_against_corrected,
            "reason": result.reason,
        }
        for result in results
    ]
    return pd.DataFrame(rows)


def scales_frame(results: Sequence[ClaimResult]) -> pd.DataFrame:
    """Return claim, scale, verdict; "not run" at the scales that this working copy has no results of."""
    rows = [
        (result.name, scale, result.verdict if scale == result.profile else "not run")
        for result in results
        for scale in dict.fromkeys((*SCALES, result.profile))
    ]
    return pd.DataFrame(rows, columns=["claim", "scale", "verdict"])


def _evidence(rule: Rule, results: Sequence[ComparisonResult]) -> Evidence | None:
    """Return a claim's p-values, None where a comparison was not run; too few seeds are no evidence."""
    pairs = []
    for result in results:
        if result.p is None:
            return None
        pairs.append((1.0, 1.0) if result.reason else (result.p, 1 - result.p))
    p_for, p_against = zip(*pairs, strict=True)
    return Evidence(rule, p_for, p_against)


def _finding(estimated: Estimate, threshold: float) -> Finding:
    if estimated.low > threshold:
        return "above"
    return "below" if estimated.high < threshold else "open"


def _too_few(seeds: int, minimum: int) -> str:
    return "" if seeds >= minimum else f"{seeds} of the {minimum} seeds that a verdict needs"


def _reason(claim: Claim, judged: Judgement, results: Sequence[ComparisonResult], level: float) -> str:
    """Return in one sentence why the verdict is what it is."""
    reasons = list(dict.fromkeys(result.reason for result in results if result.reason))
    if judged.verdict == "not run" or (judged.verdict == "inconclusive" and reasons):
        return f"{judged.verdict.capitalize()}: {'; '.join(reasons)}."
    needed = f"{claim.rule} of {len(results)} comparisons" if len(results) > 1 else "its comparison"
    if judged.verdict == "supported":
        return f"Supported by {needed}: corrected {_p(judged.p_corrected)}, at most {level:g}."
    against = f"the opposite has a corrected {_p(judged.p_against_corrected)}"
    if judged.verdict == "contradicted":
        opposed = [result.name for result in results if result.finding == _opposite_side(result)]
        return f"Contradicted by {', '.join(opposed) or needed}: {against}, at most {level:g}."
    return (
        f"Inconclusive: it needs {needed}, and has a corrected {_p(judged.p_corrected)}; {against}; "
        f"both are above {level:g}."
    )


def _opposite_side(result: ComparisonResult) -> Finding:
    return "below" if result.alternative == "greater" else "above"


def _p(value: float | None) -> str:
    assert value is not None
    return f"p = {value:.3f}" if value >= 0.001 else "p < 0.001"
