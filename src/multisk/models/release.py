"""Checkpoints of the Multi-SK and EAO releases, both ways.

The releases carry parameters that no output depends on; they are kept apart as "leftovers", so that a
checkpoint can be written back complete. Every released key is known here: anything else is refused.
"""

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from multisk.models.eao import EAOModel
from multisk.models.per_modality import PerModalityModel
from multisk.models.release_config import ReleasedModel, model_from_release_config, refuse
from multisk.models.tokens import NAMES

StateDict = dict[str, Tensor]

# No gradient ever reaches these in the release.
UNUSED = re.compile(
    r"(davenet|DAVEnet)\.batchnorm1\..+|fusion\w*\.norm\..+|fusion_(video|audio)\.masking_token"
    r"|(trans_)?cluster_\w+\.(anc_dist|anc_linear\.bias)"
)
# Nothing is read from these in the TV-only release.
UNUSED_WITHOUT_AUDIO = re.compile(r"davenet\..+|audio_(token_proj|norm_layer|proj)\..+|audio_pos_embed")

AVLNET = {
    "audio_gate": "GU_audio",
    "audio_projection": "DAVEnet_projection",
    "video_projection": "GU_video",
    "text_pooling": "text_pooling_caption",
    "text_projection": "GU_text_captions",
}


def from_release(
    state_dict: Mapping[str, Tensor], config: Mapping[str, Any], *, source: str = "checkpoint"
) -> tuple[ReleasedModel, StateDict]:
    """Read a released state dict into our model.

    Args:
        state_dict: tensors by released name, with or without DataParallel's prefix.
        config: `type` (or `cls`) and `args` as in the released config; optionally `davenet` and
            `package`, see `model_from_release_config`.
        source: how error messages call the checkpoint.

    Returns the model, and the released tensors that no output depends on. The model owns copies.
    Raises InputError for keys that are missing, unknown, or of another shape.
    """
    released = {key.removeprefix("module."): tensor for key, tensor in state_dict.items()}
    cls = config.get("cls") or config.get("type", "")
    with torch.device("meta"):
        model = model_from_release_config(
            cls, config.get("args", {}), config.get("davenet"), package=config.get("package")
        )
    _drop_aliases(released, model, source)
    names = released_names(model)
    leftovers = {key: tensor for key, tensor in released.items() if key not in names.values()}
    refuse(source, "lacks", [name for name in names.values() if name not in released])
    refuse(source, "has unknown", [key for key in leftovers if not is_unused(key, model)])

    ours = model.state_dict()
    expected = {key: _released_shape(key, tensor.shape) for key, tensor in ours.items()}
    misfits = [name for key, name in names.items() if released[name].shape != expected[key]]
    refuse(source, "has another shape in", misfits)
    model.to_empty(device="cpu")
    model.load_state_dict({key: released[name].reshape(ours[key].shape) for key, name in names.items()})
    return model, {key: tensor.clone() for key, tensor in leftovers.items()}


def released_names(model: ReleasedModel) -> dict[str, str]:
    """Return the released name of each entry of our model's state dict."""
    return {key: _released_name(key, model) for key in model.state_dict()}


def is_unused(key: str, model: ReleasedModel) -> bool:
    """Say whether the release carries this key although none of its outputs depends on it."""
    without_audio = isinstance(model, EAOModel) and "a" not in model.tokenizer.modalities
    return bool(UNUSED.fullmatch(key) or (without_audio and UNUSED_WITHOUT_AUDIO.fullmatch(key)))


def alias_of(key: str, model: ReleasedModel) -> str | None:
    """Return the second name under which the release saves a tensor: text's transformer is `fusion`."""
    if isinstance(model, PerModalityModel) and key.startswith("fusion."):
        return key.replace("fusion.", "fusion_text.", 1)
    return None


def _drop_aliases(released: StateDict, model: ReleasedModel, source: str) -> None:
    differing = []
    for key in list(released):
        alias = alias_of(key, model)
        if alias in released and not torch.equal(released.pop(alias), released[key]):
            differing.append(alias)
    refuse(source, "has values unlike those of fusion.* in", differing)


def _released_name(key: str, model: ReleasedModel) -> str:
    part, *path = key.split(".")
    match part:
        case "tokenizer":
            path = _tokenizer_path(path)
        case "transformer" if isinstance(model, EAOModel):
            path = ["fusion", *path]
        case "transformer":
            modality, *path = path
            # As released: the first transformer that was made is text's.
            path = ["fusion" if modality == "t" else f"fusion_{NAMES[modality]}", *path]
        case "projection":
            modality, *path = path
            path = ["proj" if modality == "shared" else f"{NAMES[modality]}_proj", *path]
        case "anchors":
            space, modality = path
            prefix = "cluster" if space == "input" else "trans_cluster"
            path = [f"{prefix}_{NAMES[modality]}", "anc_linear", "weight"]
        case "davenet":
            path = ["DAVEnet", *_davenet_path(path)]
        case _:
            path = [AVLNET[part], *path]
    return ".".join(path).replace(".gate.", ".cg.fc.")


def _tokenizer_path(path: list[str]) -> list[str]:
    part, *rest = path
    if part == "masking_token":
        return ["fusion", "masking_token"]
    if part == "davenet":
        return ["davenet", *_davenet_path(rest)]
    modality, *rest = rest
    suffix = {"projection": "token_proj", "norm": "norm_layer", "positions": "pos_embed"}[part]
    return [f"{NAMES[modality]}_{suffix}", *rest]


def _davenet_path(path: list[str]) -> list[str]:
    if path[0] != "stages":
        return path
    _, stage, *rest = path
    return [f"layer{int(stage) + 1}", *("downsample" if name == "shortcut" else name for name in rest)]


def _released_shape(key: str, shape: torch.Size) -> tuple[int, ...]:
    """Return the shape under which the release keeps an entry; the elements have the same order."""
    if "davenet." in key and len(shape) == 3:
        outputs, inputs, kernel = shape
        stem = key.endswith("davenet.conv1.weight")
        return (outputs, 1, inputs, 1) if stem else (outputs, inputs, 1, kernel)
    if key.endswith("cls_token"):
        return (1, 1, *shape)
    return (1, *shape) if ".positions." in key else tuple(shape)
