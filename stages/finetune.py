"""Stage `finetune`: train a method's pretrained models further on each benchmark."""

from typing import get_args

from multisk import console
from multisk.files import file_digest
from multisk.layout import Layout
from multisk.methods.model import TRAINING_CODE
from multisk.params import Benchmark, load_params, sections
from multisk.pipeline.finetune import finetune
from multisk.resumable import code_digest, resumable
from multisk.sampling.source import ClipSource
from multisk.side_by_side import side_by_side


def main(method: str) -> None:
    """Fine-tune every seed of a method into runs/finetune/<method>/<benchmark>/seed-<n>."""
    params, layout = load_params(), Layout()
    params.method(method)
    starts = {seed: layout.pretrained(method, seed) / "model.safetensors" for seed in params.pretrain.seeds}
    inputs = {name: ClipSource.open(layout, params.benchmark(name).corpus) for name in get_args(Benchmark)}
    identity = {
        "datasets": [opened.digest for opened in inputs.values()],
        "weights": [file_digest(weights) for weights in starts.values()],
        "code": code_digest(*TRAINING_CODE, "pipeline/finetune.py"),
        **sections(params, "clips", "model", f"methods.{method}", "finetune"),
    }
    with resumable(layout.finetuned(method), identity) as folder:
        jobs = [
            (params, method, name, seed, weights, opened, folder / name / f"seed-{seed}")
            for name, opened in inputs.items()
            for seed, weights in starts.items()
        ]
        side_by_side(finetune, jobs, params.processes)


if __name__ == "__main__":
    console.run(main)
