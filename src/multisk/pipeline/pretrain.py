"""Pretraining: a method on narrated videos."""

from pathlib import Path

from multisk.methods.pretraining import pretraining_settings, train_method
from multisk.params import Params
from multisk.sampling.source import ClipSource
from multisk.tracking import Run


def pretrain(params: Params, method: str, seed: int, inputs: ClipSource, directory: Path) -> None:
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
