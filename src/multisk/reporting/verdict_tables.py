"""The tables of claims and of published numbers, as rows that link to their runs."""

from collections.abc import Iterator, Sequence

import pandas as pd

from multisk.claims.declared import Claims, Declared, RetrievalComparison
from multisk.claims.judged import ClaimResult, ComparisonResult, Finding
from multisk.params import Params
from multisk.reporting import wording
from multisk.reporting.cells import DATA, NOTHING, Cell, Link, Origin, Row, Table, at, column, linked, plain
from multisk.reporting.ledger import Ledger

CLAIMS, VERDICTS = f"{DATA}/claims.csv", f"{DATA}/verdicts.csv"
SCALES = {"paper": "published setting"}  # what a profile stands for, where its name does not say it
COUNTS = ("corrected p", "p of the opposite", "comparisons", "seeds")
COMPARISON_HEADS = (
    *("comparison", "finding", "effect", "95 % interval", "threshold", "p", "clips", "seeds"),
    "runs",
)
OUTCOMES: dict[Finding, str] = {
    "above": "beats the contrastive loss alone in",
    "open": "is not shown to beat it (the interval contains the threshold) in",
    "below": "falls behind it in",
    "not run": "was not compared with it in",
}


def overview(claims: Sequence[ClaimResult], verdicts: pd.DataFrame, by_scale: pd.DataFrame) -> Table:
    """Return a row per claim with its verdict at each scale, this working copy's first.

    verdicts, by_scale: of `verdicts_frame` and `scales_frame`
    """
    caption = (
        "The claims and their verdicts, at each scale. Corrected p and p of the opposite: one-sided, for "
        "what the claim says and for its opposite, at this scale, corrected over all claims (Holm). Seeds: "
        "of the method that has fewest."
    )
    found = by_scale.pivot(index="claim", columns="scale", values="verdict")
    scales = sorted(found.columns, key=lambda scale: (scale != claims[0].profile, scale))
    rows = [
        _overview_row(claim, counts, [str(found.loc[claim.name, scale]) for scale in scales])
        for claim, counts in zip(claims, verdicts.to_dict("records"), strict=True)
    ]
    names = (f"verdict, {SCALES.get(scale, scale)}" for scale in scales)
    return plain("claims", caption, ("claim", *names, *COUNTS), rows, words=1 + len(scales))


def _overview_row(claim: ClaimResult, found: dict[object, object], by_scale: Sequence[str]) -> Row:
    name = Link(f"{claim.number}. {claim.statement}", f"#claim-{claim.name}")
    chances = (
        Cell(p_value(value), _verdict(claim, key) if value is not None else None)
        for key, value in (
            ("p_corrected", claim.p_corrected),
            ("p_against_corrected", claim.p_against_corrected),
        )
    )
    counts = (Cell(str(found[key]), _verdict(claim, key)) for key in ("comparisons", "seeds"))
    here = Cell(f"{claim.verdict}, see its caveat" if claim.caveat else claim.verdict, mark=claim.verdict)
    elsewhere = (Cell(verdict, mark=verdict) for verdict in by_scale[1:])
    return Row((linked([name]), here, *elsewhere, *chances, *counts))


def _verdict(claim: ClaimResult, key: str) -> Origin:
    return at(VERDICTS, column(key, claim=claim.name))


def reason_of(claim: ClaimResult) -> Origin:
    """Return where the reason of a verdict stands."""
    return _verdict(claim, "reason")


def comparison_table(claim: ClaimResult, ledger: Ledger) -> Table:
    """Return the comparisons that a claim rests on."""
    chance = "queries and seeds" if all(each.over_runs for each in claim.comparisons) else "queries alone"
    caption = (
        f"Claim {claim.number} rests on {claim.rule} of its comparisons. Finding: where the interval lies, "
        "seen from the threshold; open: it contains it. The interval is over "
        f"{chance} and uncorrected for the number of claims; so is p, one-sided for the foreseen side."
    )
    rows = [_comparison_row(each, ledger) for each in claim.comparisons]
    return plain(f"claim-{claim.name}", caption, COMPARISON_HEADS, rows, words=2, after=1)


def against_contrastive(declared: Claims, claims: Sequence[ClaimResult], params: Params) -> str:
    """Return in a sentence where SSPC beats the contrastive loss alone, and where it does not."""
    results = {(each.claim, each.name): each.finding for claim in claims for each in claim.comparisons}
    places: dict[Finding, dict[str, None]] = {finding: {} for finding in OUTCOMES}
    for claim in declared.claims:
        for comparison in claim.comparisons:
            for place in _gain_of_sspc(comparison, params):
                places[results[claim.name, comparison.name]][place] = None
    parts = [f"{OUTCOMES[found]} {wording.listed(list(of))}" for found, of in places.items() if of]
    if not parts:
        return ""
    if not places["above"]:
        parts = ["beats the contrastive loss alone in no comparison", *parts]
    return f"Zero-shot and fine-tuned, by single intervals, SSPC {'; it '.join(parts)}."


def _gain_of_sspc(comparison: Declared, params: Params) -> Iterator[str]:
    """Yield where a comparison sets SSPC above contrastive; nothing for one that asks something else."""
    if not isinstance(comparison, RetrievalComparison) or comparison.alternative != "greater":
        return
    of = {"sspc": 1, "contrastive": -1}
    if any(of.get(term.method, 0) * term.weight <= 0 for term in comparison.terms):
        return
    sides = [{(t.benchmark, t.setting) for t in comparison.terms if t.method == name} for name in of]
    if sides[0] != sides[1] or len({setting for _, setting in sides[0]}) != 1:
        return
    benchmarks = list(dict(sides[0]))
    place = wording.domain_name(params, benchmarks[0]) if len(benchmarks) == 1 else wording.MEAN
    yield f"the {place} {comparison.terms[0].setting}"


def _comparison_row(found: ComparisonResult, ledger: Ledger) -> Row:
    digits = 1 if found.unit == "points" else 2
    ran = found.effect is not None

    def number(key: str, text: str) -> Cell:
        return Cell(text, at(CLAIMS, column(key, claim=found.claim, name=found.name)))

    ends = [wording.signed(end, digits) for end in (found.low, found.high) if end is not None]
    rows = {"claim": found.claim, "name": found.name}
    interval = Origin((CLAIMS,), (column("low", **rows), column("high", **rows)), "values")
    cells = (
        Cell(found.says),
        Cell(_finding(found), mark="" if ran else "not run"),
        number("effect", f"{wording.signed(found.effect, digits)} {found.unit}")
        if found.effect is not None
        else Cell(NOTHING),
        Cell(" to ".join(ends), interval) if ends else Cell(NOTHING),
        number("threshold", f"{found.threshold:g}"),
        number("p", p_value(found.p)) if found.p is not None else Cell(NOTHING),
        number("samples", f"{found.samples:,}") if ran else Cell(NOTHING),
        number("seeds", str(found.seeds)),
        linked(ledger.links_to(found.files)),
    )
    return Row(cells)


def _finding(found: ComparisonResult) -> str:
    aim = "above" if found.alternative == "greater" else "below"
    said = found.finding if found.effect is None else f"{found.finding} (foreseen: {aim})"
    return f"{said}; {found.reason}" if found.reason else said


def p_value(p: float | None) -> str:
    """Return a probability to three decimals; none of them is written as zero."""
    if p is None:
        return NOTHING
    return "<0.001" if p < 0.001 else f"{p:.3f}"
