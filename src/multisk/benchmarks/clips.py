"""The clips of benchmarks: those that models are tested on, and those that they are fine-tuned on."""

from collections.abc import Mapping

from multisk.layout import Layout
from multisk.sampling import CaptionedClips
from multisk.sampling.source import ClipSource
from multisk.settings.benchmarks import Benchmark
from multisk.settings.sampling import BenchmarkClips


def open_benchmarks(layout: Layout, benchmarks: Mapping[str, Benchmark]) -> dict[str, ClipSource]:
    """Open the corpora of benchmarks by their names; raise InputError for what is missing or does not fit."""
    return {name: ClipSource.open(layout, entry.corpus) for name, entry in benchmarks.items()}


def evaluation_clips(
    benchmark: Benchmark, inputs: ClipSource, clips: BenchmarkClips | None = None
) -> CaptionedClips:
    """Return the test clips; `clips` cuts them in another way than the benchmark's entry."""
    return CaptionedClips(
        inputs.store,
        inputs.corpus,
        inputs.words,
        clips or benchmark.clips,
        benchmark.splits.test,
        complete_size=benchmark.complete_size,
    )


def training_clips(benchmark: Benchmark, inputs: ClipSource, seed: int = 0) -> CaptionedClips:
    """Return the training clips, each in one piece."""
    parts = inputs.store, inputs.corpus, inputs.words, benchmark.clips.whole
    return CaptionedClips(*parts, benchmark.splits.train, seed=seed)
