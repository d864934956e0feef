"""The command for sweeps: run a study, or help others to run it."""

from typing import Annotated

import typer

from multisk.layout import Layout


def sweep(
    study: Annotated[str, typer.Option(help="a study of params.yaml (sweep.studies, sweep.others)")],
    trials: Annotated[
        int | None, typer.Option(min=1, help="finished trials in all; default: as params.yaml says")
    ] = None,
) -> None:
    """Run a study, or go on with it; started several times on one database, the workers share its trials."""
    from multisk.params import load_params
    from multisk.sweep.study import sweep as run_study

    layout = Layout()
    content = run_study(load_params(), study, layout, trials)
    counts = ", ".join(f"{number} {state}" for state, number in content["trials"].items())
    best = ", ".join(f"{objective} {value:.1f}" for objective, value in content["best"].items())
    typer.echo(f"{content['name']}: {counts}; best R@10 on the validation part: {best or 'none'}")
    typer.echo(f"{layout.swept(study)}: study.json, trials.parquet")
