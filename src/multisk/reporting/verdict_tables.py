"""The tables of claims and of published numbers, as rows that link to their runs."""

from collections.abc import Sequence

import pandas as pd

from multisk.reporting import wording
from multisk.reporting.cells import NOTHING, Cell, Link, Origin, Row, Table, at, column, linked, plain
from multisk.reporting.claims import ClaimResult, ComparisonResult
from multisk.reporting.ledger import Ledger

CLAIMS, VERDICTS = "reports/data/claims.csv", "reports/data/verdicts.csv"
OVERVIEW_HEADS = ("claim", "verdict", "corrected p", "corrected p of the opposite", "comparisons", "seeds")
COMPARISON_HEADS = (
    *("comparison", "finding", "effect", "from", "to", "threshold", "p", "test clips", "seeds"),
    *("unit", "interval over", "runs"),
)


def verdicts(claims: Sequence[ClaimResult]) -> pd.DataFrame:
    """Return a row per claim: verdict, p-values, comparisons, and the seeds of the method that has fewest."""
    rows = [
        {
            "number": claim.number,
            "claim": claim.name,
            "statement": claim.statement,
            "verdict": claim.verdict,
            "profile": claim.profile,
            "rule": claim.rule,
            "comparisons": len(claim.comparisons),
            "seeds": min((each.seeds for each in claim.comparisons), default=0),
            "p": claim.p,
            "p_corrected": claim.p_corrected,
            "p_against": claim.p_against,
            "p_against_corrected": claim.p_against_corrected,
            "reason": claim.reason,
        }
        for claim in claims
    ]
    return pd.DataFrame(rows)


def overview(claims: Sequence[ClaimResult]) -> Table:
    """Return a row per claim, with its verdict."""
    caption = (
        "The claims and their verdicts. Corrected p: one-sided, for what the claim says and for its "
        "opposite, corrected over all claims (Holm). Seeds: of the method that has fewest."
    )
    rows = [
        _overview_row(claim, found)
        for claim, found in zip(claims, verdicts(claims).to_dict("records"), strict=True)
    ]
    return plain("claims", caption, OVERVIEW_HEADS, rows, words=2)


def _overview_row(claim: ClaimResult, found: dict[object, object]) -> Row:
    name = Link(f"{claim.number}. {claim.statement}", f"#claim-{claim.name}")
    chances = (
        Cell(p_value(value), _verdict(claim, key) if value is not None else None)
        for key, value in (
            ("p_corrected", claim.p_corrected),
            ("p_against_corrected", claim.p_against_corrected),
        )
    )
    counts = (Cell(str(found[key]), _verdict(claim, key)) for key in ("comparisons", "seeds"))
    return Row((linked([name]), Cell(claim.verdict, mark=claim.verdict), *chances, *counts))


def _verdict(claim: ClaimResult, key: str) -> Origin:
    return at(VERDICTS, column(key, claim=claim.name))


def comparison_table(claim: ClaimResult, ledger: Ledger) -> Table:
    """Return the comparisons that a claim rests on."""
    caption = (
        f"Claim {claim.number} rests on {claim.rule} of its comparisons; from and to: the 95 % interval."
    )
    rows = [_comparison_row(each, ledger) for each in claim.comparisons]
    return plain(f"claim-{claim.name}", caption, COMPARISON_HEADS, rows, words=2, after=3)


def _comparison_row(found: ComparisonResult, ledger: Ledger) -> Row:
    digits = 1 if found.unit == "points" else 2
    ran = found.effect is not None

    def number(key: str, text: str) -> Cell:
        return Cell(text, at(CLAIMS, column(key, claim=found.claim, name=found.name)))

    effects = (
        number(key, wording.signed(value, digits)) if value is not None else Cell(NOTHING)
        for key, value in (("effect", found.effect), ("low", found.low), ("high", found.high))
    )
    aim = "above" if found.alternative == "greater" else "below"
    over = ("queries and seeds" if found.over_runs else "queries alone") if ran else NOTHING
    cells = (
        Cell(found.says),
        Cell(f"{found.finding} (foreseen: {aim})" if ran else "not run", mark="" if ran else "not run"),
        *effects,
        number("threshold", f"{found.threshold:g}"),
        number("p", p_value(found.p)) if found.p is not None else Cell(NOTHING),
        number("samples", f"{found.samples:,}") if ran else Cell(NOTHING),
        number("seeds", str(found.seeds)),
        Cell(found.unit),
        Cell(f"{over} ({found.reason})" if found.reason else over),
        linked(ledger.links_to(found.files)),
    )
    return Row(cells)


def p_value(p: float | None) -> str:
    """Return a probability to three decimals; none of them is written as zero."""
    if p is None:
        return NOTHING
    return "<0.001" if p < 0.001 else f"{p:.3f}"
