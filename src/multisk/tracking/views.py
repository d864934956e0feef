"""Views of the experiments: links of MLflow's own "Share" button, made ahead.

A view is a tag of the experiment; a link with its name opens the runs as charts, all of them shown and those
of a method drawn as one mean (MLflow shows ten runs at first, each by itself).
"""

import json

from multisk.settings.tracking import Tracking

VIEW = "means"
GROUPS = {"pretrain": ("method",), "finetune": ("benchmark", "method"), "evaluate": ("method",)}


def view_tags(stage: str) -> dict[str, str]:
    """Return the tag that holds a stage's view; none, for a stage that has nothing to compare."""
    if stage not in GROUPS:
        return {}
    keys = [{"mode": "tag", "groupByData": tag} for tag in GROUPS[stage]]
    state = {
        "groupBy": {"aggregateFunction": "average", "groupByKeys": keys},
        "useGroupedValuesInCharts": True,
        "runsHiddenMode": "SHOW_ALL",
        "hideEmptyCharts": True,
    }
    return {f"mlflow.sharedViewState.{VIEW}": json.dumps(state)}


def view_links(tracking: Tracking, server: str) -> list[str]:
    """Return a line per experiment that has a view: its name, and the view's address on a server."""
    from multisk.tracking.mirror import Mirror  # which itself needs view_tags

    client = Mirror(tracking).client
    found = [client.get_experiment_by_name(f"{tracking.experiment}-{stage}") for stage in GROUPS]
    return [
        f"{experiment.name}: {server}/#/experiments/{experiment.experiment_id}/runs"
        f"?viewStateShareKey={VIEW}&compareRunsMode=CHART"
        for experiment in found
        if experiment
    ]
