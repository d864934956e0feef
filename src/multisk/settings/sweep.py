"""The settings of studies."""

from math import prod
from typing import Annotated, Any, Literal, Self

from pydantic import Discriminator, Field, Tag, model_validator

from multisk.settings import Count, Name, Natural, Section, Seeds

METHOD = "method"  # the key of a study's space under which two methods are varied
MEAN = "mean"  # of all benchmarks, as an objective


class Between(Section):
    """Numbers of a search: whole ones where both borders are whole."""

    low: int | float
    high: int | float
    log: bool

    @model_validator(mode="after")
    def _is_a_range(self) -> Self:
        if not self.low < self.high:
            raise ValueError("low must be less than high")
        if self.log and self.low <= 0:
            raise ValueError("low must be more than 0 where log is true")
        return self


def _kind_of_values(values: Any) -> str:
    return "choices" if isinstance(values, list | tuple) else "between"


Choices = Annotated[tuple[bool | int | float | str, ...], Field(min_length=1)]
Values = Annotated[
    Annotated[Choices, Tag("choices")] | Annotated[Between, Tag("between")], Discriminator(_kind_of_values)
]


class Study(Section):
    """A sweep: what is varied, and what is maximised on the validation part.

    The objectives are names of benchmarks, of whose task the headline number is meant (R@10 of text ->
    video + audio), or `mean`, over all benchmarks.
    """

    methods: Annotated[tuple[Name, ...], Field(min_length=1, max_length=2)]  # two: they are varied, too
    sampler: Literal["grid", "tpe"]
    objectives: Annotated[tuple[str, ...], Field(min_length=1)]
    pruner: Literal["median", "halving"] | None  # stops hopeless trials; for one objective alone
    epochs: Count  # with all videos; a trial with a share of them takes as many steps
    seeds: Seeds  # of a trial, whose value is their mean
    trials: Count | None  # finished ones in all; None: each point of the grid once
    space: Annotated[dict[str, Values], Field(min_length=1)]  # by dotted key, or a name of `names`

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        lengths = [0 if isinstance(values, Between) else len(values) for values in self.space.values()]
        if self.sampler == "grid" and not all(lengths):
            raise ValueError("a grid needs lists of choices in its space")
        if self.sampler == "grid" and len(self.methods) * prod(lengths) < 2:
            raise ValueError("a grid needs at least two points")
        if self.sampler == "tpe" and self.trials is None:
            raise ValueError("trials is needed, for only a grid has an end")
        if self.pruner and len(self.objectives) > 1:
            raise ValueError("a pruner needs a single objective; write pruner: null")
        if len(set(self.objectives)) < len(self.objectives):
            raise ValueError("objectives must differ from each other")
        return self


class Sweep(Section):
    """Hyperparameter studies. `studies` are part of the pipeline; `others` are run by `multisk sweep`."""

    validation: Annotated[float, Field(gt=0, le=1)]  # share of the benchmarks' training videos to select with
    keep_weights: bool  # of finished trials
    names: dict[Name, Annotated[tuple[str, ...], Field(min_length=1)]]  # dotted keys that get the same value
    studies: dict[Name, Study]
    others: dict[Name, Study]

    @model_validator(mode="after")
    def _names_differ(self) -> Self:
        twice = set(self.studies) & set(self.others)
        if twice:
            raise ValueError(f"others.{min(twice)} stands among studies, too; remove one")
        return self


class Optuna(Section):
    """Where studies are kept, how trials are chosen and watched; no finished trial depends on it."""

    storage: str | None  # URL of a database; None: sqlite in tracking/, for one process
    heartbeat_seconds: Count
    grace_seconds: Count  # a trial whose last heartbeat is older was killed; it is started again
    seed: Natural
    startup_trials: Natural  # that TPE draws at random, and that the median pruner lets finish
    importance: Literal["ped_anova", "fanova", "mean_decrease_impurity"]

    @model_validator(mode="after")
    def _heartbeats_fit_grace(self) -> Self:
        if self.grace_seconds <= self.heartbeat_seconds:
            raise ValueError("grace_seconds must be more than heartbeat_seconds")
        return self
