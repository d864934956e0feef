"""The schema of reports/claims.yaml: comparisons, declared apart from what measures them."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from multisk.claims.verdicts import Rule
from multisk.settings import Count, Section
from multisk.settings.benchmarks import Setting

HEADLINE = "headline"  # the direction that evaluation.headline chooses for each method


class RetrievalTerm(Section):
    """A method's retrieval in one condition, and its factor."""

    weight: float
    method: str
    benchmark: str
    setting: Setting


class AnchorTerm(Section):
    """What a method's assignments share with the known content of clips, and its factor."""

    weight: float
    method: str
    kind: Literal["anchors", "shuffled", "k-means"]


class Comparison(Section):
    """A weighted sum of scores against a threshold."""

    name: str
    says: str  # what is compared, in one line
    alternative: Literal["greater", "less"]  # the side of the threshold that the claim foresees
    threshold: float
    minimum_seeds: Annotated[int, Field(ge=2)]


class RetrievalComparison(Comparison):
    """R@K in points of the complete benchmark."""

    test: Literal["bootstrap"]
    metric: Literal["R1", "R5", "R10", "R50"]
    direction: str  # "headline": text -> video+audio, fused where a model fuses
    above_chance: bool  # scores count from the chance level of their benchmark
    terms: Annotated[tuple[RetrievalTerm, ...], Field(min_length=1)]


class AnchorComparison(Comparison):
    """Mutual information with labels, the mean over modalities and labels."""

    test: Literal["jackknife"]
    metric: Literal["nmi", "ami"]
    space: Literal["input", "joint"]
    modalities: Annotated[tuple[Literal["t", "v", "a"], ...], Field(min_length=1)]
    labels: Annotated[tuple[Literal["action", "thing", "place"], ...], Field(min_length=1)]
    terms: Annotated[tuple[AnchorTerm, ...], Field(min_length=1)]


Declared = Annotated[RetrievalComparison | AnchorComparison, Field(discriminator="test")]


class Claim(Section):
    """A claim of the paper, and the comparisons that it stands or falls with."""

    name: str
    number: Count
    statement: str
    reading: str  # how the statement was made testable
    caveat: str = ""  # what a reader must know beside the verdict
    rule: Rule
    comparisons: Annotated[tuple[Declared, ...], Field(min_length=1)]


class Claims(Section):
    """claims.yaml as a whole."""

    level: Annotated[float, Field(gt=0, lt=1)]
    claims: Annotated[tuple[Claim, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _names_are_unique(self) -> Self:
        for names in (
            [claim.name for claim in self.claims],
            *([comparison.name for comparison in claim.comparisons] for claim in self.claims),
        ):
            twice = {name for name in names if names.count(name) > 1}
            if twice:
                raise ValueError(f"the name {min(twice)!r} is used twice; give each its own")
        return self
