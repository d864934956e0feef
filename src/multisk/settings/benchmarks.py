"""The settings of a benchmark: its corpus and splits, its clips, and how models are fine-tuned for it."""

from collections.abc import Mapping
from typing import Annotated, Literal, Self, get_args

from pydantic import AfterValidator, model_validator

from multisk.settings import Count, Name, Section
from multisk.settings.corpora import Split
from multisk.settings.evaluation import Task
from multisk.settings.sampling import BenchmarkClips
from multisk.settings.training import Training

Setting = Literal["zero-shot", "fine-tuned"]
SETTINGS: tuple[Setting, ...] = get_args(Setting)
# What else stands beside benchmarks under such a key: in metrics files, studies and folders of runs.
BESIDE_BENCHMARKS = ("chance", "clips")  # keys of a metrics file that are no benchmarks
RESERVED = {*BESIDE_BENCHMARKS, "mean", "pretrain", "words"}
READ = ("corpus", "splits", "clips")  # the keys of an entry that say what a model is given


def _not_reserved(name: str) -> str:
    if name in RESERVED:
        raise ValueError("stands for something else beside benchmarks; choose another name")
    return name


BenchmarkName = Annotated[Name, AfterValidator(_not_reserved)]


class Splits(Section):
    """Which clips of a corpus are what to a benchmark."""

    train: Split  # fine-tuned on; studies choose by a part of it
    test: Split

    @model_validator(mode="after")
    def _differ(self) -> Self:
        if self.train == self.test:
            raise ValueError("train and test must be different splits")
        return self


class Benchmark(Section):
    """What models are measured by."""

    task: Task
    domain: Literal["close", "far"] | None  # seen from the pretraining videos; None: no claim is about it
    corpus: Name
    splits: Splits
    complete_size: Count | None  # of the whole test set; None: the number of test clips that the corpus lists
    clips: BenchmarkClips
    segments: Count  # pieces into which the strategy `clips` cuts a clip
    finetune: Training | None  # None: measured zero-shot alone

    @model_validator(mode="after")
    def _segments_divide_tokens(self) -> Self:
        self.clips.check_pieces(self.segments)
        return self

    @property
    def settings(self) -> tuple[Setting, ...]:
        """What it is measured with: pretrained models, and fine-tuned ones if there are any."""
        return SETTINGS if self.finetune else SETTINGS[:1]


def anchor_benchmark(benchmarks: Mapping[str, Benchmark]) -> str:
    """Return on whose clips anchors are compared: that of the close domain, else the first."""
    close = [name for name, benchmark in benchmarks.items() if benchmark.domain == "close"]
    return [*close, *benchmarks][0]
