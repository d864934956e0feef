"""The settings of methods and of the training loop."""

from typing import ClassVar, Literal, Self

from pydantic import model_validator

from multisk.settings import Count, Fraction, Natural, Positive, Section, Seeds
from multisk.settings.losses import Clustering, Contrastive, Reconstruction, Sspc
from multisk.settings.models import Architecture


class Method(Section):
    """A comparison's entry: which model, which losses; losses that are left out are not there."""

    model: Literal["per_modality", "eao", "avlnet"]
    architecture: Architecture = Architecture()
    contrastive: Contrastive
    sspc: Sspc | None = None
    clustering: Clustering | None = None
    reconstruction: Reconstruction | None = None

    @model_validator(mode="after")
    def _losses_fit_model(self) -> Self:
        if self.sspc and self.model != "per_modality":
            raise ValueError(
                f"sspc needs a model with anchors, {self.model} has none; set model: per_modality"
            )
        if self.reconstruction and self.model == "avlnet":
            raise ValueError(
                "reconstruction needs a model with input features, avlnet has none; leave it out"
            )
        return self

    @model_validator(mode="after")
    def _architecture_fits_model(self) -> Self:
        possible = {
            "per_modality": {"modalities", "cls_token", "positions", "depth", "width"},
            "eao": set(Architecture.model_fields),
            "avlnet": {"modalities"},
        }[self.model]
        for name in self.architecture.changed:
            if name not in possible:
                raise ValueError(f"architecture.{name}: model {self.model} has no such choice; leave it out")
        fused = self.model == "eao" and self.architecture.fused
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
