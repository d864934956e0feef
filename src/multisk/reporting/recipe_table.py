"""The table of recipes: every method and variant, with what it reached here or the command that runs it."""

from collections.abc import Iterator, Mapping, Sequence

import pandas as pd

from multisk.claims.published import PAPER
from multisk.methods.recipes import Recipe
from multisk.params import Params
from multisk.reporting import wording
from multisk.reporting.cells import Cell, Link, Row, Table, at, linked, plain
from multisk.reporting.ledger import seed_links
from multisk.reporting.published_tables import Published, place_of
from multisk.reporting.tables import metric_cell
from multisk.results import headline, ordered

NOT_RUN = "not run"


def recipe_table(
    recipes: Mapping[str, Recipe],
    metrics: pd.DataFrame,
    params: Params,
    folder: str,
    published: Mapping[str, Link],
) -> Table:
    """Return a row per recipe: R@10 where it was run, else "not run" beside its command.

    published: links to published numbers, by their keys
    """
    found = headline(metrics[metrics["metric"] == "R10"])
    places = [(name, setting) for name, entry in params.benchmarks.items() for setting in entry.settings]
    columns = (f"{wording.benchmark_name(params, benchmark)}, {setting}" for benchmark, setting in places)
    heads = ("method", "recipe", *columns, "hours, paper", "GiB, paper", "command", "published", "runs")
    caption = (
        f"Every recipe: R@10 in percent, {wording.HEADLINE}, mean ± standard deviation over the seeds "
        "linked. Hours and memory (weights, gradients and optimiser alone) are those expected at the paper's "
        "sizes. Published: R@10 of others in their own setting; it compares with nothing in this row."
    )
    order = ordered(recipes, params.methods)
    rows = (_row(recipes[name], found[found["method"] == name], places, folder, published) for name in order)
    return plain("recipes", caption, heads, rows, words=2, after=3)


def published_links(published: Published, folder: str, profile: str) -> dict[str, Link]:
    """Return a link to each published R@10 by its key: the number, or that it was not transcribed."""
    found = {}
    rows = [(benchmark, row) for benchmark, definition in published.items() for row in definition.rows]
    for benchmark, row in rows:
        # Beside measured numbers each metric has a row.
        anchor = f"published-{row.key}-R10" if profile == PAPER else f"published-{row.key}"
        href, value = f"index.html#{anchor}", row.values.R10
        of = f"{published[benchmark].title}, {row.setting}:"
        file, place = place_of(published, folder, benchmark, row)
        origin = at(file, f"{place}/R10") if value is not None else None
        found[row.key] = Link("not transcribed" if value is None else f"{value:g}", href, of, origin)
    return found


def _row(
    recipe: Recipe,
    found: pd.DataFrame,
    places: Sequence[tuple[str, str]],
    folder: str,
    published: Mapping[str, Link],
) -> Row:
    file = f"{folder}/{recipe.name}.yaml"
    links = [published[key] for key in recipe.published if key in published]
    cells = (
        Cell(recipe.title),
        Cell(recipe.name, code=True),
        *_reached(found, places),
        _expected(recipe.hours, file, "hours"),
        _expected(recipe.memory_gib, file, "memory_gib"),
        Cell(recipe.command, code=True),
        linked(links) if links else Cell("no number"),
        linked(seed_links(found)),
    )
    return Row(cells, id=f"recipe-{recipe.name}")


def _reached(found: pd.DataFrame, places: Sequence[tuple[str, str]]) -> Iterator[Cell]:
    for benchmark, setting in places:
        rows = found[(found["benchmark"] == benchmark) & (found["setting"] == setting)]
        yield Cell(NOT_RUN, mark=NOT_RUN) if rows.empty else metric_cell(rows)


def _expected(value: float | str, file: str, key: str) -> Cell:
    if isinstance(value, str):
        return Cell(value, mark=NOT_RUN)
    return Cell(f"{value:g}", at(file, key))
