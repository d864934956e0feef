"""Fine-tuning: pretrained weights on a benchmark's training clips.

The release of SSPC has no fine-tuning; the settings are those that EAO was released with: contrastive
loss alone, all pairs weighing the same, batch norm fixed.
"""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from multisk.models.weights import load_weights
from multisk.params import Benchmark, Method, PairWeights, Params, Training
from multisk.pipeline.inputs import Inputs, sections
from multisk.resumable import file_digest
from multisk.sampling import CaptionedClips, collate_clips
from multisk.tracking import Run
from multisk.training import build_objective, train


def finetuning_method(method: Method, pair_weight: float) -> Method:
    """Return a method as it is fine-tuned: its model, and one weight for all contrastive pairs."""
    weights = PairWeights(**dict.fromkeys(PairWeights.model_fields, pair_weight))
    contrastive = method.contrastive.model_copy(update={"weights": weights})
    return method.model_copy(update={"contrastive": contrastive})


def finetune(
    params: Params,
    method: str,
    benchmark: Benchmark,
    seed: int,
    weights: Path,
    inputs: Inputs,
    directory: Path,
) -> None:
    """Fine-tune pretrained weights on a benchmark, or go on with what the folder holds."""
    training: Training = getattr(params.finetune, benchmark)
    settings: dict[str, Any] = sections(
        params,
        f"clips.{benchmark}",
        "model",
        f"methods.{method}",
        f"finetune.{benchmark}",
        "finetune.pair_weight",
    )
    run = Run(
        directory,
        params.tracking,
        stage="finetune",
        method=method,
        benchmark=benchmark,
        seed=seed,
        profile=params.profile,
        params=settings,
        dataset_digest=inputs.digest,
    )
    with run:
        clips = params.benchmark(benchmark)
        dataset = CaptionedClips(inputs.store, inputs.corpus, inputs.words, clips, "train", seed)
        recipe = finetuning_method(params.method(method), params.finetune.pair_weight)
        torch.manual_seed(seed)
        objective = build_objective(recipe, params.model, **inputs.dimensions)
        load_weights(objective.model, weights)
        objective.sspc = None
        identity = {"dataset": inputs.digest, "weights": file_digest(weights), **settings}
        result = train(
            objective, dataset, collate_clips, training, directory, run, seed=seed, identity=identity
        )
        run.finish(asdict(result))
