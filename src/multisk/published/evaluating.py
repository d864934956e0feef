"""A released checkpoint on the benchmarks: the metrics of the pipeline, without its training.

runs/checkpoints/<name>/<setting>/metrics.json      benchmark -> setting -> direction -> metric;
                                                    `chance` and `clips` as in reports/metrics
                                  run.json          what was measured, with which settings
                                  <benchmark>/      embeddings, ranks.parquet
                                  words/            vectors of the words that the captions use
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from multisk.corpora.manifest import Corpus
from multisk.evaluation.embed import embed
from multisk.evaluation.ranking import chance_level
from multisk.evaluation.retrieval import retrieve
from multisk.features.words import WordVectors
from multisk.layout import Layout
from multisk.params import Benchmark, Params
from multisk.pipeline.evaluate import TEST_SPLIT
from multisk.pipeline.inputs import sections
from multisk.published.stores import open_features
from multisk.published.wordvectors import import_words
from multisk.resumable import digest, file_digest, read_json
from multisk.sampling import CaptionedClips
from multisk.search.trained import TrainedModel
from multisk.tracking import METRICS, Run

SHOWN = ("R1", "R5", "R10", "MedR")
Numbers = dict[str, Any]


def evaluate_checkpoint(
    params: Params, layout: Layout, checkpoint: Path, benchmarks: Sequence[Benchmark], setting: str
) -> Path:
    """Measure retrieval with a checkpoint's weights as they are; return the path of the metrics.

    checkpoint: what `multisk import-checkpoint` wrote, or a run folder of the pipeline
    setting: what the metrics are filed under; `zero-shot` or `fine-tuned`
    Needs the benchmarks' corpora and features, and the word vectors that params.yaml names; no pretraining
    corpus. Raises InputError for what is missing, damaged, or does not fit the model.
    """
    trained = TrainedModel.open(checkpoint)
    name = _name(trained)
    out = layout.runs / "checkpoints" / name / setting
    corpora = {one: Corpus.open(layout.corpus(params.benchmark(one).corpus)) for one in benchmarks}
    stores = {one: open_features(layout.features(params.benchmark(one).corpus)) for one in benchmarks}
    words = _words(params, layout, list(corpora.values()), out / "words")
    for store in stores.values():
        trained.check(words.dimension, store.dimension("appearance") + store.dimension("motion"))
    datasets = {
        one: CaptionedClips(stores[one], corpora[one], words, params.benchmark(one), TEST_SPLIT[one])
        for one in benchmarks
    }
    read = [file_digest(store.folder / "index.parquet") for store in stores.values()]
    run = Run(
        out,
        params.tracking,
        stage="evaluate",
        name=name,
        profile=params.profile,
        params={**sections(params, *(f"clips.{one}" for one in benchmarks)), "weights": trained.digest},
        dataset_digest=digest([read, [corpus.digest for corpus in corpora.values()], words.vocabulary]),
    )
    with run:
        device = "cuda" if torch.cuda.is_available() else "cpu"
        trained.model.to(device)
        found = {
            one: {setting: _measure(trained, dataset, params.evaluate.batch_size, device, out / one)}
            for one, dataset in datasets.items()
        }
        run.finish(found | _sizes(datasets))
    return out / METRICS


def summary(path: Path) -> str:
    """Return the metrics of a file as a table: text -> video, audio and both, fused or averaged."""
    content = read_json(path)
    rows = [
        (benchmark, direction, *(f"{values[name]:.1f}" for name in SHOWN))
        for benchmark in content["clips"]
        for found in content[benchmark].values()
        for direction, values in found.items()
        if direction.startswith("t2")
    ]
    return pd.DataFrame(rows, columns=["benchmark", "direction", *SHOWN]).to_string(index=False)


def _name(trained: TrainedModel) -> str:
    """Name a model after its file and its checksum, which the names of imported ones end in already."""
    name, checksum = trained.path.stem, trained.digest[:8]
    return name if name.endswith(checksum) else f"{name}-{checksum}"


def _measure(
    trained: TrainedModel, dataset: CaptionedClips, batch_size: int, device: str, folder: Path
) -> Numbers:
    embedded = embed(trained.model, dataset, batch_size, device)
    found = retrieve(embedded, dataset.complete_size)
    embedded.save(folder)
    found.ranks.to_parquet(folder / "ranks.parquet", index=False)
    return found.metrics


def _words(params: Params, layout: Layout, corpora: list[Corpus], folder: Path) -> WordVectors:
    """Read the captions' words from the published file; those that were trained here lie in data/words."""
    if params.features.words.source == "skipgram":
        return WordVectors.open(layout.words)
    import_words(Path(params.features.words.source), corpora, params.features.words, folder)
    return WordVectors.open(folder)


def _sizes(datasets: dict[Benchmark, CaptionedClips]) -> Numbers:
    """Return what chance would score, and how many test clips there are, as the pipeline's metrics do."""
    sizes: Numbers = {"chance": {}, "clips": {}}
    for name, dataset in datasets.items():
        present, complete = len(dataset), dataset.complete_size
        sizes["chance"][name] = chance_level(present, complete)
        sizes["clips"][name] = {"present": present, "complete": complete, "missing": complete - present}
    return sizes
