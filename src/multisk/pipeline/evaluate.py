"""Evaluation: a method's models on every benchmark, zero-shot and fine-tuned."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import nn

from multisk.benchmarks.clips import evaluation_clips, open_benchmarks
from multisk.evaluation.anchors import compare_with_labels, label_clips
from multisk.evaluation.embed import EmbeddedSet, embed
from multisk.evaluation.gallery import gallery
from multisk.evaluation.headline import headline_metrics
from multisk.evaluation.retrieval import Retrieval
from multisk.evaluation.strategies import LONG_VIDEO, long_videos, readings, strategy_table
from multisk.evaluation.tasks import TASKS
from multisk.files import digest, file_digest, read_json, replacing, write_json
from multisk.layout import WEIGHTS, Layout
from multisk.methods.model import method_model
from multisk.models.weights import load_weights
from multisk.params import Params, load_params, sections
from multisk.pipeline.declared import stage_code
from multisk.pipeline.units import complete
from multisk.sampling import CaptionedClips
from multisk.sampling.source import ClipSource
from multisk.settings.benchmarks import READ, anchor_benchmark
from multisk.settings.sampling import BenchmarkClips
from multisk.tracking import METRICS, Run, read_steps


def weights_of(params: Params, layout: Layout, method: str, seed: int) -> dict[tuple[str, str], Path]:
    """Return the weights of each (benchmark, setting)."""
    file = WEIGHTS[params.evaluate.weights]
    pretrained = layout.pretrained(method, seed)
    return {
        (name, setting): (pretrained if setting == "zero-shot" else layout.finetuned(method, name, seed))
        / file
        for name, benchmark in params.benchmarks.items()
        for setting in benchmark.settings
    }


def evaluation_settings(benchmarks: Iterable[str]) -> list[str]:
    """Return the names of the settings of benchmarks that metrics depend on."""
    keys = ("task", *READ, "complete_size", "segments")
    return [f"benchmarks.{name}.{key}" for name in benchmarks for key in keys]


def main(method: str) -> None:
    """Evaluate every seed of a method into runs/evaluate/<method>; the headline goes to reports/metrics."""
    params, layout = load_params(), Layout()
    params.method(method)
    code = stage_code("evaluate", params.changed_code)
    sources = open_benchmarks(layout, params.benchmarks)
    seeds = {f"seed-{seed}": seed for seed in params.pretrain.seeds}
    complete(
        layout.evaluated(method),
        {name: _identity(params, method, seed, layout, sources) for name, seed in seeds.items()},
        code,
        params,
        evaluate,
        lambda name, folder: (params, method, seeds[name], layout, sources, folder, code.digest),
    )
    datasets = {name: evaluation_clips(params.benchmark(name), source) for name, source in sources.items()}
    metrics = _merge(layout.evaluated(method), list(seeds))
    write_json(layout.evaluated(method) / METRICS, metrics | test_sizes(params, datasets))
    write_json(layout.reports / "metrics" / f"{method}.json", headline_metrics(metrics))
    write_curves(layout, method, params.pretrain.seeds)


def evaluate(
    params: Params,
    method: str,
    seed: int,
    layout: Layout,
    sources: dict[str, ClipSource],
    directory: Path,
    code: str,
) -> None:
    """Evaluate one seed of a method; embeddings are kept in the folder, for searching and plotting."""
    run = Run(
        directory,
        params.tracking,
        stage="evaluate",
        method=method,
        seed=seed,
        profile=params.profile,
        params=_settings(params),
        dataset_digest=digest([source.digest for source in sources.values()]),
        code=code,
    )
    metrics: dict[str, dict[str, Any]] = {}
    tables = Tables()
    with run:
        model = method_model(params, method, next(iter(sources.values())).dimensions)
        model.to("cuda" if torch.cuda.is_available() else "cpu")
        files = weights_of(params, layout, method, seed)
        for (benchmark, setting), weights in files.items():
            load_weights(model, weights)
            source = sources[benchmark]
            place = {"benchmark": benchmark, "setting": setting, "seed": seed}
            embedded, found = _measure(params, benchmark, model, source)
            embedded.save(directory / f"{benchmark}-{setting}")
            metrics.setdefault(benchmark, {})[setting] = found.metrics
            video_of = _video_of(source)
            tables.add("ranks", found.ranks.assign(video_id=found.ranks["clip_id"].map(video_of)), **place)
            tables.add("gallery", gallery(embedded), **place)
            for table in _strategies(params, benchmark, model, source, embedded, found):
                tables.add("strategies", table, **place)
            if (benchmark, setting) == (anchor_benchmark(params.benchmarks), "zero-shot"):
                _compare_anchors(tables, params, method, seed, model, embedded, source)
        tables.save(directory)
        run.finish(metrics)


class Tables:
    """Tables that grow by parts; they become parquet files named after them."""

    def __init__(self) -> None:
        self._parts: dict[str, list[pd.DataFrame]] = {}

    def add(self, name: str, table: pd.DataFrame, **columns: Any) -> None:
        """Keep a table's rows, with constant columns in front of its own."""
        frame = table.copy()
        for position, (column, value) in enumerate(columns.items()):
            frame.insert(position, column, value)
        self._parts.setdefault(name, []).append(frame)

    def save(self, folder: Path) -> None:
        """Write each table into a folder."""
        for name, parts in self._parts.items():
            with replacing(folder / f"{name}.parquet") as temporary:
                pd.concat(parts, ignore_index=True).to_parquet(temporary, index=False)


def _settings(params: Params) -> dict[str, Any]:
    return sections(params, *evaluation_settings(params.benchmarks), "evaluate")


def _identity(
    params: Params, method: str, seed: int, layout: Layout, sources: dict[str, ClipSource]
) -> dict[str, Any]:
    weights = weights_of(params, layout, method, seed)
    return {
        "seed": seed,
        "datasets": [source.digest for source in sources.values()],
        "weights": [file_digest(path) for path in weights.values()],
        **sections(params, "model", f"methods.{method}"),
        **_settings(params),
    }


def _merge(folder: Path, seeds: list[str]) -> dict[str, Any]:
    """Join the tables of all seeds in the folder above them; return the metrics by benchmark and setting."""
    tables, metrics = Tables(), dict[str, Any]()
    for seed in seeds:
        for path in sorted((folder / seed).glob("*.parquet")):
            tables.add(path.stem, pd.read_parquet(path))
        for benchmark, settings in read_json(folder / seed / METRICS).items():
            for setting, found in settings.items():
                metrics.setdefault(benchmark, {}).setdefault(setting, {})[seed] = found
    tables.save(folder)
    return metrics


def write_curves(layout: Layout, method: str, seeds: tuple[int, ...]) -> None:
    """Write the pretraining loss, its mean over seeds, as the CSV that `dvc plots` shows."""
    rows = [
        {"step": row["step"], "loss": row["loss"]}
        for seed in seeds
        for row in read_steps(layout.pretrained(method, seed) / "steps.jsonl")
    ]
    path = layout.runs / "curves" / f"{method}.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(rows).groupby("step", as_index=False)["loss"].mean().to_csv(path, index=False)


def test_sizes(params: Params, datasets: Mapping[str, CaptionedClips]) -> dict[str, dict[str, Any]]:
    """Return, per benchmark, what chance would score and how many test clips there are."""
    clips: dict[str, dict[str, Any]] = {}
    chance: dict[str, dict[str, Any]] = {}
    for name, dataset in datasets.items():
        present, complete = len(dataset), dataset.complete_size
        clips[name] = {"present": present, "complete": complete, "missing": complete - present}
        chance[name] = TASKS[params.benchmark(name).task].chance(present, complete)
    return {"chance": chance, "clips": clips}


def _measure(
    params: Params,
    name: str,
    model: nn.Module,
    source: ClipSource,
    clips: BenchmarkClips | None = None,
) -> tuple[EmbeddedSet, Retrieval]:
    benchmark = params.benchmark(name)
    dataset = evaluation_clips(benchmark, source, clips)
    device = next(model.parameters()).device
    embedded = embed(model, dataset, params.evaluate.batch_size, device)
    return embedded, TASKS[benchmark.task].measure(embedded, dataset.complete_size)


def _strategies(
    params: Params,
    name: str,
    model: nn.Module,
    source: ClipSource,
    embedded: EmbeddedSet,
    measured: Retrieval,
) -> Iterator[pd.DataFrame]:
    """Yield a table per strategy; what the benchmark's `clips` ask for was measured already."""
    benchmark = params.benchmark(name)
    dataset = evaluation_clips(benchmark, source)
    for strategy, clips in readings(params.evaluate.strategies, benchmark.clips, benchmark.segments):
        same = clips == benchmark.clips
        found = measured if same else _measure(params, name, model, source, clips)[1]
        yield strategy_table(strategy, found.metrics, len(dataset), dataset.complete_size)
    video_of = _video_of(source)
    videos = [video_of[clip_id] for clip_id in embedded.clip_ids]
    if LONG_VIDEO in params.evaluate.strategies and len(set(videos)) < len(videos):
        complete = source.corpus.of_split(benchmark.splits.test)["video_id"].nunique()
        found = TASKS[benchmark.task].measure(long_videos(embedded, videos), complete)
        yield strategy_table(LONG_VIDEO, found.metrics, len(set(videos)), complete)


def _video_of(source: ClipSource) -> dict[str, str]:
    """Return the video of each clip."""
    clips = source.corpus.clips
    assert clips is not None
    return dict(zip(clips["clip_id"], clips["video_id"], strict=True))


def _compare_anchors(
    tables: Tables,
    params: Params,
    method: str,
    seed: int,
    model: nn.Module,
    embedded: EmbeddedSet,
    source: ClipSource,
) -> None:
    """Compare anchors with the labels that only rendered corpora have."""
    if not (source.corpus.folder / "truth.parquet").exists():
        return
    sspc = params.method(method).sspc
    clips = source.corpus.clips
    assert clips is not None
    labels = label_clips(clips[clips["clip_id"].isin(embedded.clip_ids)], source.corpus.truth)
    anchors = getattr(model, "anchors", None) if sspc else None
    clusters = sspc.anchors.count if sspc else params.evaluate.clusters
    video_of = _video_of(source)
    videos = [video_of[clip_id] for clip_id in embedded.clip_ids]
    found = compare_with_labels(embedded, labels, anchors, clusters, videos, seed)
    tables.add("anchors_nmi", found.nmi, seed=seed)
    tables.add("anchors_jackknife", found.jackknife, seed=seed)
    tables.add("anchors_counts", found.counts, seed=seed)
