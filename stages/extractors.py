"""Stage `extractors`: fix the networks that turn frames into features."""

import torch

from multisk import console
from multisk.corpora.manifest import Corpus
from multisk.features.extractors import prepare_extractors
from multisk.layout import Layout
from multisk.params import load_params
from multisk.pipeline.inputs import sections
from multisk.pipeline.records import recorded

CODE = ("features",)


def main(calibrating: str) -> None:
    """Write data/extractors; random networks are calibrated on frames of a corpus."""
    params, layout = load_params(), Layout()
    corpus = Corpus.open(layout.corpus(calibrating))
    settings = sections(params, "features.appearance", "features.motion")
    device = "cuda" if torch.cuda.is_available() else "cpu"
    with recorded(params, layout, "extractors", settings, corpus.digest, layout.extractors, *CODE) as folder:
        prepare_extractors(corpus, params.features, folder, device)


if __name__ == "__main__":
    console.run(main)
