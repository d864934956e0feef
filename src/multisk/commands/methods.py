"""Commands for methods: list the recipes, make one active."""

from typing import Annotated

import typer

from multisk.params import load_params


def methods() -> None:
    """List the methods and variants that there are recipes for; * marks those of params.yaml."""
    from multisk.methods.recipes import load_recipes

    recipes, active = load_recipes(), load_params().methods
    width = max(map(len, [*recipes, *active]))
    for name, recipe in recipes.items():
        typer.echo(f"{'*' if name in active else ' '} {name:<{width}}  {recipe.title}")
    for name in active:
        if name not in recipes:
            typer.echo(f"* {name:<{width}}  (of your own: no recipe)")


def add(
    names: Annotated[
        list[str], typer.Argument(help="Recipes (multisk methods lists them), or published benchmarks.")
    ],
) -> None:
    """Write recipes and benchmarks into params.yaml, which the pipeline then runs."""
    from multisk.methods import recipes

    for name, new in recipes.add(names).items():
        kind, stage = "method", f"evaluate@{name}"
        if name not in load_params().methods:
            kind, stage = "benchmark", "evaluate"
        said = f"is now a {kind} of" if new else "is already in"
        typer.echo(f"{name} {said} params.yaml; run: dvc repro {stage}")
