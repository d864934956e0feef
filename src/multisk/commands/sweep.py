"""Commands for sweeps: run a study, or help others to run it; look at all of them."""

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
    from multisk.pipeline.declared import stage_code
    from multisk.sweep.study import sweep as run_study

    params, layout = load_params(), Layout()
    code = stage_code("sweep", params.changed_code)
    content = run_study(params, study, layout, code, trials)
    counts = ", ".join(f"{number} {state}" for state, number in content["trials"].items())
    best = ", ".join(f"{objective} {value:.1f}" for objective, value in content["best"].items())
    typer.echo(f"{content['name']}: {counts}; best R@10 on the validation part: {best or 'none'}")
    typer.echo(f"{layout.swept(study)}: study.json, trials.parquet")


def dashboard(
    port: Annotated[int, typer.Option(help="Port on this machine.")] = 8080,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
) -> None:
    """Open optuna-dashboard on all studies."""
    import os
    import sys
    from importlib.util import find_spec
    from pathlib import Path

    from sqlalchemy.engine import make_url

    from multisk.errors import InputError
    from multisk.params import load_params
    from multisk.sweep.storage import storage_url

    url = storage_url(load_params().optuna)
    if find_spec("optuna_dashboard") is None:
        raise InputError("optuna-dashboard is not installed; run make setup")
    place = make_url(url)
    if place.get_backend_name() == "sqlite" and not Path(place.database or "").exists():
        raise InputError(f"{place.database}: no study yet; run multisk sweep --study NAME")
    program = Path(sys.executable).with_name("optuna-dashboard")
    os.execv(program, [str(program), url, "--host", host, "--port", str(port)])
