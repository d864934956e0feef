"""Models from settings."""

from collections.abc import Mapping
from typing import Any, ClassVar, Protocol, Self

from multisk.errors import InputError
from multisk.models.avlnet import AVLnetModel
from multisk.models.eao import EAOModel
from multisk.models.per_modality import PerModalityModel
from multisk.models.plan import Plan
from multisk.settings.models import ANCHORS, MODEL_KINDS, AnchorSettings, Architecture, Model

AS_PUBLISHED = Architecture()


class MethodModel(Protocol):
    """A model that a method can have: an `nn.Module` that maps a batch to `Embeddings`.

    Attributes:
        modalities: of what it embeds.
        input_dimensions: width of the input features by modality; empty where there are none.
        joint_dimension: width of the joint embeddings.
        INPUT_LAYERS: the layers that meet the word vectors (`text`) and the video features (`video`) first:
            from their weights a file of weights tells how wide these must be.
    """

    INPUT_LAYERS: ClassVar[Mapping[str, str]]
    modalities: tuple[str, ...]
    input_dimensions: dict[str, int]
    joint_dimension: int

    @classmethod
    def of_plan(cls, plan: Plan) -> Self:
        """Build the model of a method."""


# By the names of `MODEL_KINDS`, which says what each can do.
MODELS: dict[str, type[MethodModel]] = {
    "per_modality": PerModalityModel,
    "eao": EAOModel,
    "avlnet": AVLnetModel,
}


def build_model(
    kind: str,
    model: Model,
    *,
    text_dimension: int,
    video_dimension: int,
    anchors: AnchorSettings | int | None,
    architecture: Architecture = AS_PUBLISHED,
    positions: Mapping[str, int] | None = None,
) -> Any:
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
    if anchors is not None and ANCHORS not in MODEL_KINDS[kind].offers:
        raise InputError(f"methods: {kind} has no anchors; leave the loss out that wants some (sspc)")
    chosen = AnchorSettings(count=anchors) if isinstance(anchors, int) else anchors
    plan = Plan(model, architecture, text_dimension, video_dimension, chosen, positions)
    return MODELS[kind].of_plan(plan)
