"""The page of the ablations: studies of settings, evaluation strategies, all recipes."""

from collections.abc import Mapping
from typing import Any

from multisk.reporting import ablations, trials
from multisk.reporting.cells import Table
from multisk.reporting.inputs import Inputs
from multisk.reporting.pages.page import Page
from multisk.reporting.panels import Figure
from multisk.reporting.recipe_table import published_links, recipe_table
from multisk.reporting.studies import StudyResult
from multisk.results import headline

TITLES = {
    "anchors": "How many anchors?",
    "weights": "Which loss weights?",
    "when": "When does SSPC help?",
}


def build(inputs: Inputs) -> Page:
    """Return ablations.html."""
    drawn = {name: ablations.figures_of(study) for name, study in inputs.studies.items()}
    strategies = headline(inputs.strategies)
    context = {
        "studies": [_study(name, inputs.studies.get(name), drawn) for name in _names(inputs)],
        "others": [name for name in inputs.params.sweep.others if name not in inputs.studies],
        "recipes": _recipes(inputs),
        "taken": inputs.recipes.values(),
        "ways": trials.strategies_explained(strategies),
        "coinciding": trials.coinciding(strategies, inputs.params),
        "strategies": trials.strategy_table(strategies, inputs.params),
    }
    return Page(
        name="ablations",
        label="Ablations",
        title="Ablations",
        summary="Studies of the method's settings, of the data it needs, and of how clips are cut.",
        context=context,
        figures={figure.name: figure for found in drawn.values() for figure in found},
        data={"strategies": inputs.strategies},
    )


def _names(inputs: Inputs) -> list[str]:
    return list(dict.fromkeys([*inputs.params.sweep.studies, *inputs.studies]))


def _study(name: str, study: StudyResult | None, drawn: Mapping[str, list[Figure]]) -> dict[str, Any]:
    title = TITLES.get(name, f"Study {name}")
    if study is None or study.finished.empty:
        return {"name": name, "title": title, "trials": None}
    return {
        "name": name,
        "title": title,
        "head": study.head,
        "counts": trials.counts(study),
        "place": study.place,
        "figures": drawn[name],
        "trials": trials.trial_table(study),
    }


def _recipes(inputs: Inputs) -> Table:
    folder = inputs.sources.name(inputs.sources.recipes)
    found = inputs.metrics, inputs.params
    benchmarks = inputs.sources.name(inputs.sources.benchmarks)
    links = published_links(inputs.decisions.published, benchmarks, inputs.params.profile)
    return recipe_table(inputs.recipes, *found, folder, links)
