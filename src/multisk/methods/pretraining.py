"""Pretraining a method on narrated videos, in the pipeline and in trials."""

from pathlib import Path
from typing import Any

import torch

from multisk.methods.model import method_model
from multisk.params import Params, sections
from multisk.sampling import NarratedClips, collate_videos
from multisk.sampling.source import ClipSource
from multisk.training import Objective, OnEpoch, Result, StepLog, train


def pretraining_settings(params: Params, method: str) -> dict[str, Any]:
    """Return the settings that a method's pretrained weights depend on."""
    return sections(params, "clips.pretrain", "model", f"methods.{method}", "pretrain")


def train_method(
    params: Params,
    method: str,
    seed: int,
    inputs: ClipSource,
    directory: Path,
    log: StepLog,
    on_epoch: OnEpoch | None = None,
) -> Result:
    """Train a method on narrated videos in a folder, or go on with what it holds; see `train`."""
    dataset = NarratedClips(inputs.store, inputs.corpus, inputs.words, params.clips.pretrain, seed)
    torch.manual_seed(seed)
    model = method_model(params, method, inputs.dimensions)
    objective = Objective(model, params.method(method))
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
