"""Stage `sweep`: run a study of params.yaml, or what is left of it."""

from multisk import console
from multisk.layout import Layout
from multisk.params import load_params
from multisk.sweep.study import sweep


def main(study: str) -> None:
    """Export a study to runs/sweep/<study>; its trials are in sweeps/."""
    sweep(load_params(), study, Layout())


if __name__ == "__main__":
    console.run(main)
