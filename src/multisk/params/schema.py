"""The typed schema of params.yaml.

Every setting of a run stands in params.yaml: nothing here has a default, unknown keys are refused,
and the sections follow the stages of dvc.yaml. The one exception are the methods: a method says only what
it has, so that what the others are made of may be left out of its entry; left out, it has no effect.
"""

from typing import Annotated, Any, Literal, get_args

from pydantic import Field

from miniature.settings import Miniature
from multisk.errors import InputError
from multisk.resumable import ChangedCode
from multisk.settings import Count, Name, Section, Weight
from multisk.settings.evaluation import Evaluate
from multisk.settings.features import Features
from multisk.settings.models import Model
from multisk.settings.report import Report
from multisk.settings.sampling import BenchmarkClips, PretrainClips
from multisk.settings.sweep import Optuna, Sweep
from multisk.settings.tracking import Tracking
from multisk.settings.training import Method, Pretrain, Training

PACE: Any = {
    "pretrain": Training.PACE | {"seeds"},
    "finetune": {"youcook2": Training.PACE, "msrvtt": Training.PACE},
}


class PublishedCorpora(Section):
    """Corpora that were published: `multisk import` or `multisk videos` and `multisk extract` make them.

    dvc.yaml goes over the lists: with nothing to render, the pipeline begins with words and pretraining.
    """

    kind: Literal["published"]
    rendered: tuple[()]
    calibrating: tuple[()]


Benchmark = Literal["youcook2", "msrvtt"]


class Clips(Section):
    """Token budgets of pretraining and of the two benchmarks."""

    pretrain: PretrainClips
    youcook2: BenchmarkClips
    msrvtt: BenchmarkClips


class Finetune(Section):
    """Fine-tuning, per benchmark; every pretraining seed is fine-tuned."""

    pair_weight: Weight  # as released: all pairs weigh the same
    youcook2: Training
    msrvtt: Training


class Params(Section):
    """params.yaml as a whole."""

    profile: Name
    processes: Count  # seeds that are trained at once on a CPU, each with its share of the cores
    changed_code: ChangedCode  # what becomes of unfinished work that other code began
    corpora: Annotated[Miniature | PublishedCorpora, Field(discriminator="kind")]
    features: Features
    clips: Clips
    model: Model
    methods: Annotated[dict[Name, Method], Field(min_length=1)]
    pretrain: Pretrain
    finetune: Finetune
    evaluate: Evaluate
    sweep: Sweep
    optuna: Optuna
    tracking: Tracking
    report: Report

    def benchmark(self, name: Benchmark) -> BenchmarkClips:
        """Return the clip settings of a benchmark."""
        return getattr(self.clips, name)

    @property
    def benchmark_names(self) -> list[str]:
        """The benchmarks' names."""
        return [*get_args(Benchmark)]

    def method(self, name: str) -> Method:
        """Return a method's entry; raise InputError for a name that params.yaml lacks."""
        try:
            return self.methods[name]
        except KeyError:
            known = ", ".join(self.methods)
            raise InputError(f"params.yaml: methods.{name}: no such method; known: {known}") from None


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
