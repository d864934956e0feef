"""Fine-tuning: pretrained weights on a benchmark's training clips.

The release of SSPC has no fine-tuning; the settings are those that EAO was released with: contrastive
loss alone, all pairs weighing the same, batch norm fixed.
"""

from pathlib import Path

import torch

from multisk.files import file_digest
from multisk.losses.settings import Contrastive, PairWeights
from multisk.methods.model import method_model
from multisk.models.weights import load_weights
from multisk.params import Benchmark, Params, sections
from multisk.sampling import CaptionedClips, collate_clips
from multisk.sampling.source import ClipSource
from multisk.tracking import Run
from multisk.training import Objective, train
from multisk.training.settings import Training


def finetune(
    params: Params,
    method: str,
    benchmark: Benchmark,
    seed: int,
    weights: Path,
    inputs: ClipSource,
    directory: Path,
) -> None:
    """Fine-tune pretrained weights on a benchmark, or go on with what the folder holds."""
    training: Training = getattr(params.finetune, benchmark)
    used = (f"clips.{benchmark}", "model", f"methods.{method}", f"finetune.{benchmark}")
    settings = sections(params, *used, "finetune.pair_weight")
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
        model = method_model(params, method, inputs.dimensions)
        load_weights(model, weights)
        objective = Objective(model, equal_weights(params, method))
        identity = {"dataset": inputs.digest, "weights": file_digest(weights), **settings}
        torch.manual_seed(seed)
        result = train(
            objective, dataset, collate_clips, training, directory, run, seed=seed, identity=identity
        )
        run.finish(result.summary)


def equal_weights(params: Params, method: str) -> Contrastive:
    """Return a method's contrastive loss with the weight that all pairs have in fine-tuning."""
    weights = PairWeights(**dict.fromkeys(PairWeights.model_fields, params.finetune.pair_weight))
    return params.method(method).contrastive.model_copy(update={"weights": weights})
