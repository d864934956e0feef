"""params.yaml: its schema, its only reader, and the profiles that it is composed from."""

from multisk.params.profiles import load_profile
from multisk.params.read import load_params
from multisk.params.schema import Clips, Finetune, Params, sections

__all__ = ["Clips", "Finetune", "Params", "load_params", "load_profile", "sections"]
