"""What trials are judged by: a part of the training clips, and nothing that training would notice."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from multisk.benchmarks.clips import open_benchmarks
from multisk.corpora.manifest import Corpus
from multisk.evaluation.embed import embed
from multisk.evaluation.ranking import metrics_of
from multisk.evaluation.retrieval import retrieve
from multisk.layout import Layout
from multisk.methods.model import method_model
from multisk.methods.pretraining import train_method
from multisk.params import Params, load_params
from multisk.sampling.source import ClipSource
from multisk.sweep.validation import Validation, validation_corpus


@pytest.fixture
def opened(made):
    """The tiny world's settings and benchmarks."""
    params = load_params(made / "params.yaml")
    layout = Layout(made)
    return params, layout, open_benchmarks(layout, params.benchmarks)


def corpus_of(videos, clips_per_video):
    rows = [
        {
            "clip_id": f"{split}-{video}-{clip}",
            "video_id": f"{split}-{video}",
            "start": 0.0,
            "end": 1.0,
            "split": split,
            "captions": ["one", "two", "three"] if split == "train" else ["one"],
        }
        for split in ("train", "validation", "test")
        for video in range(videos)
        for clip in range(clips_per_video)
    ]
    return Corpus(None, "bench", "captioned", "", "digest", pd.DataFrame(), pd.DataFrame(rows))


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 1.0])
def test_the_part_is_whole_training_videos_with_one_caption_each(share):
    clips = validation_corpus(corpus_of(20, 3), "train", share).clips
    assert set(clips["split"]) == {"train"}
    assert len(clips) == 3 * round(20 * share)
    assert (clips.groupby("video_id").size() == 3).all()
    assert all(captions == ["one"] for captions in clips["captions"])


def test_a_larger_part_contains_a_smaller_one():
    parts = [set(validation_corpus(corpus_of(20, 1), "train", n / 10).clips["clip_id"]) for n in range(1, 11)]
    assert all(fewer < more for fewer, more in pairwise(parts))


def test_no_test_clip_is_ever_read(opened, monkeypatch):
    params, _, benchmarks = opened
    tested = set()
    for inputs in benchmarks.values():
        clips = inputs.corpus.clips
        tested |= set(clips.loc[clips["split"] != "train", "video_id"])
    judged = Validation(params, benchmarks)
    seen = Seen(monkeypatch, benchmarks)
    model = method_model(params, "sspc", benchmarks["youcook2"].dimensions)
    found = judged(model)
    assert seen.videos, "nothing was read"
    assert not seen.videos & tested
    assert set(found) == {"youcook2", "msrvtt", "mean"}
    assert found["mean"] == (found["youcook2"] + found["msrvtt"]) / 2


def test_a_model_without_audio_is_judged_by_what_video_alone_finds(opened):
    params, _, benchmarks = opened
    settings = params.model_dump(exclude_unset=True)
    settings["methods"]["contrastive"]["architecture"] = {"modalities": "tv"}
    mute = Params.model_validate(settings)
    torch.manual_seed(0)
    model = method_model(mute, "contrastive", benchmarks["youcook2"].dimensions)
    judge = Validation(mute, benchmarks)
    found = judge(model)
    for name, clips in judge.clips.items():
        metrics = retrieve(embed(model, clips, 4), clips.complete_size).metrics
        assert metrics.keys() == {"t2v", "v2t"}
        assert found[name] == metrics["t2v"]["R10"]


@pytest.mark.filterwarnings("ignore:.*have no features")
def test_chance_is_what_random_rankings_score(opened):
    params, _, benchmarks = opened
    whole = params.model_copy(update={"sweep": params.sweep.model_copy(update={"validation": 1.0})})
    many = {
        "youcook2": with_clips(benchmarks["youcook2"], 25, missing=0),
        "msrvtt": with_clips(benchmarks["msrvtt"], 40, missing=10),
    }
    rng = np.random.default_rng(0)
    shuffled = metrics_of(np.concatenate([1 + rng.permutation(25) for _ in range(4000)]))
    chance = Validation(whole, many).chance
    assert chance == {"youcook2": 40.0, "msrvtt": 20.0, "mean": 30.0}
    assert shuffled["R10"] == pytest.approx(chance["youcook2"], abs=0.5)


def with_clips(inputs, present, missing):
    """A benchmark with so many training clips that have features, and so many that have none."""
    row = inputs.corpus.of_split("train")
    row = row[row["video_id"].isin(inputs.store.videos())].iloc[0].to_dict()
    rows = [row | {"clip_id": f"clip-{number}"} for number in range(present)]
    rows += [row | {"clip_id": f"gone-{number}", "video_id": "gone"} for number in range(missing)]
    return replace(inputs, corpus=replace(inputs.corpus, clips=pd.DataFrame(rows)))


class Seen:
    """Notes the videos whose features are read."""

    def __init__(self, monkeypatch, benchmarks):
        self.videos = set()
        store = type(next(iter(benchmarks.values())).store)
        read, length = store.read, store.length

        def noting(function):
            def noted(this, video_id, *rest, **options):
                self.videos.add(video_id)
                return function(this, video_id, *rest, **options)

            return noted

        monkeypatch.setattr(store, "read", noting(read))
        monkeypatch.setattr(store, "length", noting(length))


def test_a_training_that_is_watched_ends_in_the_same_weights(opened, tmp_path):
    params, layout, benchmarks = opened
    inputs = ClipSource.open(layout, params.clips.pretrain.corpus)
    validation = Validation(params, benchmarks)
    scores = []

    def watch(epoch, model, average):
        scores.append((epoch, validation(model)["mean"], validation(average)["mean"]))

    for name, on_epoch in (("alone", None), ("watched", watch)):
        train_method(params, "sspc", 0, inputs, tmp_path / name, Silence(), on_epoch)
    alone, watched = (load_file(tmp_path / name / "model.safetensors") for name in ("alone", "watched"))
    assert all(torch.equal(alone[key], watched[key]) for key in alone)
    assert [epoch for epoch, *_ in scores] == list(range(1, params.pretrain.epochs + 1))
    assert np.isfinite(scores).all()


class Silence:
    """A step log that keeps nothing."""

    def __call__(self, step, metrics):
        pass

    def rewind(self, step):
        pass
