"""The command that looks before anything runs."""

from pathlib import Path
from typing import Annotated

import typer

from multisk.layout import Layout
from multisk.params import load_params


def preflight(
    as_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
    verify: Annotated[bool, typer.Option(help="look for every file, compare every packed value")] = False,
    step: Annotated[
        list[Path] | None, typer.Option(help="output of benchmarks/train_step.py --json, for the time")
    ] = None,
) -> None:
    """Say what the pipeline needs, has and lacks; exit code 0 only if it can run."""
    import json
    from dataclasses import asdict

    from rich.console import Console

    from multisk.preflight.checks import can_run
    from multisk.preflight.run import preflight as look
    from multisk.preflight.table import print_table

    params = load_params()
    checks = look(params, Layout(), everything=verify, measured=step)
    if as_json:
        content = {"profile": params.profile, "can_run": can_run(checks), "checks": [*map(asdict, checks)]}
        typer.echo(json.dumps(content, indent=2))
    else:
        print_table(checks, Console())
    if not can_run(checks):
        raise typer.Exit(1)
