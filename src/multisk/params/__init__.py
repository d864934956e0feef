"""params.yaml: its schema and its only reader."""

from multisk.params.read import load_params
from multisk.params.schema import Benchmark, Clips, Finetune, Params, sections

__all__ = ["Benchmark", "Clips", "Finetune", "Params", "load_params", "sections"]
