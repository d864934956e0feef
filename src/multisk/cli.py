"""The command `multisk`: what the pipeline's stages do not cover."""

from typing import Annotated

import typer

from multisk import console
from multisk.commands import extract, methods, preflight, published, report, search, sweep, tracking, work
from multisk.params import load_params, profiles

app = typer.Typer(
    help="Reproduction suite for Preserving Modality Structure Improves Multi-Modal Learning.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(published.import_app, name="import")
app.add_typer(published.with_benchmarks(published.videos_app), name="videos")
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
app.command()(work.unfinished)
app.command()(work.dag)
app.command()(report.readme)
app.command()(tracking.sync)
app.command()(tracking.register)
app.command()(tracking.reproduce)
app.command()(tracking.ui)


@app.command()
def use(profile: Annotated[str, typer.Argument(help="A file of profiles/, without .yaml.")]) -> None:
    """Make a profile the active params.yaml; settings of your own are kept as params.yaml.old, .old-2 ..."""
    from multisk.pipeline.dag import write_dag

    kept = profiles.use(profile)
    if kept:
        typer.echo(f"{kept}: your settings until now")
    write_dag(load_params().benchmarks)
    typer.echo(f"params.yaml is now profile {profile}; run: dvc repro")


@app.command()
def check(
    unchanged: Annotated[bool, typer.Option("--unchanged", help="exit with 1 if anything differs")] = False,
) -> None:
    """Check params.yaml, and say what in it differs from its profile."""
    params = load_params()
    typer.echo(f"params.yaml: profile {params.profile}, methods {', '.join(params.methods)}")
    changes = profiles.differences(params.profile)
    for change in changes:
        typer.echo(f"  {change}")
    if unchanged and changes:
        raise typer.Exit(1)


def main() -> None:
    """Run the command line."""
    console.run(app)
