"""The page of costs: minutes, memory and pace."""

from multisk.reporting import ablations, curves, facts, wording
from multisk.reporting.inputs import Inputs
from multisk.reporting.pages.page import Page


def build(inputs: Inputs) -> Page:
    """Return cost.html."""
    names = wording.benchmark_names(inputs.params)
    pace = curves.pace_figure(inputs.training, inputs.scale, names)
    trials = [ablations.cost_figure(study) for study in inputs.studies.values()]
    drawn = [figure for figure in trials if figure]
    return Page(
        name="cost",
        label="Cost",
        title="What it costs",
        summary="Time and peak memory of every stage, method and trial.",
        context={
            "costs": facts.costs(inputs.runs, inputs.studies) if len(inputs.runs) else None,
            "trials": drawn,
        },
        figures={"pace": pace, **{figure.name: figure for figure in drawn}},
    )
