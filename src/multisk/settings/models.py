"""The settings of models, and what each kind of model can do."""

from collections.abc import Set
from typing import Annotated, Literal, NamedTuple, Self

from pydantic import Field, model_validator

from multisk.settings import Count, Natural, Positive, Section


class Davenet(Section):
    """ResDAVEnet (v2): residual stages over log-mel frames, each with stride 2."""

    layers: tuple[Count, ...]
    widths: tuple[Count, ...]
    kernel: Count

    @model_validator(mode="after")
    def _one_width_more_than_layers(self) -> Self:
        if len(self.widths) != len(self.layers) + 1:
            raise ValueError("widths needs one entry more than layers: the first is the stem's")
        return self


class Model(Section):
    """Sizes shared by all methods."""

    dimension: Count
    joint_dimension: Count
    depth: Count
    heads: Count
    mlp_ratio: Positive
    davenet: Davenet

    @model_validator(mode="after")
    def _heads_divide_dimension(self) -> Self:
        if self.dimension % self.heads:
            raise ValueError(f"heads ({self.heads}) must divide dimension ({self.dimension})")
        return self


class AnchorSettings(Section):
    """Vectors that describe each modality's structure."""

    count: Annotated[int, Field(ge=2)]
    learned: bool = True  # false: they stay the random vectors that they begin as


class Architecture(Section):
    """What a method changes of its model; what is left out is as published."""

    modalities: Literal["tva", "tv"] = "tva"  # tv: text and video alone, no audio network
    fused: bool = True  # eao: embed pairs of modalities, too
    shared_projection: bool = False  # eao: one projection into the joint space for all modalities
    cls_token: bool = False  # a learned token sums the sequence up, in place of the mean
    # Learn a position for each token of a pretraining clip. Longer clips are brought down to as many tokens:
    # to the first ones, to ones spread evenly over time, or by pooling over time.
    positions: Literal["clip", "nearest", "max_pool", "avg_pool"] | None = None
    depth: Natural | None = None  # in place of model.depth; 0: no transformers
    width: Positive = 1.0  # factor on model.dimension

    @property
    def changed(self) -> list[str]:
        """The options that are not as published."""
        return [
            name for name, field in type(self).model_fields.items() if getattr(self, name) != field.default
        ]


class ModelKind(NamedTuple):
    """What a method can ask of a kind of model; `models/build.py` says which class it is."""

    options: Set[str]  # of Architecture
    offers: Set[str] = frozenset()  # what losses may need


ANCHORS, INPUT_FEATURES = "anchors", "input features"
MODEL_KINDS = {
    "per_modality": ModelKind(
        {"modalities", "cls_token", "positions", "depth", "width"}, {ANCHORS, INPUT_FEATURES}
    ),
    "eao": ModelKind(Architecture.model_fields.keys(), {INPUT_FEATURES}),
    "avlnet": ModelKind({"modalities"}),
}


def lacking(kind: str, name: str, needs: Set[str]) -> str | None:
    """Say what a loss needs that a kind of model does not offer; None: it has all."""
    for need in sorted(needs - MODEL_KINDS[kind].offers):
        able = " or ".join(other for other, known in MODEL_KINDS.items() if need in known.offers)
        return f"{name} needs a model with {need}, {kind} has none; leave it out or set model: {able}"
    return None
