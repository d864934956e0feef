"""Stage `pretrain`: train a method on narrated videos, once per seed."""

from multisk import console
from multisk.layout import Layout
from multisk.methods.model import TRAINING_CODE
from multisk.methods.pretraining import pretraining_settings
from multisk.params import load_params
from multisk.pipeline.pretrain import pretrain
from multisk.resumable import code_digest, resumable
from multisk.sampling.source import ClipSource
from multisk.side_by_side import side_by_side


def main(method: str) -> None:
    """Pretrain a method of params.yaml into runs/pretrain/<method>/seed-<n>."""
    params, layout = load_params(), Layout()
    settings = pretraining_settings(params, method)
    inputs = ClipSource.open(layout, params.clips.pretrain.corpus)
    identity = {"dataset": inputs.digest, "code": code_digest(*TRAINING_CODE), **settings}
    with resumable(layout.pretrained(method), identity) as folder:
        seeds = params.pretrain.seeds
        jobs = [(params, method, seed, inputs, folder / f"seed-{seed}") for seed in seeds]
        side_by_side(pretrain, jobs, params.processes)


if __name__ == "__main__":
    console.run(main)
