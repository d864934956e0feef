"""Checkpoints of the Multi-SK and EAO releases, both ways.

The releases carry parameters that no output depends on; they are kept apart as "leftovers", so that a
checkpoint can be written back complete. Every released key is known here: anything else is refused.
"""

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from multisk.errors import InputError
from multisk.models.blocks import TransformerSettings
from multisk.models.davenet import BANDS, ResDavenet
from multisk.models.eao import EAOModel
from multisk.models.per_modality import PerModalityModel
from multisk.models.tokens import NAMES, Tokenizer

Model = PerModalityModel | EAOModel
StateDict = dict[str, Tensor]

PER_MODALITY = ("TransformerPerModalityModel", "TransformerPerModalityModel2")
FUSED = ("EverythingAtOnceModel", "EverythingAtOnceModel_TV_Only")

ARGUMENTS = re.compile(
    r"(video|text)_embed_dim|projection_dim|(token_)?projection|individual_projections|cross_modal|davenet_v2"
    r"|fusion_params|use_positional_emb|(video|text)_max_tokens|audio_max_num_STFT_frames"
    r"|strategy_audio_pooling|anchor_raw_feat_sim"
)
FUSION_ARGUMENTS = re.compile(
    r"embed_dim|depth|num_heads|mlp_ratio|qkv_bias|use_cls_token|anc_len_(txt|vid|aud)|c_loss_[1-6]_[1-3]"
)
# No gradient ever reaches these in the release.
UNUSED = re.compile(
    r"davenet\.batchnorm1\..+|fusion\w*\.norm\..+|fusion_(video|audio)\.masking_token"
    r"|(trans_)?cluster_\w+\.(anc_dist|anc_linear\.bias)"
)
UNUSED_WITHOUT_AUDIO = re.compile(r"davenet\..+|audio_(token_proj|norm_layer|proj)\..+|audio_pos_embed")


def from_release(
    state_dict: Mapping[str, Tensor], config: Mapping[str, Any], *, source: str = "checkpoint"
) -> tuple[Model, StateDict]:
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
    _refuse(source, "lacks", [name for name in names.values() if name not in released])
    _refuse(source, "has unknown", [key for key in leftovers if not is_unused(key, model)])

    ours = model.state_dict()
    expected = {key: _released_shape(key, tensor.shape) for key, tensor in ours.items()}
    misfits = [name for key, name in names.items() if released[name].shape != expected[key]]
    _refuse(source, "has another shape in", misfits)
    model.to_empty(device="cpu")
    model.load_state_dict({key: released[name].reshape(ours[key].shape) for key, name in names.items()})
    return model, {key: tensor.clone() for key, tensor in leftovers.items()}


def to_release(model: Model, leftovers: Mapping[str, Tensor]) -> StateDict:
    """Return the state dict that the release would have saved: all names, leftovers and aliases.

    The tensors share memory with the model's.
    """
    names = released_names(model)
    released = {
        names[key]: tensor.reshape(_released_shape(key, tensor.shape))
        for key, tensor in model.state_dict().items()
    }
    released |= leftovers
    aliases = {alias: released[key] for key in released if (alias := alias_of(key, model))}
    return released | aliases


def released_names(model: Model) -> dict[str, str]:
    """Return the released name of each entry of our model's state dict."""
    return {key: _released_name(key, isinstance(model, EAOModel)) for key in model.state_dict()}


def is_unused(key: str, model: Model) -> bool:
    """Say whether the release carries this key although none of its outputs depends on it."""
    without_audio = "a" not in model.tokenizer.modalities
    return bool(UNUSED.fullmatch(key) or (without_audio and UNUSED_WITHOUT_AUDIO.fullmatch(key)))


def alias_of(key: str, model: Model) -> str | None:
    """Return the second name under which the release saves a tensor: text's transformer is `fusion`."""
    if isinstance(model, EAOModel) or not key.startswith("fusion."):
        return None
    return key.replace("fusion.", "fusion_text.", 1)


def _drop_aliases(released: StateDict, model: Model, source: str) -> None:
    differing = []
    for key in list(released):
        alias = alias_of(key, model)
        if alias in released and not torch.equal(released.pop(alias), released[key]):
            differing.append(alias)
    _refuse(source, "has values unlike those of fusion.* in", differing)


def _released_name(key: str, fused: bool) -> str:
    part, *path = key.split(".")
    if part == "tokenizer":
        return _released_tokenizer_name(path)
    if part == "transformer":
        modality = None if fused else path.pop(0)
        # As released: the first transformer that was made is text's.
        prefix = "fusion" if modality in (None, "t") else f"fusion_{NAMES[modality]}"
        return ".".join([prefix, *path])
    if part == "projection":
        modality, *rest = path
        return _gate(["proj" if modality == "shared" else f"{NAMES[modality]}_proj", *rest])
    assert part == "anchors", key
    space, modality = path
    return f"{'cluster' if space == 'input' else 'trans_cluster'}_{NAMES[modality]}.anc_linear.weight"


def _released_tokenizer_name(path: list[str]) -> str:
    part, *rest = path
    if part == "masking_token":
        return "fusion.masking_token"
    if part == "davenet":
        if rest[0] == "stages":
            rest = [f"layer{int(rest[1]) + 1}", *rest[2:]]
        return ".".join(["davenet", *rest]).replace(".shortcut.", ".downsample.")
    modality, *rest = rest
    suffix = {"projection": "token_proj", "norm": "norm_layer", "positions": "pos_embed"}[part]
    return _gate([f"{NAMES[modality]}_{suffix}", *rest])


def _gate(path: list[str]) -> str:
    return ".".join(path).replace(".gate.", ".cg.fc.")


def _released_shape(key: str, shape: torch.Size) -> tuple[int, ...]:
    """Return the shape under which the release keeps an entry; the elements have the same order."""
    if ".davenet." in key and len(shape) == 3:
        outputs, inputs, kernel = shape
        stem = key.endswith("davenet.conv1.weight")
        return (outputs, 1, inputs, 1) if stem else (outputs, inputs, 1, kernel)
    if key.endswith("cls_token"):
        return (1, 1, *shape)
    return (1, *shape) if ".positions." in key else tuple(shape)


def _refuse(source: str, problem: str, keys: list[str]) -> None:
    if keys:
        more = f" (and {len(keys) - 1} more)" if len(keys) > 1 else ""
        raise InputError(f"{source}: {problem} {keys[0]}{more}; give the config that it was trained with")


def model_from_release_config(
    cls: str,
    args: Mapping[str, Any],
    davenet: Mapping[str, Any] | None = None,
    *,
    package: str | None = None,
) -> Model:
    """Build the model that a released architecture config describes.

    Args:
        cls: released class, one of PER_MODALITY and FUSED.
        args: its arguments; what is absent has the release's default.
        davenet: `layers`, `layer_widths`, `convsize`, `feat_dim` of the audio network; None: as published.
        package: "msk" or "eao", which differ in means; None: the one that published the class.

    Raises InputError for a class or an argument that is not known.
    """
    if cls not in PER_MODALITY + FUSED:
        raise InputError(f"arch.type: {cls}: not a known model; known: {', '.join(PER_MODALITY + FUSED)}")
    fusion = args.get("fusion_params", {})
    unknown = [key for key in args if not ARGUMENTS.fullmatch(key)]
    unknown += [f"fusion_params.{key}" for key in fusion if not FUSION_ARGUMENTS.fullmatch(key)]
    _refuse("arch.args", "has unknown", unknown)

    package = package or ("msk" if cls == "TransformerPerModalityModel2" else "eao")
    tokenizer = _tokenizer(args, fusion, None if cls.endswith("_TV_Only") else _davenet(args, davenet))
    transformer = TransformerSettings(
        depth=fusion.get("depth", 1),
        heads=fusion.get("num_heads", 64),
        mlp_ratio=fusion.get("mlp_ratio", 1),
        qkv_bias=fusion.get("qkv_bias", True),
        cls_token=fusion.get("use_cls_token", False),
    )
    joint_dimension = args.get("projection_dim", 6144)
    kind = args.get("projection", "gated")
    mean_epsilon = 1e-5 if package == "msk" else 0.0
    if cls in FUSED:
        return EAOModel(
            tokenizer,
            joint_dimension,
            transformer,
            projection_kind=kind,
            individual_projections=args.get("individual_projections", True),
            fused=args.get("cross_modal", True),
            mean_epsilon=mean_epsilon,
        )
    return PerModalityModel(
        tokenizer,
        joint_dimension,
        transformer,
        projection_kind=kind,
        mean_epsilon=mean_epsilon,
        anchors=_anchors(fusion) if cls == "TransformerPerModalityModel2" else None,
        input_space="raw" if args.get("anchor_raw_feat_sim", False) else "tokens",
    )


def _anchors(fusion: Mapping[str, Any]) -> dict[str, int]:
    names = {"t": "txt", "v": "vid", "a": "aud"}
    return {m: fusion.get(f"anc_len_{name}", 64) for m, name in names.items()}


def _davenet(args: Mapping[str, Any], davenet: Mapping[str, Any] | None) -> ResDavenet:
    if davenet is None and args.get("davenet_v2", True):
        return ResDavenet((2, 2, 1, 1, 1, 1), (128, 128, 256, 512, 1024, 2048, 4096))
    if davenet is None:
        return ResDavenet((2, 2, 2, 2), (128, 128, 256, 512, 1024))
    kernel, bands = davenet.get("convsize", 9), davenet.get("feat_dim", BANDS)
    return ResDavenet(davenet["layers"], davenet["layer_widths"], kernel, bands)


def _tokenizer(args: Mapping[str, Any], fusion: Mapping[str, Any], davenet: ResDavenet | None) -> Tokenizer:
    positions = None
    if args.get("use_positional_emb", False):
        keys = {"t": "text_max_tokens", "v": "video_max_tokens"}
        if davenet is not None:
            keys["a"] = "audio_max_num_STFT_frames"
        _refuse(
            "arch.args", "with use_positional_emb lacks", [key for key in keys.values() if key not in args]
        )
        positions = {
            m: args[key] // (davenet.stride if m == "a" and davenet else 1) for m, key in keys.items()
        }
    return Tokenizer(
        args.get("text_embed_dim", 300),
        args.get("video_embed_dim", 4096),
        fusion.get("embed_dim", 4096),
        davenet,
        projection_kind=args.get("token_projection", "gated"),
        positions=positions,
        audio_pooling=args.get("strategy_audio_pooling", "none"),
    )
