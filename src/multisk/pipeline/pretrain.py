"""Pretraining: a method on narrated videos, once per seed."""

from pathlib import Path

from multisk.layout import Layout
from multisk.methods.pretraining import pretraining_settings, train_method
from multisk.params import Params, load_params
from multisk.pipeline.declared import stage_code
from multisk.pipeline.units import complete
from multisk.sampling.source import ClipSource
from multisk.tracking import Run


def main(method: str) -> None:
    """Pretrain a method of params.yaml into runs/pretrain/<method>/seed-<n>."""
    params, layout = load_params(), Layout()
    settings = pretraining_settings(params, method)
    source = ClipSource.open(layout, params.clips.pretrain.corpus)
    code = stage_code("pretrain", params.changed_code)
    seeds = {f"seed-{seed}": seed for seed in params.pretrain.seeds}
    complete(
        layout.pretrained(method),
        {name: {"seed": seed, "dataset": source.digest, **settings} for name, seed in seeds.items()},
        code,
        params,
        pretrain,
        lambda name, folder: (params, method, seeds[name], source, folder, code.digest),
    )


def pretrain(params: Params, method: str, seed: int, source: ClipSource, directory: Path, code: str) -> None:
    """Pretrain a method with one seed, or go on with what the folder holds."""
    run = Run(
        directory,
        params.tracking,
        stage="pretrain",
        method=method,
        seed=seed,
        profile=params.profile,
        params=pretraining_settings(params, method),
        dataset_digest=source.digest,
        code=code,
    )
    with run:
        run.finish(train_method(params, method, seed, source, directory, run).summary)
