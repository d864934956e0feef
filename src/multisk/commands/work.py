"""Commands on the pipeline itself: unfinished work, and dvc.yaml."""

from pathlib import Path
from typing import Annotated

import typer

from multisk.errors import InputError


def unfinished(
    works: Annotated[list[Path] | None, typer.Argument(help="folders that it lists; default: all")] = None,
    go_on: Annotated[
        bool, typer.Option("--continue", help="let it go on with the code as it is now")
    ] = False,
    discard: Annotated[bool, typer.Option("--discard", help="delete it, to begin afresh")] = False,
) -> None:
    """List the work that was begun and not finished; decide on it where the code has changed since."""
    from multisk import resumable
    from multisk.layout import home

    if go_on and discard:
        raise InputError("--continue, --discard: choose one of them")
    found = resumable.unfinished(home())
    chosen = [work.resolve() for work in works] if works else found
    for work in chosen:
        if work not in found:
            raise InputError(f"{work}: no unfinished work; multisk unfinished lists what there is")
        if go_on:
            resumable.accept_code(work)
        elif discard:
            resumable.discard(work)
        done = "may go on" if go_on else "deleted" if discard else "unfinished"
        typer.echo(f"{work.relative_to(home())}: {done}")
    if not found:
        typer.echo("no unfinished work")


def dag(
    check: Annotated[bool, typer.Option("--check", help="write nothing; exit 1 where it is stale")] = False,
) -> None:
    """Write dvc.yaml from the stages' declaration, the imports of their modules and params.yaml."""
    from multisk.params import load_params
    from multisk.pipeline.dag import DVC_YAML, dag_text, write_dag

    benchmarks = list(load_params().benchmarks)
    if not check:
        typer.echo(f"{DVC_YAML}: {'written' if write_dag(benchmarks) else 'as it was'}")
    elif DVC_YAML.read_text(encoding="utf-8") != dag_text(benchmarks):
        typer.echo(f"{DVC_YAML}: not what the stages and params.yaml say; run: multisk dag", err=True)
        raise typer.Exit(1)
