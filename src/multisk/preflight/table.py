"""The checks as a table, and after it what to do."""

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from multisk.preflight.checks import Check, can_run

STYLES = {"ok": "green", "note": "yellow", "missing": "bold red"}


def print_table(checks: list[Check], console: Console) -> None:
    """Print a row per check; then, numbered, how to get each thing that is missing."""
    table = Table(box=None, pad_edge=False, show_edge=False)
    for name in ("of", "what", "", "found"):
        table.add_column(name, overflow="fold")
    before = ""
    for check in checks:
        style = STYLES[check.status]
        part = "" if check.part == before else escape(check.part)
        table.add_row(part, escape(check.name), f"[{style}]{check.status}[/]", escape(check.detail))
        before = check.part
    console.print(table)
    missing = [check for check in checks if check.status == "missing"]
    for number, check in enumerate(missing, start=1):
        console.print(
            f"\n{number}. {check.part}, {check.name}: {check.remedy}", markup=False, highlight=False
        )
    console.print(f"\n{_verdict(checks, len(missing))}", markup=False, highlight=False)


def _verdict(checks: list[Check], missing: int) -> str:
    if can_run(checks):
        return "Nothing is missing: the pipeline can run (dvc repro)."
    return f"The pipeline cannot run: {missing} {'thing is' if missing == 1 else 'things are'} missing."
