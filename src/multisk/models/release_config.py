"""Architecture configs of the Multi-SK and EAO releases -> our models."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, get_args

from multisk.errors import InputError
from multisk.models.avlnet import AVLnetModel
from multisk.models.blocks import ProjectionKind, TransformerSettings
from multisk.models.davenet import BANDS, ResDavenet
from multisk.models.eao import EAOModel
from multisk.models.per_modality import PerModalityModel
from multisk.models.tokens import TimePooling, Tokenizer

ReleasedModel = PerModalityModel | EAOModel | AVLnetModel

PER_MODALITY = ("TransformerPerModalityModel", "TransformerPerModalityModel2")
FUSED = ("EverythingAtOnceModel", "EverythingAtOnceModel_TV_Only")
AVLNET = ("AVLnetBaselineModel",)

# What the architecture depends on, and what the release keeps among it: weights of losses, rates of dropout.
ARGUMENTS = re.compile(
    r"(video|text)_embed_dim|projection_dim|(token_)?projection|individual_projections|cross_modal|davenet_v2"
    r"|fusion_params|use_positional_emb|(video|text)_max_tokens|audio_max_num_STFT_frames"
    r"|strategy_audio_pooling|anchor_raw_feat_sim"
)
FUSION_ARGUMENTS = re.compile(
    r"embed_dim|depth|num_heads|mlp_ratio|qkv_bias|use_cls_token|anc_len_(txt|vid|aud)|c_loss_[1-6]_[1-3]"
    r"|(attn_)?drop_rate|drop_path_rate"
)
AVLNET_ARGUMENTS = re.compile(r"embd_dim|video_dim|we_dim")

FLAG = (True, False)
VALUES: dict[str, tuple[Any, ...]] = {
    "projection": get_args(ProjectionKind),
    "token_projection": get_args(ProjectionKind),
    "strategy_audio_pooling": get_args(TimePooling),
    **dict.fromkeys(("individual_projections", "cross_modal", "davenet_v2", "use_positional_emb"), FLAG),
    "anchor_raw_feat_sim": FLAG,
}
FUSION_VALUES: dict[str, tuple[Any, ...]] = {"qkv_bias": FLAG, "use_cls_token": FLAG}
PACKAGES = (None, "msk", "eao")


def model_from_release_config(
    cls: str,
    args: Mapping[str, Any],
    davenet: Mapping[str, Any] | None = None,
    *,
    package: str | None = None,
) -> ReleasedModel:
    """Build the model that a released architecture config describes.

    Args:
        cls: name of the released class.
        args: its arguments; what is absent has the release's default. Rates of dropout are left out: the
            model is for evaluation.
        davenet: `layers`, `layer_widths`, `convsize`, `feat_dim` of the audio network; None: as published.
        package: "msk" or "eao", whose means differ; None: the one that published the class.

    Raises InputError for a class, an argument or a value that is not known, since to ignore it would give a
    model other than the one described.
    """
    refuse_other_values("arch", {"package": package}, {"package": PACKAGES})
    if cls in AVLNET:
        return _avlnet(args, davenet)
    if cls not in PER_MODALITY + FUSED:
        known = ", ".join(PER_MODALITY + FUSED + AVLNET)
        raise InputError(f"arch.type: {cls or 'missing'}: not a known model; known: {known}")
    fusion = args.get("fusion_params", {})
    refuse_unknown("arch.args", args, ARGUMENTS)
    refuse_unknown("arch.args.fusion_params", fusion, FUSION_ARGUMENTS)
    refuse_other_values("arch.args", args, VALUES | _fixed(cls))
    refuse_other_values("arch.args.fusion_params", fusion, FUSION_VALUES)
    audio = None if cls.endswith("_TV_Only") else _davenet(davenet, args.get("davenet_v2", True))
    tokenizer = _tokenizer(args, fusion, audio)
    package = package or ("msk" if cls == "TransformerPerModalityModel2" else "eao")
    shared = (tokenizer, args.get("projection_dim", 6144), _transformer(fusion))
    kind = args.get("projection", "gated")
    mean_epsilon = 1e-5 if package == "msk" else 0.0
    if cls in FUSED:
        return EAOModel(
            *shared,
            projection_kind=kind,
            individual_projections=args.get("individual_projections", True),
            fused=args.get("cross_modal", True),
            mean_epsilon=mean_epsilon,
        )
    return PerModalityModel(
        *shared,
        projection_kind=kind,
        mean_epsilon=mean_epsilon,
        anchors=_anchors(fusion) if cls == "TransformerPerModalityModel2" else None,
        input_space="raw" if args.get("anchor_raw_feat_sim", False) else "tokens",
    )


def refuse(source: str, problem: str, keys: Sequence[str]) -> None:
    """Raise InputError if there are keys: one line with the first of them."""
    if keys:
        more = f" (and {len(keys) - 1} more)" if len(keys) > 1 else ""
        raise InputError(f"{source}: {problem} {keys[0]}{more}; give the config that it was trained with")


def refuse_unknown(section: str, args: Mapping[str, Any], known: re.Pattern[str]) -> None:
    """Raise InputError if a section has a key that is not known."""
    refuse(section, "unknown key", [key for key in args if not known.fullmatch(key)])


def refuse_other_values(
    section: str, args: Mapping[str, Any], supported: Mapping[str, tuple[Any, ...]]
) -> None:
    """Raise InputError for the first argument whose value is none of those that are supported."""
    for key, values in supported.items():
        if key in args and args[key] not in values:
            known = ", ".join(str(value) for value in values)
            raise InputError(f"{section}.{key}: {args[key]!r} is not supported; supported: {known}")


def _fixed(cls: str) -> dict[str, tuple[Any, ...]]:
    """Return the arguments in which a class has no choice here, with the value that it has."""
    fixed: dict[str, tuple[Any, ...]] = {}
    if cls in PER_MODALITY:
        fixed["individual_projections"] = (True,)
    if cls != "TransformerPerModalityModel2":
        fixed["anchor_raw_feat_sim"] = (False,)
    return fixed


def _transformer(fusion: Mapping[str, Any]) -> TransformerSettings:
    return TransformerSettings(
        depth=fusion.get("depth", 1),
        heads=fusion.get("num_heads", 64),
        mlp_ratio=fusion.get("mlp_ratio", 1),
        qkv_bias=fusion.get("qkv_bias", True),
        cls_token=fusion.get("use_cls_token", False),
    )


def _anchors(fusion: Mapping[str, Any]) -> dict[str, int]:
    names = {"t": "txt", "v": "vid", "a": "aud"}
    return {m: fusion.get(f"anc_len_{name}", 64) for m, name in names.items()}


def _davenet(sizes: Mapping[str, Any] | None, six_stages: bool) -> ResDavenet:
    if sizes is not None:
        kernel, bands = sizes.get("convsize", 9), sizes.get("feat_dim", BANDS)
        return ResDavenet(sizes["layers"], sizes["layer_widths"], kernel, bands)
    if six_stages:
        return ResDavenet((2, 2, 1, 1, 1, 1), (128, 128, 256, 512, 1024, 2048, 4096))
    return ResDavenet((2, 2, 2, 2), (128, 128, 256, 512, 1024))


def _tokenizer(args: Mapping[str, Any], fusion: Mapping[str, Any], davenet: ResDavenet | None) -> Tokenizer:
    return Tokenizer(
        args.get("text_embed_dim", 300),
        args.get("video_embed_dim", 4096),
        fusion.get("embed_dim", 4096),
        davenet,
        projection_kind=args.get("token_projection", "gated"),
        positions=_positions(args, davenet) if args.get("use_positional_emb", False) else None,
        audio_pooling=args.get("strategy_audio_pooling", "none"),
    )


def _positions(args: Mapping[str, Any], davenet: ResDavenet | None) -> dict[str, int]:
    keys = ["text_max_tokens", "video_max_tokens"] + ["audio_max_num_STFT_frames"] * (davenet is not None)
    refuse("arch.args", "use_positional_emb needs", [key for key in keys if key not in args])
    positions = {"t": args[keys[0]], "v": args[keys[1]]}
    return positions if davenet is None else positions | {"a": args[keys[2]] // davenet.stride}


def _avlnet(args: Mapping[str, Any], davenet: Mapping[str, Any] | None) -> AVLnetModel:
    refuse_unknown("arch.args", args, AVLNET_ARGUMENTS)
    return AVLnetModel(
        args.get("we_dim", 300),
        args.get("video_dim", 4096),
        args.get("embd_dim", 4096),
        _davenet(davenet, six_stages=False),
    )
