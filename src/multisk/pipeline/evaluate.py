"""Evaluation: a method's models on both benchmarks, zero-shot and fine-tuned."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pandas as pd
import torch
from torch import nn

from multisk.evaluation.anchors import compare_with_labels, label_clips
from multisk.evaluation.embed import EmbeddedSet, embed
from multisk.evaluation.gallery import gallery
from multisk.evaluation.headline import headline_metrics
from multisk.evaluation.ranking import chance_level
from multisk.evaluation.retrieval import Retrieval, retrieve
from multisk.evaluation.strategies import LONG_VIDEO, long_videos, readings, strategy_table
from multisk.files import digest, file_digest, read_json, replacing, write_json
from multisk.layout import Layout
from multisk.methods.model import method_model
from multisk.models.weights import load_weights
from multisk.params import Benchmark, Params, load_params, sections
from multisk.pipeline.declared import stage_code
from multisk.pipeline.units import complete
from multisk.sampling import CaptionedClips
from multisk.sampling.source import ClipSource
from multisk.settings.sampling import BenchmarkClips
from multisk.tracking import METRICS, Run, read_steps

TEST_SPLIT: dict[str, str] = {"youcook2": "validation", "msrvtt": "test"}


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


def main(method: str) -> None:
    """Evaluate every seed of a method into runs/evaluate/<method>; the headline goes to reports/metrics."""
    params, layout = load_params(), Layout()
    params.method(method)
    code = stage_code("evaluate", params.changed_code)
    sources = {name: ClipSource.open(layout, params.benchmark(name).corpus) for name in get_args(Benchmark)}
    seeds = {f"seed-{seed}": seed for seed in params.pretrain.seeds}
    complete(
        layout.evaluated(method),
        {name: _identity(params, method, seed, layout, sources) for name, seed in seeds.items()},
        code,
        params,
        evaluate,
        lambda name, folder: (params, method, seeds[name], layout, sources, folder, code.digest),
    )
    metrics = _merge(layout.evaluated(method), list(seeds))
    write_json(layout.evaluated(method) / METRICS, metrics | test_sizes(params, sources))
    write_json(layout.reports / "metrics" / f"{method}.json", headline_metrics(metrics))
    write_curves(layout, method, params.pretrain.seeds)


def evaluate(
    params: Params,
    method: str,
    seed: int,
    layout: Layout,
    sources: dict[Benchmark, ClipSource],
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
        files = weights_of(layout, method, seed, params.evaluate.weights)
        for (benchmark, setting), weights in files.items():
            load_weights(model, weights)
            source = sources[benchmark]
            place = {"benchmark": benchmark, "setting": setting, "seed": seed}
            embedded, found = _retrieve(params, benchmark, model, source)
            embedded.save(directory / f"{benchmark}-{setting}")
            metrics.setdefault(benchmark, {})[setting] = found.metrics
            video_of = _video_of(source)
            tables.add("ranks", found.ranks.assign(video_id=found.ranks["clip_id"].map(video_of)), **place)
            tables.add("gallery", gallery(embedded), **place)
            for table in _strategies(params, benchmark, model, source, embedded, found):
                tables.add("strategies", table, **place)
            if (benchmark, setting) == ("youcook2", "zero-shot"):
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
    return sections(params, "clips.youcook2", "clips.msrvtt", "evaluate")


def _identity(
    params: Params, method: str, seed: int, layout: Layout, sources: dict[Benchmark, ClipSource]
) -> dict[str, Any]:
    weights = weights_of(layout, method, seed, params.evaluate.weights)
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


def test_sizes(params: Params, sources: dict[Benchmark, ClipSource]) -> dict[str, dict[str, dict[str, Any]]]:
    """Return, per benchmark, what chance would score and how many test clips there are."""
    clips: dict[str, dict[str, Any]] = {}
    chance: dict[str, dict[str, Any]] = {}
    for benchmark, opened in sources.items():
        dataset = _dataset(params, benchmark, opened)
        present, complete = len(dataset), dataset.complete_size
        clips[benchmark] = {"present": present, "complete": complete, "missing": complete - present}
        chance[benchmark] = chance_level(present, complete)
    return {"chance": chance, "clips": clips}


def _retrieve(
    params: Params,
    benchmark: Benchmark,
    model: nn.Module,
    source: ClipSource,
    clips: BenchmarkClips | None = None,
) -> tuple[EmbeddedSet, Retrieval]:
    dataset = _dataset(params, benchmark, source, clips)
    device = next(model.parameters()).device
    embedded = embed(model, dataset, params.evaluate.batch_size, device)
    return embedded, retrieve(embedded, dataset.complete_size)


def _dataset(
    params: Params, benchmark: Benchmark, source: ClipSource, clips: BenchmarkClips | None = None
) -> CaptionedClips:
    clips = clips or params.benchmark(benchmark)
    return CaptionedClips(source.store, source.corpus, source.words, clips, TEST_SPLIT[benchmark])


def _strategies(
    params: Params,
    benchmark: Benchmark,
    model: nn.Module,
    source: ClipSource,
    embedded: EmbeddedSet,
    measured: Retrieval,
) -> Iterator[pd.DataFrame]:
    """Yield a table per strategy; what `clips` of params.yaml asks for was measured already."""
    dataset = _dataset(params, benchmark, source)
    for strategy, clips in readings(params.evaluate, benchmark, params.benchmark(benchmark)):
        same = clips == params.benchmark(benchmark)
        found = measured if same else _retrieve(params, benchmark, model, source, clips)[1]
        yield strategy_table(strategy, found.metrics, len(dataset), dataset.complete_size)
    video_of = _video_of(source)
    videos = [video_of[clip_id] for clip_id in embedded.clip_ids]
    if LONG_VIDEO in params.evaluate.strategies and len(set(videos)) < len(videos):
        complete = source.corpus.of_split(TEST_SPLIT[benchmark])["video_id"].nunique()
        found = retrieve(long_videos(embedded, videos), complete)
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
