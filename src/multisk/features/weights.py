"""Published weights of a feature network, taken only if they fit it to the last key."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from multisk.errors import InputError, one_line
from multisk.files import file_digest


def load_weights(
    network: nn.Module,
    path: Path,
    section: str,
    *,
    sha256: str | None = None,
    classifier: Sequence[str] = ("fc",),
) -> str:
    """Load a checkpoint (.safetensors, or a state dict of tensors, nothing else) and return its sha256.

    `module.` before names (DataParallel) and the classifier are left out, and the counters of batch
    normalisations may be missing, as in checkpoints of their time.

    Raises InputError, with what was expected and what was found, for a file with another checksum than
    `sha256`, and for one of which any key is missing, unknown, or has another shape.
    """
    key = f"params.yaml: features.{section}"
    if not path.is_file():
        raise InputError(f"{key}.weights: {path}: no such file; check the path")
    found = file_digest(path)
    if sha256 is not None and found != sha256:
        raise InputError(f"{key}.sha256: {path}: expected {sha256}, found {found}; fetch the file again")
    outputs = tuple(f"{module}." for module in classifier)
    state = {name: tensor for name, tensor in _read(path, key).items() if not name.startswith(outputs)}
    wanted = {name: tensor for name, tensor in network.state_dict().items() if not name.startswith(outputs)}
    problems = _differences(wanted, state)
    if problems:
        good = sum(name in state and state[name].shape == tensor.shape for name, tensor in wanted.items())
        raise InputError(
            f"{key}.weights: {path} (sha256 {found}) is of another network: {good} of {len(wanted)} keys "
            f"fit; {'; '.join(problems)}"
        )
    network.load_state_dict(state, strict=False)
    return found


def _read(path: Path, key: str) -> dict[str, Tensor]:
    from multisk.published.pth import read_plain

    try:
        content = load_file(path) if path.suffix == ".safetensors" else read_plain(path)
    except SafetensorError as error:
        raise InputError(f"{key}.weights: {path}: {one_line(error)}; fetch the file again") from None
    except InputError as error:
        raise InputError(f"{key}.weights: {error}") from None
    for wrapper in ("state_dict", "model"):
        if isinstance(content, dict) and isinstance(content.get(wrapper), dict):
            content = content[wrapper]
    if not isinstance(content, dict) or not all(isinstance(value, Tensor) for value in content.values()):
        raise InputError(f"{key}.weights: {path}: holds no state dict; name a checkpoint of the network")
    return {str(name).removeprefix("module."): tensor for name, tensor in content.items()}


def _differences(wanted: dict[str, Any], state: dict[str, Any]) -> list[str]:
    """Count the keys that are missing, unexpected or of another shape, and name the first of each."""
    counters = {name for name in wanted if name.endswith("num_batches_tracked")}
    missing = [name for name in wanted if name not in state and name not in counters]
    unexpected = [name for name in state if name not in wanted]
    shapes = [
        f"{name} (expected {[*wanted[name].shape]}, found {[*tensor.shape]})"
        for name, tensor in state.items()
        if name in wanted and tensor.shape != wanted[name].shape
    ]
    kinds = {"missing": missing, "unexpected": unexpected, "of another shape": shapes}
    return [f"{len(names)} {kind}, first {names[0]}" for kind, names in kinds.items() if names]
