"""A released checkpoint on the benchmarks: the metrics of the pipeline, without its training.

runs/checkpoints/<name>/<setting>/metrics.json      benchmark -> setting -> direction -> metric;
                                                    `chance` and `clips` as in runs/evaluate
                                  run.json          what was measured, with which settings
                                  <benchmark>/      embeddings, ranks.parquet
                                  words/            vectors of the words that the captions use, or in
                                                    words/clip the text tower of a CLIP model
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from multisk.benchmarks.clips import evaluation_clips
from multisk.corpora.manifest import Corpus
from multisk.evaluation.embed import embed
from multisk.evaluation.tasks import TASKS
from multisk.features.clip import ClipWords, clip_name, import_clip_words
from multisk.features.tree_store import open_features
from multisk.features.words import WordVectors, words_digest
from multisk.features.wordvectors import import_words
from multisk.files import digest, file_digest, read_json
from multisk.layout import Layout
from multisk.methods.trained import TrainedModel
from multisk.params import Params, sections
from multisk.pipeline.evaluate import evaluation_settings, test_sizes
from multisk.sampling import CaptionedClips
from multisk.sampling.reader import video_dimension
from multisk.sampling.source import ClipSource
from multisk.tracking import METRICS, RECORD, Run

SHOWN = ("R1", "R5", "R10", "MedR")
Numbers = dict[str, Any]


def evaluate_checkpoint(
    params: Params, layout: Layout, checkpoint: Path, benchmarks: Sequence[str], setting: str
) -> Path:
    """Measure benchmarks with a checkpoint's weights as they are; return the path of the metrics.

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
    words, words_read = _words(params, layout, list(corpora.values()), out / "words")
    for store in stores.values():
        trained.check(words.dimension, video_dimension(store))
    features = [file_digest(store.folder / "index.parquet") for store in stores.values()]
    read = digest([features, [corpus.digest for corpus in corpora.values()], words_read])
    datasets = {
        one: evaluation_clips(params.benchmark(one), ClipSource(corpora[one], stores[one], words, read))
        for one in benchmarks
    }
    _forget_another(out / RECORD, read)
    run = Run(
        out,
        params.tracking,
        stage="evaluate",
        name=name,
        profile=params.profile,
        params={**sections(params, *evaluation_settings(benchmarks)), "weights": trained.digest},
        dataset_digest=read,
    )
    with run:
        device = "cuda" if torch.cuda.is_available() else "cpu"
        trained.model.to(device)
        found = {
            one: {setting: _measure(params, one, trained, dataset, device, out / one)}
            for one, dataset in datasets.items()
        }
        run.finish(found | test_sizes(params, datasets))
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


def _forget_another(record: Path, read: str) -> None:
    """Remove the record of a finished call that read other data: as that run's it would be kept."""
    if record.exists() and read_json(record).get("dataset_digest") != read:
        record.unlink()


def _measure(
    params: Params, name: str, trained: TrainedModel, dataset: CaptionedClips, device: str, folder: Path
) -> Numbers:
    embedded = embed(trained.model, dataset, params.evaluate.batch_size, device)
    found = TASKS[params.benchmark(name).task].measure(embedded, dataset.complete_size)
    embedded.save(folder)
    found.ranks.to_parquet(folder / "ranks.parquet", index=False)
    return found.metrics


def _words(
    params: Params, layout: Layout, corpora: list[Corpus], folder: Path
) -> tuple[WordVectors | ClipWords, str]:
    """Return what texts are made of, and its digest.

    Of the published file the captions' words are read, of a CLIP model the text tower is copied; vectors that
    were trained here lie in data/words.
    """
    settings = params.features.words
    if name := clip_name(settings.source):
        # Beside word vectors of an earlier call, not among them.
        import_clip_words(name, settings, folder / "clip")
        return ClipWords.open(folder / "clip"), words_digest(folder / "clip")
    if settings.source == "skipgram":
        folder = layout.words
    else:
        import_words(Path(settings.source), corpora, settings, folder)
    return WordVectors.open(folder), words_digest(folder)
