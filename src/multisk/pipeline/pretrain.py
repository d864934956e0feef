"""Pretraining: a method on narrated videos."""

from pathlib import Path
from typing import Any

import torch

from multisk.params import Params
from multisk.pipeline.inputs import Inputs, sections
from multisk.pipeline.methods import method_model
from multisk.sampling import NarratedClips, collate_videos
from multisk.tracking import Run
from multisk.training import Objective, OnEpoch, Result, StepLog, train


def pretraining_settings(params: Params, method: str) -> dict[str, Any]:
    """Return the settings that a method's pretrained weights depend on."""
    return sections(params, "clips.pretrain", "model", f"methods.{method}", "pretrain")


def pretrain(params: Params, method: str, seed: int, inputs: Inputs, directory: Path) -> None:
    """Pretrain a method with one seed, or go on with what the folder holds."""
    settings = pretraining_settings(params, method)
    run = Run(
        directory,
        params.tracking,
        stage="pretrain",
        method=method,
        seed=seed,
        profile=params.profile,
        params=settings,
        dataset_digest=inputs.digest,
    )
    with run:
        run.finish(train_method(params, method, seed, inputs, directory, run).summary)


def train_method(
    params: Params,
    method: str,
    seed: int,
    inputs: Inputs,
    directory: Path,
    log: StepLog,
    on_epoch: OnEpoch | None = None,
) -> Result:
    """Train a method on narrated videos in a folder, or go on with what it holds; see `train`."""
    dataset = NarratedClips(inputs.store, inputs.corpus, inputs.words, params.clips.pretrain, seed)
    torch.manual_seed(seed)
    model = method_model(params, method, inputs.dimensions)
    objective = Objective.of_method(params.method(method), model)
    identity = {"dataset": inputs.digest, **pretraining_settings(params, method)}
    return train(
        objective,
        dataset,
        collate_videos,
        params.pretrain,
        directory,
        log,
        seed=seed,
        identity=identity,
        on_epoch=on_epoch,
    )
