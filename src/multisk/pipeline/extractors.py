"""The networks that turn frames into features."""

import torch

from multisk.corpora.manifest import Corpus
from multisk.errors import InputError
from multisk.features.extractors import calibrated, prepare_extractors
from multisk.files import digest
from multisk.layout import Layout
from multisk.params import Params, load_params, sections
from multisk.pipeline.records import recorded


def main(calibrating: str) -> None:
    """Write data/extractors; random networks are calibrated on frames of a corpus."""
    make_extractors(load_params(), Layout(), calibrating)


def make_extractors(params: Params, layout: Layout, calibrating: str) -> None:
    """Write data/extractors; random weights are calibrated on frames of the corpus `calibrating`.

    Raises InputError as `prepare_extractors`.
    """
    corpus = Corpus.open(layout.corpus(calibrating)) if calibrated(params.features) else None
    settings = sections(params, "features.appearance", "features.motion")
    source = corpus.digest if corpus else digest("published weights")
    device = "cuda" if torch.cuda.is_available() else "cpu"
    with recorded(params, layout, "extractors", settings, source, layout.extractors) as folder:
        prepare_extractors(corpus, params.features, folder, device)


def make_missing_extractors(params: Params, layout: Layout) -> None:
    """Write data/extractors where there are none, from weights that need no corpus.

    Raises InputError for random weights, and as `prepare_extractors`.
    """
    if (layout.extractors / "extractors.json").exists():
        return
    if calibrated(params.features):
        raise InputError(
            f"{layout.extractors}: no extractors, and params.yaml: features: random weights take their "
            "statistics from a corpus; run dvc repro first, or name published weights (multisk use paper)"
        )
    make_extractors(params, layout, params.clips.pretrain.corpus)
