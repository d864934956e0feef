"""The first page: what came out, beside chance and beside what was published."""

from typing import Any

from multisk.claims.published import FILL_IN, PAPER
from multisk.reporting import facts, figures, published_tables, tables, wording
from multisk.reporting.inputs import Inputs
from multisk.reporting.notice import notice
from multisk.reporting.pages.page import Page
from multisk.reporting.panels import Figure
from multisk.results import headline

SPREAD = "mean ± standard deviation (n − 1) over the seeds linked; R@K and GeoMean in percent, MedR in ranks."
HEADLINE = f"T{wording.HEADLINE[1:]}: {SPREAD} The leading mean of each column is bold."
DIRECTIONS = f"All directions: {SPREAD} A direction without + that names two modalities is of a fused pair."


def build(inputs: Inputs) -> Page:
    """Return index.html."""
    beside = inputs.chance, inputs.params
    context = {
        "notice": notice(inputs.params),
        "profile": inputs.params.profile,
        "methods": wording.listed(inputs.scale.names),
        "facts": facts.facts(inputs.runs, inputs.params) if len(inputs.runs) else None,
        "results": tables.result_table("results", HEADLINE, headline(inputs.metrics), *beside),
        "directions": tables.result_table("directions", DIRECTIONS, inputs.metrics, *beside),
        "differences": tables.differences(headline(inputs.metrics), inputs.params),
        "sizes": tables.test_sizes(inputs.sizes, inputs.params),
        **_published(inputs),
    }
    return Page(
        name="index",
        label="Results",
        title=inputs.params.report.title,
        summary="What was measured, by method, benchmark and setting, beside chance.",
        context=context,
        figures=_figures(inputs),
        data={"results": inputs.metrics.drop(columns="key")},
    )


def _published(inputs: Inputs) -> dict[str, Any]:
    published, folder = inputs.decisions.published, inputs.sources.name(inputs.sources.benchmarks)
    at_scale = inputs.params.profile == PAPER
    table = (
        published_tables.beside(published, inputs.decisions.compared, inputs.ledger)
        if at_scale
        else published_tables.aside(published, folder)
    )
    return {
        "published": table,
        "published_folder": folder,
        "at_scale": at_scale,
        "protocols": {one.title: one.protocol for one in published.values()},
        "fill_in": FILL_IN,
    }


def _figures(inputs: Inputs) -> dict[str, Figure | None]:
    scale, names = inputs.scale, wording.benchmark_names(inputs.params)
    sizes = inputs.sizes.pivot(index="benchmark", columns="which", values="value")
    ranks = inputs.ranks[inputs.ranks["benchmark"].isin(sizes.index)]
    return {
        "headline": figures.headline_figure(inputs.metrics, inputs.chance, scale, names),
        "recall": figures.recall_figure(ranks, sizes, scale, names) if len(ranks) else None,
    }
