"""Commands on runs: mirror them, register their models, look at them, do them again."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
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


def reproduce(
    run: Annotated[str, typer.Argument(help="run folder, run_key or MLflow run id")],
    do: Annotated[bool, typer.Option("--run", help="do it again and compare the numbers")] = False,
    tolerance: Annotated[float, typer.Option(min=0, help="difference that counts as equal")] = 0.0,
    keep: Annotated[Path | None, typer.Option(help="new folder to work in, which stays")] = None,
) -> None:
    """Say what a run was and how to repeat it; with --run, repeat it: exit code 1 if a number differs."""
    from multisk.reproduce import compare, find_run, run_again

    recorded = find_run(run, home(), load_params().tracking)
    for line in (*recorded.describe(), "", *recorded.commands(str(home()))):
        typer.echo(line)
    if not do:
        return
    with _workplace(keep) as work:
        comparison = compare(recorded.folder, run_again(recorded, home(), work), tolerance)
    for line in ("", *comparison.describe()):
        typer.echo(line)
    if not comparison.same:
        raise typer.Exit(1)


@contextmanager
def _workplace(keep: Path | None) -> Iterator[Path]:
    if keep is None:
        with TemporaryDirectory(prefix="multisk-again-") as folder:
            yield Path(folder)
        return
    if keep.exists():
        raise InputError(f"--keep: {keep}: is there already; name a new folder")
    keep.mkdir(parents=True)
    yield keep.resolve()


def ui(
    port: Annotated[int, typer.Option(help="Port on this machine.")] = 5000,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
) -> None:
    """Open the MLflow UI on this working copy's runs, and name the pages that compare methods."""
    import os
    import sys

    from multisk.tracking import tracking_uri
    from multisk.tracking.views import view_links

    tracking = load_params().tracking
    uri = tracking_uri(tracking)
    served = uri.startswith("http")
    for line in view_links(tracking, uri if served else f"http://{host}:{port}"):
        typer.echo(line)
    if served:
        return
    sys.stdout.flush()  # nothing that is still held back survives the next call
    command = [sys.executable, "-m", "mlflow", "ui", "--backend-store-uri", uri]
    os.execv(sys.executable, [*command, "--host", host, "--port", str(port)])
