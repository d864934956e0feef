import pickle
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch.utils.data import DataLoader

from multisk.errors import InputError
from multisk.sampling import NarratedClips, collate_videos
from multisk.settings.sampling import PretrainClips

Source = tuple[Any, Any, Any]  # store, corpus, words


@pytest.fixture
def dataset(narrated: Source, pretrain_clips: PretrainClips) -> NarratedClips:
    with pytest.warns(UserWarning, match="1 of 4 videos have no features"):
        return NarratedClips(*narrated, pretrain_clips, seed=3)


def same(left: dict[str, Any], right: dict[str, Any]) -> bool:
    return all(
        torch.equal(left[key], right[key]) if isinstance(left[key], torch.Tensor) else left[key] == right[key]
        for key in left
    )


def test_items_have_the_promised_shapes(dataset: NarratedClips) -> None:
    assert dataset.videos == ["long", "short", "silent"]
    assert dataset.missing == ["lost"]
    item = dataset[0]
    shapes = {key: tuple(value.shape) for key, value in item.items() if isinstance(value, torch.Tensor)}
    assert shapes == {
        "text": (3, 5, 6),
        "text_mask": (3, 5),
        "video": (3, 12, 5),
        "video_mask": (3, 12),
        "audio": (3, 40, 768),
        "audio_mask": (3, 768),
        "start": (3,),
        "video_index": (3,),
    }
    assert dataset[1]["video_index"].tolist() == [1, 1, 1]
    assert [f"long@{start:.3f}" for start in item["start"].double().tolist()] == item["clip_id"]
    assert all(item[f"{m}_mask"].dtype == torch.bool for m in ("text", "video", "audio"))
    assert len(item["clip_id"]) == len(item["caption"]) == 3


def test_draws_depend_on_seed_epoch_and_index_alone(dataset: NarratedClips, narrated: Source) -> None:
    first = dataset[0]
    dataset[1]
    assert same(dataset[0], first)
    dataset.set_epoch(1)
    assert not same(dataset[0], first)
    dataset.set_epoch(0)
    assert same(dataset[0], first)
    with pytest.warns(UserWarning, match="no features"):
        other = NarratedClips(*narrated, dataset.clips, seed=4)
    assert not same(other[0], first)


def test_workers_and_pickling_change_nothing(dataset: NarratedClips) -> None:
    dataset.set_epoch(2)
    alone = next(iter(DataLoader(dataset, 3, collate_fn=collate_videos)))
    helped = next(iter(DataLoader(dataset, 3, collate_fn=collate_videos, num_workers=1)))
    assert same(helped, alone)
    assert same(pickle.loads(pickle.dumps(dataset))[1], dataset[1])
    assert alone["video"].shape[0] == len(alone["caption"]) == 9


def test_audio_is_heard_half_a_clip_after_speech(dataset: NarratedClips) -> None:
    # Log-mel frame i holds -(i + 1) / 100, so the first value tells the time.
    spoken = 0
    for epoch in range(8):
        dataset.set_epoch(epoch)
        item = dataset[0]
        for name, text, audio in zip(item["clip_id"], item["caption"], item["audio"], strict=True):
            start = float(name.partition("@")[2])
            shift = 4.0 if text else 0.0
            assert -audio[0, 0].item() == pytest.approx(start + shift, abs=0.03)
            spoken += bool(text)
    assert 0 < spoken < 24


@pytest.mark.filterwarnings("ignore:.*no features")
def test_a_larger_share_of_the_videos_contains_a_smaller_one(
    narrated: Source, pretrain_clips: PretrainClips
) -> None:
    used = []
    for share in (0.01, 0.34, 0.67, 1):
        clips = pretrain_clips.model_copy(update={"share": share})
        used.append(NarratedClips(*narrated, clips, seed=3).videos)
    assert [len(videos) for videos in used] == [1, 1, 2, 3]
    assert all(set(fewer) <= set(more) for fewer, more in pairwise(used))


@pytest.mark.filterwarnings("ignore:.*no features")
@pytest.mark.parametrize("misaligned", [0.5, 1.0])
def test_misaligned_clips_have_the_words_of_another_video(
    told: Source, pretrain_clips: PretrainClips, misaligned: float
) -> None:
    aligned = NarratedClips(*told, pretrain_clips, seed=3)
    changed = NarratedClips(*told, pretrain_clips.model_copy(update={"misaligned": misaligned}), seed=3)
    spoken, foreign = 0, 0
    for epoch in range(40):
        aligned.set_epoch(epoch)
        changed.set_epoch(epoch)
        before, after = aligned[0], changed[0]
        assert before["clip_id"] == after["clip_id"]
        assert torch.equal(before["video"], after["video"])
        assert torch.equal(before["audio"], after["audio"])
        for own, heard in zip(before["caption"], after["caption"], strict=True):
            assert bool(own) == bool(heard)
            assert heard in (own, "soup")
            spoken, foreign = spoken + bool(own), foreign + (heard != own)
    assert spoken > 40
    assert foreign / spoken == pytest.approx(misaligned, abs=0.15)


@pytest.mark.filterwarnings("ignore:.*no features")
def test_misalignment_depends_on_seed_epoch_and_index_alone(
    told: Source, pretrain_clips: PretrainClips
) -> None:
    dataset = NarratedClips(*told, pretrain_clips.model_copy(update={"misaligned": 0.5}), seed=3)
    first = dataset[0]
    dataset[1]
    assert same(dataset[0], first)


@pytest.fixture
def told(narrated: Source) -> Source:
    """The narrated corpus, with one caption in each video."""
    store, corpus, words = narrated
    said = {"long": "cut the onion"}

    def captions(video_id: str) -> pd.DataFrame:
        return pd.DataFrame({"start": [0.0], "end": [12.0], "text": [said.get(video_id, "soup")]})

    return store, SimpleNamespace(name=corpus.name, videos=corpus.videos, captions=captions), words


def test_videos_without_sound_have_empty_audio(dataset: NarratedClips) -> None:
    item = dataset[2]
    assert not item["audio_mask"].any()
    assert item["video_mask"].all()


def test_values_that_are_not_finite_are_named(
    dataset: NarratedClips, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = (np.full((5, 6), np.nan, np.float32), np.ones(5, bool))
    monkeypatch.setattr(dataset._reader, "words", type("Words", (), {"encode": lambda *_: broken})())
    with pytest.raises(InputError, match=r"clip long@[\d.]+: text: not finite"):
        dataset[0]


def test_a_corpus_without_features_is_refused(narrated: Source, pretrain_clips: PretrainClips) -> None:
    empty = type("Store", (), {"videos": lambda _: []})()
    with pytest.raises(InputError, match="howto: no training video with features"):
        NarratedClips(empty, *narrated[1:], pretrain_clips, seed=0)
