"""Stage `extractors`: fix the networks that turn frames into features."""

from multisk import console
from multisk.layout import Layout
from multisk.params import load_params
from multisk.pipeline.features import make_extractors


def main(calibrating: str) -> None:
    """Write data/extractors; random networks are calibrated on frames of a corpus."""
    make_extractors(load_params(), Layout(), calibrating)


if __name__ == "__main__":
    console.run(main)
