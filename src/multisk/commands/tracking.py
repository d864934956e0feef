"""Commands on runs: mirror them, register their models, look at them, do them again."""

from typing import Annotated

import typer

from multisk.errors import InputError, one_line
from multisk.layout import Layout, home
from multisk.params import Params, load_params


def sync() -> None:
    """Give MLflow the runs and models that it lacks, from the files in runs/ and sweeps/."""
    from multisk.tracking.sync import mirror_all, run_folders

    params = load_params()
    folders = run_folders(home())
    missed = mirror_all(params.tracking, folders)
    typer.echo(f"{len(folders) - len(missed)} of {len(folders)} runs are in MLflow")
    if missed:
        raise typer.Exit(1)
    _register(params)


def register() -> None:
    """Register the pretrained models, and name the best of them per benchmark (sync does it, too)."""
    _register(load_params())


def _register(params: Params) -> None:
    from multisk.tracking.mirror import tracking_uri
    from multisk.tracking.registry import register as register_models

    try:
        lines = register_models(params.tracking, Layout(home()).runs, params.evaluate.weights)
    except InputError:
        raise
    except Exception as error:  # a tracker may raise anything; to a person it is one line
        uri = tracking_uri(params.tracking)
        raise InputError(f"{uri}: models not registered ({one_line(error)[:200]}); try again later") from None
    for line in lines:
        typer.echo(line)


def ui(
    port: Annotated[int, typer.Option(help="Port on this machine.")] = 5000,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
) -> None:
    """Open the MLflow UI on this working copy's runs."""
    import os
    import sys

    from multisk.tracking import tracking_uri

    uri = tracking_uri(load_params().tracking)
    command = [sys.executable, "-m", "mlflow", "ui", "--backend-store-uri", uri]
    os.execv(sys.executable, [*command, "--host", host, "--port", str(port)])
