"""Fine-tuning: pretrained weights on a benchmark's training clips.

The release of SSPC has no fine-tuning; the settings are those that EAO was released with: contrastive
loss alone, all pairs weighing the same, batch norm fixed.
"""

from pathlib import Path
from typing import Any

import torch

from multisk.benchmarks.clips import open_benchmarks, training_clips
from multisk.files import file_digest
from multisk.layout import WEIGHTS, Layout
from multisk.methods.model import method_model
from multisk.models.weights import load_weights
from multisk.params import Params, load_params, sections
from multisk.pipeline.declared import stage_code
from multisk.pipeline.units import complete
from multisk.sampling import collate_clips
from multisk.sampling.source import ClipSource
from multisk.settings.benchmarks import READ
from multisk.settings.losses import Contrastive, Losses, PairWeights
from multisk.tracking import Run
from multisk.training import Objective, train


def main(method: str) -> None:
    """Fine-tune every seed of a method into runs/finetune/<method>/<benchmark>/seed-<n>."""
    params, layout = load_params(), Layout()
    params.method(method)
    code = stage_code("finetune", params.changed_code)
    tuned = {name: benchmark for name, benchmark in params.benchmarks.items() if benchmark.finetune}
    sources = open_benchmarks(layout, tuned)
    starts = {seed: layout.pretrained(method, seed) / WEIGHTS["raw"] for seed in params.pretrain.seeds}
    units = {f"{name}/seed-{seed}": (name, seed) for name in sources for seed in starts}
    complete(
        layout.finetuned(method),
        {
            unit: _identity(params, method, name, seed, sources[name], starts[seed])
            for unit, (name, seed) in units.items()
        },
        code,
        params,
        finetune,
        lambda unit, folder: (
            params, method, *units[unit], starts[units[unit][1]], sources[units[unit][0]], folder, code.digest
        ),
    )  # fmt: skip


def finetune(
    params: Params,
    method: str,
    benchmark: str,
    seed: int,
    weights: Path,
    source: ClipSource,
    directory: Path,
    code: str,
) -> None:
    """Fine-tune pretrained weights on a benchmark, or go on with what the folder holds."""
    entry = params.benchmark(benchmark)
    assert entry.finetune is not None
    run = Run(
        directory,
        params.tracking,
        stage="finetune",
        method=method,
        benchmark=benchmark,
        seed=seed,
        profile=params.profile,
        params=_settings(params, method, benchmark),
        dataset_digest=source.digest,
        code=code,
    )
    with run:
        dataset = training_clips(entry, source, seed)
        model = method_model(params, method, source.dimensions)
        load_weights(model, weights)
        objective = Objective(model, Losses(contrastive=equal_weights(params, method)))
        identity = _identity(params, method, benchmark, seed, source, weights)
        torch.manual_seed(seed)
        result = train(
            objective, dataset, collate_clips, entry.finetune, directory, run, seed=seed, identity=identity
        )
        run.finish(result.summary)


def _settings(params: Params, method: str, benchmark: str) -> dict[str, Any]:
    used = (f"benchmarks.{benchmark}.{key}" for key in (*READ, "finetune"))
    return sections(params, *used, "model", f"methods.{method}", "finetune.pair_weight")


def _identity(
    params: Params, method: str, benchmark: str, seed: int, source: ClipSource, weights: Path
) -> dict[str, Any]:
    settings = _settings(params, method, benchmark)
    return {"seed": seed, "dataset": source.digest, "weights": file_digest(weights), **settings}


def equal_weights(params: Params, method: str) -> Contrastive:
    """Return a method's contrastive loss with the weight that all pairs have in fine-tuning."""
    weights = PairWeights(**dict.fromkeys(PairWeights.model_fields, params.finetune.pair_weight))
    return params.method(method).contrastive.model_copy(update={"weights": weights})
