"""Models from settings."""

from collections.abc import Mapping
from typing import Literal

from multisk.errors import InputError
from multisk.models.avlnet import AVLnetModel
from multisk.models.blocks import TransformerSettings
from multisk.models.davenet import ResDavenet
from multisk.models.eao import EAOModel
from multisk.models.per_modality import PerModalityModel
from multisk.models.tokens import Tokenizer
from multisk.settings.models import AnchorSettings, Architecture, Davenet, Model

AS_PUBLISHED = Architecture()


def build_model(
    kind: Literal["per_modality", "eao", "avlnet"],
    model: Model,
    *,
    text_dimension: int,
    video_dimension: int,
    anchors: AnchorSettings | int | None,
    architecture: Architecture = AS_PUBLISHED,
    positions: Mapping[str, int] | None = None,
) -> PerModalityModel | EAOModel | AVLnetModel:
    """Build the model of a method.

    Args:
        kind: `methods.<name>.model` of params.yaml.
        model: section `model` of params.yaml.
        text_dimension: width of the word vectors.
        video_dimension: width of the video features (appearance and motion together).
        anchors: the method's `sspc.anchors`, or just their number, for a method with SSPC.
        architecture: `methods.<name>.architecture`.
        positions: number of tokens of a pretraining clip by modality (`position_counts`); looked at only
            where the architecture learns positions.

    Raises InputError for anchors on a model that cannot have them, and for heads that do not divide the
    width.
    """
    if anchors is not None and kind != "per_modality":
        raise InputError(
            f"methods: sspc needs model: per_modality; {kind} has no anchors, leave its sspc out"
        )
    davenet = _davenet(model.davenet) if "a" in architecture.modalities else None
    if kind == "avlnet":
        return AVLnetModel(
            text_dimension, video_dimension, model.joint_dimension, davenet, audio_nonempty_from_video=False
        )
    tokenizer = _tokenizer(model, architecture, davenet, text_dimension, video_dimension, positions)
    depth = model.depth if architecture.depth is None else architecture.depth
    transformer = TransformerSettings(depth, model.heads, model.mlp_ratio, cls_token=architecture.cls_token)
    if kind == "per_modality":
        chosen = AnchorSettings(count=anchors) if isinstance(anchors, int) else anchors
        return PerModalityModel(
            tokenizer,
            model.joint_dimension,
            transformer,
            anchors=chosen.count if chosen else None,
            learned_anchors=chosen.learned if chosen else True,
        )
    return EAOModel(
        tokenizer,
        model.joint_dimension,
        transformer,
        individual_projections=not architecture.shared_projection,
        fused=architecture.fused,
    )


def _davenet(sizes: Davenet) -> ResDavenet:
    return ResDavenet(sizes.layers, sizes.widths, sizes.kernel)


def _tokenizer(
    model: Model,
    architecture: Architecture,
    davenet: ResDavenet | None,
    text_dimension: int,
    video_dimension: int,
    positions: Mapping[str, int] | None,
) -> Tokenizer:
    dimension = round(model.dimension * architecture.width)
    if architecture.positions is None:
        return Tokenizer(text_dimension, video_dimension, dimension, davenet)
    if positions is None:
        raise InputError(
            "methods: architecture.positions: the number of tokens of a pretraining clip is missing"
        )
    return Tokenizer(
        text_dimension,
        video_dimension,
        dimension,
        davenet,
        positions=positions,
        audio_pooling=architecture.positions,
        video_pooling=architecture.positions,
    )
