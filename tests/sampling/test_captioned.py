from typing import Any

import numpy as np
import pytest
import torch

from multisk.errors import InputError
from multisk.sampling import CaptionedClips, collate_clips
from multisk.sampling.captioned import _slice
from multisk.settings.sampling import BenchmarkClips

Source = tuple[Any, Any, Any]  # store, corpus, words

pytestmark = pytest.mark.filterwarnings("ignore:.*have no features")


def test_missing_clips_are_counted_and_left_out(captioned: Source, benchmark_clips: BenchmarkClips) -> None:
    with pytest.warns(UserWarning, match="bench: test: 1 of 3 clips have no features"):
        dataset = CaptionedClips(*captioned, benchmark_clips, "test")
    assert dataset.clip_ids == ["first", "second"]
    assert dataset.missing == ["gone"]
    assert dataset.complete_size == 3
    stated = CaptionedClips(*captioned, benchmark_clips, "test", complete_size=1000)
    assert stated.complete_size == 1000


def test_a_complete_size_below_what_is_there_is_refused(
    captioned: Source, benchmark_clips: BenchmarkClips
) -> None:
    with pytest.raises(InputError, match=r"complete_size: 1 is less than the 2 test clips"):
        CaptionedClips(*captioned, benchmark_clips, "test", complete_size=1)


def test_a_split_without_features_is_refused(captioned: Source, benchmark_clips: BenchmarkClips) -> None:
    with pytest.raises(InputError, match="bench: validation: no clip with features"):
        CaptionedClips(*captioned, benchmark_clips, "validation")


def test_a_segment_of_a_video_has_its_own_features(
    captioned: Source, benchmark_clips: BenchmarkClips
) -> None:
    batch = collate_clips([CaptionedClips(*captioned, benchmark_clips, "test")[0]])
    assert batch["clip_id"] == ["first"]
    assert batch["caption"] == ["cut the onion"]
    assert batch["video_mask"].sum() == 12
    assert batch["audio_mask"].all()
    assert batch["audio"][0, 0, [0, -1]].tolist() == pytest.approx([-4.01, -12.0], abs=5e-3)
    assert batch["text_mask"].tolist() == [[True, True, True, False, False]]


def test_a_clip_reads_its_own_span_of_each_stream(
    captioned: Source, benchmark_clips: BenchmarkClips, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = CaptionedClips(*captioned, benchmark_clips, "test")
    store, spans = captioned[0], {}
    read = store.read

    def spy(video_id: str, stream: str, start: int, stop: int) -> np.ndarray:
        spans[stream] = (video_id, start, stop)
        return read(video_id, stream, start, stop)

    monkeypatch.setattr(store, "read", spy)
    dataset[0]
    assert spans == {"appearance": ("film", 4, 12), "motion": ("film", 6, 18), "logmel": ("film", 400, 1201)}


def test_seconds_beside_the_grid_of_features_take_no_feature_more() -> None:
    assert _slice(100.0, 8.2, 16.1) == (820, 1610)  # 819.99.. and 1610.00..2 in floating point


def test_a_clip_without_sound_has_empty_audio(captioned: Source, benchmark_clips: BenchmarkClips) -> None:
    item = CaptionedClips(*captioned, benchmark_clips, "test")[1]
    assert not item["audio_mask"].any()
    assert not item["audio"].any()
    assert item["video_mask"].all()


def test_training_draws_a_caption_per_epoch(captioned: Source, benchmark_clips: BenchmarkClips) -> None:
    dataset = CaptionedClips(*captioned, benchmark_clips, "train", seed=5)
    shown = []
    for epoch in range(30):
        dataset.set_epoch(epoch)
        shown += dataset[0]["caption"]
    assert set(shown) == {"cut", "stir", "soup"}
    dataset.set_epoch(7)
    assert dataset[0]["caption"] == [shown[7]]


def test_segments_split_video_and_sound_but_not_text(
    captioned: Source, benchmark_clips: BenchmarkClips
) -> None:
    whole = CaptionedClips(*captioned, benchmark_clips, "test")
    cut = CaptionedClips(*captioned, benchmark_clips.model_copy(update={"segments": 4}), "test")
    batch = collate_clips([cut[0], cut[1]])
    assert batch["clip_id"] == ["first"] * 4 + ["second"] * 4
    assert batch["audio"].shape == (8, 40, 200)
    assert torch.equal(torch.cat(list(batch["video"][:4])), whole[0]["video"][0])
    assert torch.equal(torch.cat(list(batch["audio"][:4]), dim=1), whole[0]["audio"][0])
    assert all(torch.equal(text, whole[0]["text"][0]) for text in batch["text"][:4])


def test_training_clips_are_never_cut(captioned: Source, benchmark_clips: BenchmarkClips) -> None:
    whole = CaptionedClips(*captioned, benchmark_clips, "train")[0]
    clips = benchmark_clips.model_copy(update={"segments": 4})
    uncut = CaptionedClips(*captioned, clips.whole, "train")[0]
    assert uncut["clip_id"] == ["practice"]
    assert all(torch.equal(uncut[key], x) for key, x in whole.items() if torch.is_tensor(x))


def test_segments_must_divide_the_tokens(benchmark_clips: BenchmarkClips) -> None:
    with pytest.raises(ValueError, match=r"segments \(5\) must divide"):
        BenchmarkClips(**{**benchmark_clips.model_dump(), "segments": 5})
