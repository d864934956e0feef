"""The command `multisk`: what the pipeline's stages do not cover."""

import shutil
from itertools import chain, count
from pathlib import Path
from typing import Annotated

import typer

from multisk import console
from multisk.commands import extract, methods, preflight, published, report, search, sweep, tracking
from multisk.errors import InputError
from multisk.params import load_params

app = typer.Typer(
    help="Reproduction suite for Preserving Modality Structure Improves Multi-Modal Learning.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(published.import_app, name="import")
app.add_typer(published.videos_app, name="videos")
app.command()(extract.extract)
app.command()(published.unpack)
app.command("import-checkpoint")(published.import_checkpoint)
app.command("evaluate-checkpoint")(published.evaluate_checkpoint)
app.command()(methods.methods)
app.command()(methods.add)
app.command()(preflight.preflight)
app.command()(search.index)
app.command()(search.search)
app.command()(sweep.sweep)
app.command()(sweep.dashboard)
app.command()(report.readme)
app.command()(tracking.sync)
app.command()(tracking.register)
app.command()(tracking.reproduce)
app.command()(tracking.ui)


@app.command()
def use(profile: Annotated[str, typer.Argument(help="A file of profiles/, without .yaml.")]) -> None:
    """Make a profile the active params.yaml; settings of your own are kept as params.yaml.old, .old-2 ..."""
    source = Path("profiles") / f"{profile}.yaml"
    if not source.exists():
        known = ", ".join(sorted(path.stem for path in Path("profiles").glob("*.yaml"))) or "none here"
        raise InputError(f"{source}: no such profile; there are: {known}")
    load_params(source)
    active = Path("params.yaml")
    profiles = {path.read_bytes() for path in Path("profiles").glob("*.yaml")}
    if active.exists() and active.read_bytes() not in profiles:
        kept = _free_name("params.yaml.old")
        shutil.copyfile(active, kept)
        typer.echo(f"{kept}: your settings until now")
    new = Path("params.yaml.tmp")
    shutil.copyfile(source, new)
    new.replace(active)
    typer.echo(f"params.yaml is now {source}; run: dvc repro")


def _free_name(name: str) -> Path:
    numbered = (Path(f"{name}-{number}") for number in count(2))
    return next(path for path in chain([Path(name)], numbered) if not path.exists())


@app.command()
def check() -> None:
    """Check params.yaml."""
    params = load_params()
    typer.echo(f"params.yaml: profile {params.profile}, methods {', '.join(params.methods)}")


def main() -> None:
    """Run the command line."""
    console.run(app)
