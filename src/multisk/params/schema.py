"""The typed schema of params.yaml.

Every setting of a run stands in params.yaml: nothing here has a default, unknown keys are refused,
and the sections follow the stages of dvc.yaml. The one exception are the methods: a method says only what
it has, so that what the others are made of may be left out of its entry; left out, it has no effect.
"""

from typing import Annotated, Any, Literal, TypeVar

from pydantic import Field

from miniature.settings import Miniature
from multisk.errors import InputError
from multisk.resumable import ChangedCode
from multisk.settings import Count, Name, Section, Weight
from multisk.settings.benchmarks import Benchmark, BenchmarkName
from multisk.settings.evaluation import Evaluate
from multisk.settings.features import Features
from multisk.settings.models import Model
from multisk.settings.report import Report
from multisk.settings.sampling import PretrainClips
from multisk.settings.sweep import Optuna, Sweep
from multisk.settings.tracking import Tracking
from multisk.settings.training import Method, Pretrain, Training

PACE: Any = {
    "pretrain": Training.PACE | {"seeds"},
    "benchmarks": {"__all__": {"finetune": Training.PACE}},
}


Entry = TypeVar("Entry", bound=Section)


class PublishedCorpora(Section):
    """Corpora that were published: `multisk import` or `multisk videos` and `multisk extract` make them.

    dvc.yaml goes over the lists: with nothing to render, the pipeline begins with words and pretraining.
    """

    kind: Literal["published"]
    rendered: tuple[()]
    calibrating: tuple[()]


class Clips(Section):
    """How clips are cut from the pretraining videos."""

    pretrain: PretrainClips


class Finetune(Section):
    """What fine-tuning on all benchmarks has in common; every pretraining seed is fine-tuned."""

    pair_weight: Weight  # as released: all pairs weigh the same


class Params(Section):
    """params.yaml as a whole."""

    profile: Name
    processes: Count  # seeds that are trained at once on a CPU, each with its share of the cores
    changed_code: ChangedCode  # what becomes of unfinished work that other code began
    corpora: Annotated[Miniature | PublishedCorpora, Field(discriminator="kind")]
    features: Features
    clips: Clips
    benchmarks: Annotated[dict[BenchmarkName, Benchmark], Field(min_length=1)]
    model: Model
    methods: Annotated[dict[Name, Method], Field(min_length=1)]
    pretrain: Pretrain
    finetune: Finetune
    evaluate: Evaluate
    sweep: Sweep
    optuna: Optuna
    tracking: Tracking
    report: Report

    def benchmark(self, name: str) -> Benchmark:
        """Return a benchmark's entry; raise InputError for a name that params.yaml lacks."""
        return _entry(self.benchmarks, name, "benchmark")

    def method(self, name: str) -> Method:
        """Return a method's entry; raise InputError for a name that params.yaml lacks."""
        return _entry(self.methods, name, "method")


def _entry(entries: dict[str, Entry], name: str, kind: str) -> Entry:
    try:
        return entries[name]
    except KeyError:
        known = ", ".join(entries)
        raise InputError(f"params.yaml: {kind}s.{name}: no such {kind}; known: {known}") from None


def sections(params: Params, *names: str) -> dict[str, Any]:
    """Return the named sections of the settings (`clips.pretrain`) as plain data, for records.

    Settings that no result depends on (workers) are left out, and so are options that a method does not
    use: what is added to the choice later leaves the records of earlier runs as they are.

    Raises InputError for a section that there is not.
    """
    settings = params.model_dump(mode="json", exclude=PACE, exclude_defaults=True)
    chosen = {}
    for name in names:
        value = settings
        *path, last = name.split(".")
        for part in path:
            value = value[part]
        if last not in value:
            known = ", ".join(value)
            raise InputError(f"params.yaml: {name}: no such entry; known: {known}")
        chosen[name] = value[last]
    return chosen
