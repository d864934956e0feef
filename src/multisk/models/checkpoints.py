"""Published checkpoints of Multi-SK, EAO and AVLnet: from their .pth files to safetensors.

<name>-<8 digits>.safetensors    weights under our names; the digits begin the file's own sha256
<name>-<8 digits>.json           metafile: architecture, source, checksums, what was left over
"""

import json
import logging
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors.torch import save_file
from torch import Tensor

from multisk.errors import InputError, one_line
from multisk.files import file_digest, read_json, write_json
from multisk.models.release import StateDict, from_release
from multisk.models.release_config import ReleasedModel, model_from_release_config
from multisk.models.weights import load_weights
from multisk.published.pth import read_plain

log = logging.getLogger(__name__)

Package = Literal["msk", "eao"]

DAVENET_BLOCK = re.compile(r"davenet\.layer(\d+)\.(\d+)\.conv1\.weight", re.IGNORECASE)
DAVENET_STEM = re.compile(r"davenet\.conv1\.weight", re.IGNORECASE)


def import_checkpoint(
    path: Path, out: Path, *, config: Path | None = None, package: Package | None = None
) -> Path:
    """Convert a released checkpoint and return the path of the weights.

    Args:
        path: a .pth file of Multi-SK, EAO or AVLnet: a dict with `state_dict`, or a state dict alone (as
            some EMA files are); names may have DataParallel's prefix.
        out: folder to write to; importing again gives the same files.
        config: JSON or YAML file with the section `arch` (`type`, `args`), for checkpoints that lack it.
        package: whose code trained it, where both have the class but compute means differently (see
            `model_from_release_config`).

    Every tensor is accounted for: it becomes a weight, or is one of those that no output of the release
    depends on, which the metafile lists as leftovers. Raises InputError for files that are damaged, hold
    foreign objects, or do not fit their architecture.
    """
    content = read_plain(path)
    weights = _state_dict(content, path)
    architecture = _architecture(content, config, path)
    davenet = architecture.get("davenet") or davenet_sizes(weights)
    architecture |= {"davenet": davenet, "package": package or architecture.get("package")}
    model, leftovers = _match(weights, architecture, path)
    _refuse_not_finite(model.state_dict(), path)
    written, checksum = _save(model.state_dict(), out, path.stem)
    metafile = {
        "architecture": architecture,
        "source": {"file": path.name, "sha256": file_digest(path), "epoch": _epoch(content)},
        "sha256": checksum,
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "leftovers": {name: list(tensor.shape) for name, tensor in leftovers.items()},
    }
    write_json(written.with_suffix(".json"), metafile)
    log.info("%s: %d weights, %d leftovers", path, len(model.state_dict()), len(leftovers))
    return written


def load_imported(path: Path) -> ReleasedModel:
    """Return the model that `import_checkpoint` wrote, in evaluation mode.

    `path` is the .safetensors file or its metafile. Raises InputError when either is missing or damaged.
    """
    weights, metafile = path.with_suffix(".safetensors"), path.with_suffix(".json")
    written = read_json(metafile)
    try:
        architecture, checksum = written["architecture"], written["sha256"]
    except (KeyError, TypeError):
        raise InputError(f"{metafile}: no metafile of an imported checkpoint; import it again") from None
    if checksum != file_digest(weights):
        raise InputError(f"{weights}: differs from the checksum in {metafile.name}; import it again")
    with torch.device("meta"):
        model = model_from_release_config(
            architecture["type"],
            architecture["args"],
            architecture["davenet"],
            package=architecture["package"],
        )
    model.to_empty(device="cpu")
    load_weights(model, weights)
    return model.eval()


def davenet_sizes(weights: Mapping[str, Tensor]) -> dict[str, Any] | None:
    """Read the sizes of the audio network off released weights; None where there is none.

    The released configs do not say them: they say which of two versions was built.
    """
    stem = [x.shape for key, x in weights.items() if DAVENET_STEM.fullmatch(key)]
    blocks = {}
    for key, tensor in weights.items():
        if match := DAVENET_BLOCK.fullmatch(key):
            blocks[int(match[1]), int(match[2])] = tensor.shape
    stages = sorted({stage for stage, _ in blocks})
    if not stem or not stages or any(len(shape) != 4 for shape in (*stem, *blocks.values())):
        return None
    first = [blocks.get((stage, 0), stem[0]) for stage in stages]
    return {
        "layers": [sum(stage == other for other, _ in blocks) for stage in stages],
        "layer_widths": [stem[0][0], *(shape[0] for shape in first)],
        "convsize": first[0][3],
        "feat_dim": stem[0][2],
    }


def _state_dict(content: Any, path: Path) -> StateDict:
    """Return the tensors by name, without DataParallel's prefix."""
    found = content.get("state_dict", content) if isinstance(content, Mapping) else None
    if not isinstance(found, Mapping) or not found:
        raise InputError(f"{path}: state_dict: missing; this is no checkpoint of Multi-SK, EAO or AVLnet")
    for name, tensor in found.items():
        if not isinstance(name, str) or not isinstance(tensor, Tensor):
            raise InputError(
                f"{path}: state_dict: {name!r} is {type(tensor).__name__}, expected a tensor; this is no "
                "checkpoint of Multi-SK, EAO or AVLnet"
            )
    weights = {name.removeprefix("module."): tensor for name, tensor in found.items()}
    if len(weights) < len(found):
        raise InputError(f"{path}: state_dict: has names both with and without module.; remove one kind")
    return weights


def _architecture(content: Any, config: Path | None, path: Path) -> dict[str, Any]:
    """Return `type` and `args`, and the sizes of the audio network where they are given."""
    for place in (_read_config(config),) if config else (content, content.get("config")):
        section = place.get("arch", place) if isinstance(place, Mapping) else None
        if isinstance(section, Mapping) and isinstance(section.get("type"), str):
            architecture = {"type": section["type"], "args": section.get("args", {})}
            architecture |= {key: section[key] for key in ("davenet", "package") if key in section}
            try:
                return json.loads(json.dumps(architecture))
            except (TypeError, ValueError) as error:
                raise InputError(f"{config or path}: arch: not plain data ({error})") from None
    raise InputError(
        f"{config or path}: arch: missing; give the release's JSON or YAML that has it (--config FILE)"
    )


def _read_config(path: Path) -> Any:
    """Read a settings file, JSON or YAML, as plain data; raise InputError when it cannot be."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        text = path.read_text(encoding="utf-8")
        # Indented with tabs, JSON is no YAML.
        return json.loads(text) if text.lstrip().startswith("{") else YAML(typ="safe", pure=True).load(text)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; check the path") from None
    except (OSError, ValueError, RecursionError, YAMLError) as error:
        reason = one_line(error)[:200]
        raise InputError(f"{path}: cannot be read as JSON or YAML ({reason}); check the file") from None


def _match(
    weights: StateDict, architecture: Mapping[str, Any], path: Path
) -> tuple[ReleasedModel, StateDict]:
    try:
        return from_release(weights, architecture, source=str(path))
    except InputError as error:
        raise InputError(f"{path}: {str(error).removeprefix(f'{path}: ')}") from None
    except (TypeError, ValueError, KeyError, AttributeError, IndexError, RuntimeError) as error:
        reason = one_line(error)[:120]
        raise InputError(f"{path}: arch: describes no model ({reason}); give its own config") from None


def _refuse_not_finite(weights: Mapping[str, Tensor], path: Path) -> None:
    for name, tensor in weights.items():
        if not torch.isfinite(tensor).all():
            raise InputError(f"{path}: {name}: holds values that are not finite; fetch it again")


def _save(weights: Mapping[str, Tensor], out: Path, name: str) -> tuple[Path, str]:
    """Write the weights; return their path, named after their checksum, and the checksum."""
    out.mkdir(parents=True, exist_ok=True)
    partial = out / f"{name}.safetensors.tmp"
    save_file({key: tensor.contiguous() for key, tensor in weights.items()}, partial)
    checksum = file_digest(partial)
    return partial.replace(out / f"{name}-{checksum[:8]}.safetensors"), checksum


def _epoch(content: Mapping[str, Any]) -> int | None:
    epoch = content.get("epoch")
    return epoch if isinstance(epoch, int) else None
