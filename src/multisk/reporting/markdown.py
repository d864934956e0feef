"""The results as Markdown: all of them for results.md, the main ones for the README."""

from pathlib import Path

import pandas as pd

from multisk.claims.judged import ClaimResult
from multisk.claims.published import PAPER
from multisk.errors import InputError
from multisk.reporting import tables, wording
from multisk.reporting.inputs import Inputs
from multisk.results import headline

BEGIN, END = "<!-- results:begin -->", "<!-- results:end -->"


def results_markdown(inputs: Inputs) -> str:
    """Return the headline direction's results as a table, with chance."""
    if inputs.metrics.empty:
        return "Not run: no metrics; `dvc repro` makes them.\n"
    found = headline(inputs.metrics), inputs.chance, inputs.params
    table = tables.result_table("results", "", *found).frame().rename(columns={"": "benchmark, setting"})
    return f"{_head(inputs)}\n\n{table.to_markdown(index=False, disable_numparse=True)}\n"


def summary_markdown(inputs: Inputs) -> str:
    """Return what the README shows: R@10 of every method, and the verdict on every claim."""
    if inputs.metrics.empty:
        return "Not run: no metrics; `dvc repro` makes them.\n"
    table = tables.compact_table(headline(inputs.metrics), inputs.params)
    recalls = table.to_markdown(index=False, disable_numparse=True)
    return f"{_head(inputs)}\n\nR@10, the best mean bold:\n\n{recalls}\n{_verdicts(inputs)}"


def _verdicts(inputs: Inputs) -> str:
    claims = inputs.decisions.claims
    if not claims:
        return ""
    rows = [(f"{found.number}. {found.statement}", _verdict(found)) for found in claims]
    table = pd.DataFrame(rows, columns=["claim of the paper", f"verdict, profile {inputs.params.profile}"])
    return f"\n{table.to_markdown(index=False, disable_numparse=True)}\n"


def _verdict(found: ClaimResult) -> str:
    return f"{found.verdict} ({found.caveat.strip().rstrip('.')})" if found.caveat else found.verdict


def _head(inputs: Inputs) -> str:
    seeds = wording.listed([str(seed) for seed in sorted(inputs.metrics["seed"].unique())])
    aside = (
        ""
        if inputs.params.profile == PAPER
        else (" Not the published setting: do not compare with the paper's numbers.")
    )
    return (
        f"T{wording.HEADLINE[1:]}, profile `{inputs.params.profile}`: mean ± standard deviation over seeds "
        f"{seeds}. R@K and GeoMean in percent.{aside}"
    )


def with_summary(readme: Path, summary: Path) -> str:
    """Return a README's text with the summary between its markers.

    Raises InputError where a file or a marker is missing.
    """
    text, tables_of = _text(readme, "git checkout README.md"), _text(summary, "dvc repro report")
    if text.count(BEGIN) != 1 or text.count(END) != 1 or text.index(BEGIN) > text.index(END):
        raise InputError(f"{readme}: needs one line {BEGIN} and one line {END} below it")
    before, _, rest = text.partition(BEGIN)
    return f"{before}{BEGIN}\n{tables_of.strip()}\n{END}{rest.partition(END)[2]}"


def _text(path: Path, remedy: str) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}; {remedy}") from None
