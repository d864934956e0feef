"""Evaluation strategies for clips, and searching whole videos."""

import numpy as np
import pytest
from pydantic import ValidationError

from multisk.evaluation.embed import EmbeddedSet
from multisk.evaluation.retrieval import retrieve, similarity
from multisk.evaluation.strategies import long_videos, readings, strategy_table
from multisk.params import Params, load_profile
from multisk.settings.benchmarks import Benchmark


@pytest.fixture
def params(repository) -> Params:
    return load_profile("paper", repository / "profiles")


def test_each_strategy_is_a_way_to_read_clips(params: Params) -> None:
    msrvtt = params.benchmark("msrvtt")
    found = dict(readings(params.evaluate.strategies, msrvtt.clips, msrvtt.segments))
    assert {name: (clips.sampling, clips.segments) for name, clips in found.items()} == {
        "at-once": ("clip", 1),
        "clips": ("clip", 4),
        "nearest": ("nearest", 1),
        "max-pool": ("max_pool", 1),
    }
    untouched = {"sampling", "segments"}
    for clips in found.values():
        assert clips.model_dump(exclude=untouched) == msrvtt.clips.model_dump(exclude=untouched)
    assert found["at-once"] == msrvtt.clips


def test_only_chosen_strategies_are_measured(params: Params) -> None:
    clips = params.benchmark("youcook2").clips
    assert [name for name, _ in readings(("nearest", "long-video"), clips, 6)] == ["nearest"]


def test_segments_that_do_not_fit_are_named(params: Params) -> None:
    settings = params.benchmark("msrvtt").model_dump() | {"segments": 5}
    with pytest.raises(ValidationError, match=r"segments \(5\) must divide video_tokens and audio_frames"):
        Benchmark.model_validate(settings)


def clips_of(videos: list[str], rng: np.random.Generator) -> EmbeddedSet:
    joint = {key: rng.normal(size=(len(videos), 4)).astype(np.float32) for key in ("t", "v", "a", "v+a")}
    names = [f"clip-{index}" for index in range(len(videos))]
    nonempty = {
        "t": np.ones(len(videos), bool),
        "v": np.ones(len(videos), bool),
        "a": np.arange(len(videos)) < 2,
    }
    return EmbeddedSet(names, names, joint, {}, nonempty)


def test_a_long_video_is_the_mean_of_its_clips_of_unit_length() -> None:
    videos = ["b", "a", "b", "c", "b", "a"]
    clips = clips_of(videos, np.random.default_rng(0))
    found = long_videos(clips, videos)
    assert found.clip_ids == ["b", "a", "c"]
    assert found.captions == ["clip-0", "clip-1", "clip-3"]
    for key, rows in clips.joint.items():
        for position, video in enumerate(found.clip_ids):
            of_video = [
                row / np.linalg.norm(row) for row, name in zip(rows, videos, strict=True) if name == video
            ]
            np.testing.assert_allclose(found.joint[key][position], np.mean(of_video, axis=0), rtol=1e-5)
    assert found.nonempty["a"].tolist() == [True, True, False]


def test_length_of_an_embedding_does_not_weigh_in_a_video() -> None:
    videos = ["a", "a", "b", "b"]
    clips = clips_of(videos, np.random.default_rng(1))
    longer = {key: rows * np.array([[9], [1], [1], [3]], np.float32) for key, rows in clips.joint.items()}
    stretched = EmbeddedSet(clips.clip_ids, clips.captions, longer, {}, clips.nonempty)
    there, back = long_videos(clips, videos).joint, long_videos(stretched, videos).joint
    np.testing.assert_allclose(
        similarity(there["t"], there["v"]), similarity(back["t"], back["v"]), rtol=1e-4
    )


def test_tables_set_each_value_beside_what_chance_would_score() -> None:
    clips = clips_of([str(index) for index in range(30)], np.random.default_rng(2))
    found = retrieve(clips, complete_size=40)
    table = strategy_table("nearest", found.metrics, present=30, complete=40).set_index(
        ["direction", "metric"]
    )
    assert set(table["strategy"]) == {"nearest"}
    assert len(table) == 7 * len(found.metrics)
    assert table.loc[("t2v", "R10"), "value"] == found.metrics["t2v"]["R10"]
    assert table.loc[("t2v", "R10"), "chance"] == pytest.approx(25.0)
    assert table.loc[("v2t", "MedR"), "chance"] == pytest.approx(15.5)
