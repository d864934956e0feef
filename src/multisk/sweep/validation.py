"""The validation part: training clips of the benchmarks by which trials are judged, never test clips."""

from dataclasses import replace
from typing import Any

import torch
from torch import nn

from multisk.benchmarks.clips import training_clips
from multisk.corpora.manifest import Corpus
from multisk.evaluation.embed import embed
from multisk.evaluation.tasks import TASKS
from multisk.params import Params, sections
from multisk.sampling.part import part_of
from multisk.sampling.source import ClipSource
from multisk.settings.benchmarks import READ
from multisk.settings.sweep import MEAN


def validation_settings(params: Params) -> dict[str, Any]:
    """Return the settings that the validation of a trained model depends on."""
    read = (f"benchmarks.{name}.{key}" for name in params.benchmarks for key in ("task", *READ))
    return sections(params, *read, "evaluate.weights", "sweep.validation")


def validation_corpus(corpus: Corpus, split: str, share: float) -> Corpus:
    """Return a corpus of a share of the training videos, each clip with its first caption alone."""
    clips = corpus.of_split(split)
    videos = part_of(clips["video_id"].drop_duplicates().tolist(), share)
    clips = clips[clips["video_id"].isin(videos)].reset_index(drop=True)
    clips["captions"] = [captions[:1] for captions in clips["captions"]]
    return replace(corpus, clips=clips)


class Validation:
    """Judges models zero-shot on the validation part.

    The random numbers of whoever calls it stay as they are, so that a training that is watched ends in the
    same weights as one that is not.
    """

    def __init__(self, params: Params, inputs: dict[str, ClipSource]) -> None:
        self.batch_size = params.evaluate.batch_size
        self.tasks = {name: TASKS[benchmark.task] for name, benchmark in params.benchmarks.items()}
        self.clips = {}
        for name, benchmark in params.benchmarks.items():
            opened, split = inputs[name], benchmark.splits.train
            part = validation_corpus(opened.corpus, split, params.sweep.validation)
            self.clips[name] = training_clips(benchmark, replace(opened, corpus=part))

    def __call__(self, model: nn.Module) -> dict[str, float]:
        """Return the headline number of each benchmark's task (R@10, in percent) and their `mean`."""
        device = next(model.parameters()).device
        found = {}
        with torch.random.fork_rng():
            for name, clips in self.clips.items():
                task, embedded = self.tasks[name], embed(model, clips, self.batch_size, device)
                found[name] = task.headline(task.measure(embedded, clips.complete_size).metrics)
        return _with_mean(found)

    @property
    def chance(self) -> dict[str, float]:
        """What guessing scores in expectation on each benchmark, and the mean."""
        found = {}
        for name, clips in self.clips.items():
            task = self.tasks[name]
            found[name] = task.chance(len(clips), clips.complete_size)[task.metric]
        return _with_mean(found)


def _with_mean(found: dict[str, float]) -> dict[str, float]:
    return {**found, MEAN: sum(found.values()) / len(found)}
