"""The command that keeps the README's tables those of the report."""

from pathlib import Path
from typing import Annotated

import typer

README, SUMMARY = Path("README.md"), Path("reports") / "summary.md"


def readme(
    check: Annotated[bool, typer.Option("--check", help="Write nothing; exit 1 where it is stale.")] = False,
) -> None:
    """Put the report's main tables (reports/summary.md) between the markers of README.md."""
    from multisk.reporting.markdown import with_summary

    text = with_summary(README, SUMMARY)
    if text == README.read_text(encoding="utf-8"):
        typer.echo(f"{README}: has the tables of {SUMMARY}")
    elif check:
        typer.echo(f"{README}: its tables are not those of {SUMMARY}; run: multisk readme", err=True)
        raise typer.Exit(1)
    else:
        README.write_text(text, encoding="utf-8")
        typer.echo(f"{README}: now has the tables of {SUMMARY}")
