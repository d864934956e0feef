"""The validation part: training clips of the benchmarks by which trials are judged, never test clips."""

from dataclasses import replace

import torch
from torch import nn

from multisk.corpora.manifest import Corpus
from multisk.evaluation.embed import embed
from multisk.evaluation.headline import headline
from multisk.evaluation.ranking import chance_level
from multisk.evaluation.retrieval import retrieve
from multisk.params import Benchmark, Params
from multisk.sampling import CaptionedClips
from multisk.sampling.part import part_of
from multisk.sampling.source import ClipSource

DOMAINS: dict[str, Benchmark] = {"close": "youcook2", "far": "msrvtt"}
METRIC = "R10"
SETTINGS = ("clips.youcook2", "clips.msrvtt", "evaluate.weights", "sweep.validation")  # what it depends on


def validation_corpus(corpus: Corpus, share: float) -> Corpus:
    """Return a corpus of a share of the training videos, each clip with its first caption alone."""
    clips = corpus.of_split("train")
    videos = part_of(clips["video_id"].drop_duplicates().tolist(), share)
    clips = clips[clips["video_id"].isin(videos)].reset_index(drop=True)
    clips["captions"] = [captions[:1] for captions in clips["captions"]]
    return replace(corpus, clips=clips)


class Validation:
    """Judges models by zero-shot retrieval on the validation part.

    The random numbers of whoever calls it stay as they are, so that a training that is watched ends in the
    same weights as one that is not.
    """

    def __init__(self, params: Params, inputs: dict[Benchmark, ClipSource]) -> None:
        self.batch_size = params.evaluate.batch_size
        self.clips = {
            domain: _clips(params, benchmark, inputs[benchmark]) for domain, benchmark in DOMAINS.items()
        }

    def __call__(self, model: nn.Module) -> dict[str, float]:
        """Return R@10 in both domains (`close`, `far`) and their `mean`, in percent."""
        device = next(model.parameters()).device
        found = {}
        with torch.random.fork_rng():
            for domain, clips in self.clips.items():
                metrics = retrieve(embed(model, clips, self.batch_size, device), clips.complete_size).metrics
                found[domain] = metrics[headline(metrics)][METRIC]
        return _with_mean(found)

    @property
    def chance(self) -> dict[str, float]:
        """R@10 that random rankings score in expectation in both domains, and their mean, in percent."""
        return _with_mean(
            {
                domain: chance_level(len(clips), clips.complete_size)[METRIC]
                for domain, clips in self.clips.items()
            }
        )


def _with_mean(found: dict[str, float]) -> dict[str, float]:
    return {**found, "mean": sum(found.values()) / len(found)}


def _clips(params: Params, benchmark: Benchmark, inputs: ClipSource) -> CaptionedClips:
    part = validation_corpus(inputs.corpus, params.sweep.validation)
    whole = params.benchmark(benchmark).model_copy(update={"complete_size": None})
    return CaptionedClips(inputs.store, part, inputs.words, whole, "train")
