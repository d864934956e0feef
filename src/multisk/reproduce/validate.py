"""A trial's validation again: a script of its own, so that it runs with the sources of the trial's commit."""

import torch

from multisk import console
from multisk.benchmarks.clips import open_benchmarks
from multisk.files import read_json, write_json
from multisk.layout import Layout
from multisk.methods.model import method_model
from multisk.models.weights import load_weights
from multisk.params import load_params
from multisk.sweep.validation import Validation

# Not from `layout`: it runs with the sources of commits whose `layout` may not have them.
FILES = {"raw": "model.safetensors", "ema": "ema.safetensors"}


def main(method: str, seed: int) -> None:
    """Validate what the pretraining in this folder came to, and add that to its metrics.json."""
    params, layout = load_params(), Layout()
    benchmarks = open_benchmarks(layout, params.benchmarks)
    folder = layout.pretrained(method, seed)
    model = method_model(params, method, next(iter(benchmarks.values())).dimensions)
    load_weights(model, folder / FILES[params.evaluate.weights])
    model.to("cuda" if torch.cuda.is_available() else "cpu")
    found = Validation(params, benchmarks)(model)
    write_json(folder / "metrics.json", {**read_json(folder / "metrics.json"), "validation": found})


if __name__ == "__main__":
    console.run(main)
