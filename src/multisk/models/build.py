"""Models from settings."""

from typing import Literal

from multisk import params
from multisk.errors import InputError
from multisk.models.blocks import TransformerSettings
from multisk.models.davenet import ResDavenet
from multisk.models.eao import EAOModel
from multisk.models.per_modality import PerModalityModel
from multisk.models.tokens import Tokenizer


def build_model(
    kind: Literal["per_modality", "eao"],
    model: params.Model,
    *,
    text_dimension: int,
    video_dimension: int,
    anchors: params.Anchors | int | None,
) -> PerModalityModel | EAOModel:
    """Build the model of a method.

    Args:
        kind: `methods.<name>.model` of params.yaml.
        model: section `model` of params.yaml.
        text_dimension: width of the word vectors.
        video_dimension: width of the video features (appearance and motion together).
        anchors: the method's `sspc.anchors`, or just their number, for a method with SSPC.

    Raises InputError for anchors on a model that cannot have them.
    """
    davenet = ResDavenet(model.davenet.layers, model.davenet.widths, model.davenet.kernel)
    tokenizer = Tokenizer(text_dimension, video_dimension, model.dimension, davenet)
    transformer = TransformerSettings(model.depth, model.heads, model.mlp_ratio)
    if kind == "per_modality":
        count, learned = (
            (anchors.count, anchors.learned) if isinstance(anchors, params.Anchors) else (anchors, True)
        )
        return PerModalityModel(
            tokenizer, model.joint_dimension, transformer, anchors=count, learned_anchors=learned
        )
    if anchors is not None:
        raise InputError("methods: sspc needs model: per_modality; eao has no anchors, set its sspc to null")
    return EAOModel(tokenizer, model.joint_dimension, transformer)
