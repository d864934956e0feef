"""The settings of losses, and the paper's for callers that have no params.yaml."""

from collections.abc import Mapping, Set
from typing import Annotated, Any, ClassVar, Literal, Self, TypeVar

from pydantic import Field, model_validator

from multisk.settings import Count, Fraction, Natural, Positive, Section, Weight
from multisk.settings.models import ANCHORS, INPUT_FEATURES, AnchorSettings


class Loss(Section):
    """The settings of one loss."""

    needs: ClassVar[Set[str]] = frozenset()  # of a model: what its kind must offer


class PairWeights(Section):
    """Weights w_p of the contrastive pairs; a pair that the model has no embedding for is inert."""

    t_v: Weight
    t_a: Weight
    v_a: Weight
    t_va: Weight
    v_ta: Weight
    a_tv: Weight


class Contrastive(Loss):
    """What brings pairs of modalities together: InfoNCE, or the loss of another method."""

    loss: Literal["nce", "mms", "max_margin", "mil_nce"] = "nce"
    temperature: Positive | None = None  # of all but max_margin
    margin: Weight | None = None  # of mms and max_margin, in units of the cosine
    intra_video: Fraction | None = None  # of max_margin: what negatives of the same video weigh together
    bag_seconds: Weight | None = None  # of mil_nce: narrations that start so close count as a clip's own, too
    alpha: Weight
    weights: PairWeights

    @model_validator(mode="after")
    def _settings_are_those_of_the_loss(self) -> Self:
        needed = {
            "nce": {"temperature"},
            "mms": {"temperature", "margin"},
            "max_margin": {"margin", "intra_video"},
            "mil_nce": {"temperature", "bag_seconds"},
        }[self.loss]
        for name in ("temperature", "margin", "intra_video", "bag_seconds"):
            given = getattr(self, name) is not None
            if name in needed and not given:
                raise ValueError(f"loss: {self.loss} needs {name}; add it")
            if given and name not in needed:
                raise ValueError(f"loss: {self.loss} has no {name}; leave it out")
        return self


class Sinkhorn(Section):
    """Multi-SK; with a single slot plain Sinkhorn-Knopp, one anchor a sample."""

    fraction: Fraction | None = None  # rho: assignments per sample, as a share of the anchors; single: none
    epsilon: Positive
    iterations: Count
    slots: Literal["constant", "ramp", "single"]

    @model_validator(mode="after")
    def _fraction_fits_slots(self) -> Self:
        if self.slots == "single" and self.fraction is not None:
            raise ValueError("slots: single assigns one anchor a sample; leave fraction out or write null")
        if self.slots != "single" and self.fraction is None:
            raise ValueError(f"slots: {self.slots} needs fraction (paper: 0.5)")
        return self


class ModalityWeights(Section):
    """One weight per modality."""

    t: Weight
    v: Weight
    a: Weight


class TermWeights(Section):
    """Weights of the 18 SSPC terms, by anchor modality, then by data modality."""

    t: ModalityWeights
    v: ModalityWeights
    a: ModalityWeights


class Sspc(Loss):
    """Semantic-Structure-Preserving Consistency."""

    needs = frozenset({ANCHORS})

    anchors: AnchorSettings
    queue: Natural  # features of earlier batches; 0: Multi-SK sees the batch alone
    temperature: Positive
    beta: Weight
    input_to_joint: TermWeights
    joint_to_input: TermWeights
    sinkhorn: Sinkhorn

    @model_validator(mode="after")
    def _some_but_not_all_anchors_are_assigned(self) -> Self:
        count, fraction = self.anchors.count, self.sinkhorn.fraction
        if fraction is not None and not 0 < int(count * fraction) < count:
            raise ValueError(
                f"sinkhorn.fraction ({fraction}) of anchors.count ({count}) makes {int(count * fraction)} "
                f"assignments per sample; 1 to {count - 1} are possible"
            )
        return self


class Clustering(Loss):
    """Joint clustering of the modalities' mean embedding by k-means (MCN)."""

    weight: Weight
    centroids: Annotated[int, Field(ge=2)]
    queue: Count  # mean embeddings of earlier batches that k-means sees beside the batch
    iterations: Count  # of k-means at each training step, from the centroids of the step before
    temperature: Positive

    @model_validator(mode="after")
    def _queue_holds_centroids(self) -> Self:
        if self.queue < self.centroids:
            raise ValueError(
                f"queue ({self.queue}) must hold as many samples as centroids ({self.centroids})"
            )
        return self


class Reconstruction(Loss):
    """Each modality's input feature from its joint embedding (MCN)."""

    needs = frozenset({INPUT_FEATURES})

    weight: Weight


class Losses(Section):
    """The losses of a method, which are added up; those that are left out are not there."""

    contrastive: Contrastive
    sspc: Sspc | None = None
    clustering: Clustering | None = None
    reconstruction: Reconstruction | None = None

    @property
    def losses(self) -> dict[str, Loss]:
        """The losses that are there, by name."""
        return {name: value for name, value in self if isinstance(value, Loss)}

    @property
    def anchors(self) -> AnchorSettings | None:
        """The anchors that a loss wants the model to have."""
        return self.sspc.anchors if self.sspc else None


AnySection = TypeVar("AnySection", bound=Section)


def contrastive_settings(given: Contrastive | Mapping[str, Any]) -> Contrastive:
    """Return checked settings; what a plain mapping leaves out has the paper's value."""
    paper = {
        "temperature": 0.05,
        "alpha": 1.0,
        "weights": {"t_v": 1.0, "t_a": 0.1, "v_a": 0.1, "t_va": 0.1, "v_ta": 0.1, "a_tv": 0.1},
    }
    return _checked(Contrastive, paper, given)


def sspc_settings(given: Sspc | Mapping[str, Any]) -> Sspc:
    """Return checked settings; what a plain mapping leaves out has the paper's value."""
    weights = {
        "t": {"t": 1.0, "v": 1.0, "a": 0.1},
        "v": {"t": 1.0, "v": 1.0, "a": 0.1},
        "a": {"t": 0.1, "v": 0.1, "a": 0.1},
    }
    paper = {
        "anchors": {"count": 64},
        "queue": 5500,
        "temperature": 0.1,
        "beta": 1.0,
        "input_to_joint": weights,
        "joint_to_input": weights,
        "sinkhorn": {"fraction": 0.5, "epsilon": 0.07, "iterations": 20, "slots": "constant"},
    }
    return _checked(Sspc, paper, given)


def _checked(
    section: type[AnySection], paper: Mapping[str, Any], given: AnySection | Mapping[str, Any]
) -> AnySection:
    return given if isinstance(given, section) else section.model_validate(_merged(paper, dict(given)))


def _merged(paper: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    nested = {
        key: _merged(paper[key], value)
        for key, value in given.items()
        if isinstance(value, Mapping) and isinstance(paper.get(key), Mapping)
    }
    return {**paper, **given, **nested}
