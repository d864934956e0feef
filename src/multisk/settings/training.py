"""The settings of methods and of the training loop."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import AfterValidator, model_validator

from multisk.settings import Count, Fraction, Natural, Positive, Section, Seeds
from multisk.settings.losses import Losses
from multisk.settings.models import MODEL_KINDS, Architecture, lacking


def _known_model(name: str) -> str:
    if name not in MODEL_KINDS:
        raise ValueError(f"no such model; known: {', '.join(MODEL_KINDS)}")
    return name


class Method(Losses):
    """A comparison's entry: which model, which losses."""

    model: Annotated[str, AfterValidator(_known_model)]
    architecture: Architecture = Architecture()

    @model_validator(mode="after")
    def _losses_fit_model(self) -> Self:
        for name, loss in self.losses.items():
            if problem := lacking(self.model, name, loss.needs):
                raise ValueError(problem)
        return self

    @model_validator(mode="after")
    def _architecture_fits_model(self) -> Self:
        possible = MODEL_KINDS[self.model].options
        for name in self.architecture.changed:
            if name not in possible:
                raise ValueError(f"architecture.{name}: model {self.model} has no such choice; leave it out")
        fused = "fused" in possible and self.architecture.fused
        if fused and self.architecture.cls_token and not self.architecture.shared_projection:
            raise ValueError(
                "architecture.cls_token: the token of a pair belongs to no modality; "
                "set shared_projection: true or fused: false"
            )
        return self


class Training(Section):
    """One run of the training loop."""

    PACE: ClassVar[frozenset[str]] = frozenset({"checkpoint_steps", "workers"})  # no weight depends on them

    epochs: Count
    batch_size: Count  # videos in pretraining, clips in fine-tuning; over all processes
    learning_rate: Positive
    decay: Positive  # factor on the learning rate after each epoch
    ema: Fraction
    mixed_precision: Literal["no", "fp16", "bf16"]
    freeze_batch_norm: bool
    checkpoint_steps: Count
    workers: Natural


class Pretrain(Training):
    """Pretraining."""

    seeds: Seeds
