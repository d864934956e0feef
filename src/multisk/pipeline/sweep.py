"""Studies of the pipeline."""

from multisk.layout import Layout
from multisk.params import load_params
from multisk.pipeline.declared import stage_code
from multisk.sweep.study import sweep


def main(study: str) -> None:
    """Export a study to runs/sweep/<study>; its trials are in sweeps/."""
    params = load_params()
    sweep(params, study, Layout(), stage_code("sweep", params.changed_code))
