"""Weights of a model in a safetensors file."""

from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from multisk.errors import InputError


def load_weights(model: nn.Module, path: Path) -> None:
    """Fill a model with the weights of a file, which must hold all of them and nothing else.

    Raises InputError for a file that is missing, damaged or of another model.
    """
    try:
        weights = load_file(path)
    except FileNotFoundError:
        raise InputError(f"{path}: no such weights; run the stage that trains them (dvc repro)") from None
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path}: damaged weights ({' '.join(str(error).split())}); train again") from None
    expected = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    found = {name: tuple(tensor.shape) for name, tensor in weights.items()}
    if expected != found:
        name = min(key for key in expected | found if expected.get(key) != found.get(key))
        raise InputError(
            f"{path}: weights of another model: {name} is {found.get(name, 'missing')}, expected "
            f"{expected.get(name, 'nothing')}; check the sections model and methods of params.yaml"
        )
    model.load_state_dict(weights)
