"""Stage `features`: appearance, motion and log-mel features of a corpus."""

from multisk import console
from multisk.layout import Layout
from multisk.params import load_params
from multisk.pipeline.features import make_features


def main(corpus: str) -> None:
    """Write data/features/<corpus>."""
    make_features(load_params(), Layout(), corpus)


if __name__ == "__main__":
    console.run(main)
