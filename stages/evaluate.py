"""Stage `evaluate`: retrieval on both benchmarks, zero-shot and fine-tuned."""

from typing import get_args

import pandas as pd

from multisk import console
from multisk.evaluation.headline import headline_metrics
from multisk.files import file_digest, write_json
from multisk.layout import Layout
from multisk.params import Benchmark, load_params, sections
from multisk.pipeline.evaluate import evaluate, merged, test_sizes, weights_of
from multisk.resumable import code_digest, resumable
from multisk.sampling.source import ClipSource
from multisk.side_by_side import side_by_side
from multisk.tracking import read_steps


def main(method: str) -> None:
    """Evaluate every seed of a method into runs/evaluate/<method>; the headline goes to reports/metrics."""
    params, layout = load_params(), Layout()
    params.method(method)
    inputs = {name: ClipSource.open(layout, params.benchmark(name).corpus) for name in get_args(Benchmark)}
    weights = {
        seed: weights_of(layout, method, seed, params.evaluate.weights) for seed in params.pretrain.seeds
    }
    identity = {
        "datasets": [opened.digest for opened in inputs.values()],
        "weights": [file_digest(path) for paths in weights.values() for path in paths.values()],
        "code": code_digest("evaluation", "models", "sampling", "pipeline/evaluate.py"),
        **sections(params, "clips", "model", f"methods.{method}", "evaluate"),
    }
    with resumable(layout.evaluated(method), identity) as folder:
        jobs = [(params, method, seed, layout, inputs, folder / f"seed-{seed}") for seed in weights]
        evaluations = side_by_side(evaluate, jobs, params.processes)
        metrics, tables = merged(dict(zip(weights, evaluations, strict=True)))
        for name, table in tables:
            table.to_parquet(folder / f"{name}.parquet", index=False)
        write_json(folder / "metrics.json", metrics | test_sizes(params, inputs))
    write_json(layout.reports / "metrics" / f"{method}.json", headline_metrics(metrics))
    write_curves(layout, method, params.pretrain.seeds)


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


if __name__ == "__main__":
    console.run(main)
