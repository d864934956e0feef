"""Evaluation: a method's models on both benchmarks, zero-shot and fine-tuned."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

import pandas as pd
import torch
from torch import nn

from multisk.evaluation.anchors import compare_with_labels, label_clips
from multisk.evaluation.embed import EmbeddedSet, embed
from multisk.evaluation.gallery import gallery
from multisk.evaluation.ranking import chance_level
from multisk.evaluation.retrieval import Retrieval, retrieve
from multisk.evaluation.strategies import LONG_VIDEO, long_videos, readings, strategy_table
from multisk.files import digest
from multisk.layout import Layout
from multisk.methods.model import method_model
from multisk.models.weights import load_weights
from multisk.params import Benchmark, Params, sections
from multisk.sampling import CaptionedClips
from multisk.sampling.settings import BenchmarkClips
from multisk.sampling.source import ClipSource
from multisk.tracking import Run

TEST_SPLIT: dict[str, str] = {"youcook2": "validation", "msrvtt": "test"}


@dataclass
class Evaluation:
    """Tables of one seed; `tables` become parquet files named after their keys."""

    metrics: dict[str, dict[str, Any]] = field(default_factory=dict)
    tables: dict[str, list[pd.DataFrame]] = field(default_factory=dict)

    def add(self, name: str, table: pd.DataFrame, **columns: Any) -> None:
        """Keep a table's rows, with constant columns in front of its own."""
        frame = table.copy()
        for position, (column, value) in enumerate(columns.items()):
            frame.insert(position, column, value)
        self.tables.setdefault(name, []).append(frame)


def weights_of(layout: Layout, method: str, seed: int, kind: str) -> dict[tuple[Benchmark, str], Path]:
    """Return the weights of each (benchmark, setting)."""
    file = {"raw": "model.safetensors", "ema": "ema.safetensors"}[kind]
    return {
        (benchmark, setting): folder / file
        for benchmark in get_args(Benchmark)
        for setting, folder in (
            ("zero-shot", layout.pretrained(method, seed)),
            ("fine-tuned", layout.finetuned(method, benchmark, seed)),
        )
    }


def evaluate(
    params: Params,
    method: str,
    seed: int,
    layout: Layout,
    inputs: dict[Benchmark, ClipSource],
    directory: Path,
) -> Evaluation:
    """Evaluate one seed of a method; embeddings are kept in the folder, for searching and plotting."""
    run = Run(
        directory,
        params.tracking,
        stage="evaluate",
        method=method,
        seed=seed,
        profile=params.profile,
        params=sections(params, "clips.youcook2", "clips.msrvtt", "evaluate"),
        dataset_digest=digest([opened.digest for opened in inputs.values()]),
    )
    evaluation = Evaluation()
    with run:
        model = method_model(params, method, next(iter(inputs.values())).dimensions)
        model.to("cuda" if torch.cuda.is_available() else "cpu")
        files = weights_of(layout, method, seed, params.evaluate.weights)
        for (benchmark, setting), weights in files.items():
            load_weights(model, weights)
            place = {"benchmark": benchmark, "setting": setting, "seed": seed}
            embedded, found = _retrieve(params, benchmark, model, inputs[benchmark])
            embedded.save(directory / f"{benchmark}-{setting}")
            evaluation.metrics.setdefault(benchmark, {})[setting] = found.metrics
            video_of = _video_of(inputs[benchmark])
            evaluation.add(
                "ranks", found.ranks.assign(video_id=found.ranks["clip_id"].map(video_of)), **place
            )
            evaluation.add("gallery", gallery(embedded), **place)
            for table in _strategies(params, benchmark, model, inputs[benchmark], embedded, found):
                evaluation.add("strategies", table, **place)
            if (benchmark, setting) == ("youcook2", "zero-shot"):
                _compare_anchors(evaluation, params, method, seed, model, embedded, inputs[benchmark])
        run.finish(evaluation.metrics)
    return evaluation


def test_sizes(params: Params, inputs: dict[Benchmark, ClipSource]) -> dict[str, dict[str, dict[str, Any]]]:
    """Return, per benchmark, what chance would score and how many test clips there are."""
    clips: dict[str, dict[str, Any]] = {}
    chance: dict[str, dict[str, Any]] = {}
    for benchmark, opened in inputs.items():
        dataset = _dataset(params, benchmark, opened)
        present, complete = len(dataset), dataset.complete_size
        clips[benchmark] = {"present": present, "complete": complete, "missing": complete - present}
        chance[benchmark] = chance_level(present, complete)
    return {"chance": chance, "clips": clips}


def _retrieve(
    params: Params,
    benchmark: Benchmark,
    model: nn.Module,
    inputs: ClipSource,
    clips: BenchmarkClips | None = None,
) -> tuple[EmbeddedSet, Retrieval]:
    dataset = _dataset(params, benchmark, inputs, clips)
    device = next(model.parameters()).device
    embedded = embed(model, dataset, params.evaluate.batch_size, device)
    return embedded, retrieve(embedded, dataset.complete_size)


def _dataset(
    params: Params, benchmark: Benchmark, inputs: ClipSource, clips: BenchmarkClips | None = None
) -> CaptionedClips:
    clips = clips or params.benchmark(benchmark)
    return CaptionedClips(inputs.store, inputs.corpus, inputs.words, clips, TEST_SPLIT[benchmark])


def _strategies(
    params: Params,
    benchmark: Benchmark,
    model: nn.Module,
    inputs: ClipSource,
    embedded: EmbeddedSet,
    measured: Retrieval,
) -> Iterator[pd.DataFrame]:
    """Yield a table per strategy; what `clips` of params.yaml asks for was measured already."""
    dataset = _dataset(params, benchmark, inputs)
    for strategy, clips in readings(params.evaluate, benchmark, params.benchmark(benchmark)):
        same = clips == params.benchmark(benchmark)
        found = measured if same else _retrieve(params, benchmark, model, inputs, clips)[1]
        yield strategy_table(strategy, found.metrics, len(dataset), dataset.complete_size)
    video_of = _video_of(inputs)
    videos = [video_of[clip_id] for clip_id in embedded.clip_ids]
    if LONG_VIDEO in params.evaluate.strategies and len(set(videos)) < len(videos):
        complete = inputs.corpus.of_split(TEST_SPLIT[benchmark])["video_id"].nunique()
        found = retrieve(long_videos(embedded, videos), complete)
        yield strategy_table(LONG_VIDEO, found.metrics, len(set(videos)), complete)


def _video_of(inputs: ClipSource) -> dict[str, str]:
    """Return the video of each clip."""
    clips = inputs.corpus.clips
    assert clips is not None
    return dict(zip(clips["clip_id"], clips["video_id"], strict=True))


def _compare_anchors(
    evaluation: Evaluation,
    params: Params,
    method: str,
    seed: int,
    model: nn.Module,
    embedded: EmbeddedSet,
    inputs: ClipSource,
) -> None:
    """Compare anchors with the labels that only rendered corpora have."""
    if not (inputs.corpus.folder / "truth.parquet").exists():
        return
    sspc = params.method(method).sspc
    clips = inputs.corpus.clips
    assert clips is not None
    labels = label_clips(clips[clips["clip_id"].isin(embedded.clip_ids)], inputs.corpus.truth)
    anchors = getattr(model, "anchors", None) if sspc else None
    clusters = sspc.anchors.count if sspc else params.evaluate.clusters
    video_of = _video_of(inputs)
    videos = [video_of[clip_id] for clip_id in embedded.clip_ids]
    tables = compare_with_labels(embedded, labels, anchors, clusters, videos, seed)
    evaluation.add("anchors_nmi", tables.nmi, seed=seed)
    evaluation.add("anchors_jackknife", tables.jackknife, seed=seed)
    evaluation.add("anchors_counts", tables.counts, seed=seed)


def merged(evaluations: dict[int, Evaluation]) -> tuple[dict[str, Any], Iterator[tuple[str, pd.DataFrame]]]:
    """Join the seeds of a method: metrics by benchmark, setting and seed, and tables by name."""
    metrics: dict[str, Any] = {}
    for seed, evaluation in evaluations.items():
        for benchmark, settings in evaluation.metrics.items():
            for setting, found in settings.items():
                metrics.setdefault(benchmark, {}).setdefault(setting, {})[f"seed-{seed}"] = found
    names = dict.fromkeys(name for evaluation in evaluations.values() for name in evaluation.tables)
    parts = {
        name: [table for e in evaluations.values() for table in e.tables.get(name, [])] for name in names
    }
    return metrics, ((name, pd.concat(tables, ignore_index=True)) for name, tables in parts.items())
