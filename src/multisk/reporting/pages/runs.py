"""The page of runs: what ran where, how training went, and how to do each run again."""

from collections.abc import Mapping
from pathlib import Path

from multisk.layout import WEIGHTS
from multisk.reporting import curves, facts, wording
from multisk.reporting.inputs import Inputs
from multisk.reporting.pages.page import Page
from multisk.reporting.trials import trial_records
from multisk.tracking import METRICS, PATCH, STEPS

BESIDE = (STEPS, METRICS, *WEIGHTS.values(), PATCH)


def build(inputs: Inputs) -> Page:
    """Return runs.html."""
    scale, training = inputs.scale, inputs.training
    names = wording.benchmark_names(inputs.params)
    drawn = {
        "loss": curves.loss_figure(training, scale, names),
        "contrastive": curves.contrastive_figure(training, scale),
    }
    context = {
        "facts": facts.facts(inputs.runs, inputs.params) if len(inputs.runs) else None,
        "versions": facts.versions(inputs.runs),
        "datasets": facts.datasets(inputs.datasets),
        "extractors": facts.extractors(inputs.params),
        "trials": trial_records(inputs.studies, inputs.sources.params.parent),
        "records": facts.records(inputs.runs, _beside(inputs)),
    }
    return Page(
        name="runs",
        label="Runs",
        title="Runs and provenance",
        summary="Every run with its MLflow id, commit, command and files, and how training went.",
        context=context,
        figures=drawn,
        data={"runs": inputs.runs.drop(columns="versions")},
    )


def _beside(inputs: Inputs) -> Mapping[str, list[str]]:
    root = inputs.sources.params.parent
    folders = {file: (root / Path(file)).parent for file in inputs.runs["file"]}
    return {file: [name for name in BESIDE if (folder / name).exists()] for file, folder in folders.items()}
