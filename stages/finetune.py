"""Stage `finetune`: train a method's pretrained models further on each benchmark."""

from typing import get_args

from multisk import console
from multisk.layout import Layout
from multisk.params import Benchmark, load_params
from multisk.pipeline.finetune import finetune
from multisk.pipeline.inputs import Inputs, sections
from multisk.resumable import file_digest, resumable


def main(method: str) -> None:
    """Fine-tune every seed of a method into runs/finetune/<method>/<benchmark>/seed-<n>."""
    params, layout = load_params(), Layout()
    params.method(method)
    starts = {seed: layout.pretrained(method, seed) / "model.safetensors" for seed in params.pretrain.seeds}
    inputs = {name: Inputs.open(layout, params.benchmark(name).corpus) for name in get_args(Benchmark)}
    identity = {
        "datasets": [opened.digest for opened in inputs.values()],
        "weights": [file_digest(weights) for weights in starts.values()],
        **sections(params, "clips", "finetune"),
    }
    with resumable(layout.finetuned(method), identity) as folder:
        for name, opened in inputs.items():
            for seed, weights in starts.items():
                finetune(params, method, name, seed, weights, opened, folder / name / f"seed-{seed}")


if __name__ == "__main__":
    console.run(main)
