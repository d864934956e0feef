"""Clip sampling against recorded clips.

Recorded but not carried over, for they have no meaning: the double width that the release gives to a
lone appearance stream in max-pool and nearest sampling, and crashes of its second copy.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from tests.reference.release import video_vector

from multisk.features.words import WordVectors
from multisk.sampling import CaptionedClips, NarratedClips, collate_clips
from multisk.sampling.narrations import Narrations, captioned_span
from multisk.sampling.reader import Item
from multisk.sampling.tokens import (
    audio_slice,
    audio_tokens,
    duration_of,
    frame_at,
    video_slice,
    video_tokens,
)
from multisk.settings.sampling import BenchmarkClips, PretrainClips

TOLERANCE: dict[str, Any] = {"rtol": 1e-4, "atol": 1e-5}
RATES = {"appearance": 1.0, "motion": 1.5, "logmel": 100.0}


class Store:
    """A feature store in memory, in single precision as recorded."""

    def __init__(self, features: dict[str, dict[str, np.ndarray]]) -> None:
        self.features = features

    def videos(self) -> list[str]:
        return list(self.features)

    def streams(self) -> list[str]:
        return list(next(iter(self.features.values())))

    def rate(self, stream: str) -> float:
        return RATES[stream]

    def length(self, video_id: str, stream: str) -> int:
        return len(self.features[video_id][stream])

    def read(self, video_id: str, stream: str, start: int = 0, stop: int | None = None) -> np.ndarray:
        return self.features[video_id][stream][start:stop].astype(np.float32)


def word_vectors(table: dict[str, Any]) -> WordVectors:
    return WordVectors(table["words"], table["vectors"].numpy())


def words_of(text: str) -> list[str]:
    return re.findall(r"[\w']+", text)


def load(case: Path) -> Any:
    return torch.load(case, weights_only=True)


def narrations_of(video: dict[str, Any]) -> Narrations:
    caption = video["caption"]
    return Narrations(np.array(caption["start"]), np.array(caption["end"]), caption["text"])


def check_item(item: Item, recorded: dict[str, Any]) -> None:
    """Compare a clip's arrays and masks with a recorded item."""
    for key in ("video", "audio", "text"):
        torch.testing.assert_close(item[key], recorded[key], **TOLERANCE)
        torch.testing.assert_close(item[f"{key}_mask"].float(), recorded[f"{key}_mask"].float())


# --- tokens ------------------------------------------------------------------------------------


@pytest.mark.recorded("E_data", "create_video_features.pt")
def test_video_tokens(case: Path) -> None:
    for row in load(case):
        streams = [row[f"feat_{name}"].numpy() for name in ("2d", "3d") if row[f"has_{name}"]]
        if row["n_tokens"] == 0:
            vector = torch.from_numpy(video_vector(streams))
            torch.testing.assert_close(vector, row["video"], **TOLERANCE)
            continue
        tokens, mask = map(torch.from_numpy, video_tokens(streams, row["n_tokens"], row["strategy"]))
        torch.testing.assert_close(mask.float(), row["mask"])
        recorded = row["video"]
        if not row["has_3d"] and recorded.shape[1] == 2 * tokens.shape[1]:
            left, right = recorded.chunk(2, dim=1)
            torch.testing.assert_close(left, right)
            recorded = left
        torch.testing.assert_close(tokens, recorded, **TOLERANCE)


@pytest.mark.recorded("E_data", "utils.pt")
def test_audio_tokens(case: Path) -> None:
    for row in load(case)["audio"]:
        audio, mask = audio_tokens(row["mel"].float().numpy().T, row["max_frames"])
        torch.testing.assert_close(torch.from_numpy(audio), row["audio"])
        torch.testing.assert_close(torch.from_numpy(mask).float(), row["mask"])
        assert mask.sum() == row["n_frames"]


@pytest.mark.recorded("E_data", "utils.pt")
def test_text_tokens(case: Path) -> None:
    recorded = load(case)
    words = word_vectors(recorded["we"])
    for row in recorded["text"]:
        text, mask = words.encode("None" if row["is_none"] else row["sentence"], row["max_words"])
        torch.testing.assert_close(torch.from_numpy(text), row["text"], rtol=0, atol=0)
        torch.testing.assert_close(torch.from_numpy(mask).float(), row["mask"])


@pytest.mark.recorded("E_data", "utils.pt")
def test_crop(case: Path) -> None:
    crop = load(case)["crop"]
    for row in crop["cases"]:
        first, stop = audio_slice(row["start"], row["end"], crop["mel"].shape[1])
        torch.testing.assert_close(crop["mel"][:, first:stop], row["out"], rtol=0, atol=0)


@pytest.mark.recorded("E_data", "utils.pt")
def test_times_and_frames(case: Path) -> None:
    recorded = load(case)["librosa"]
    assert [frame_at(time) for time in recorded["times"].tolist()] == recorded["time_to_frames"].tolist()
    durations = recorded["frames_to_time"].long().tolist()
    assert [duration_of(frames) for frames in recorded["frames"].tolist()] == durations


@pytest.mark.recorded("E_data", "utils.pt")
def test_video_of_a_span(case: Path) -> None:
    recorded = load(case)["get_video"]
    spans = zip(recorded["starts"].tolist(), recorded["ends"].tolist(), strict=True)
    for row, (start, end) in enumerate(spans):
        streams = [
            recorded[name].numpy()[slice(*video_slice(start, end, rate))]
            for name, rate in (("feat_2d", 1.0), ("feat_3d", 1.5))
        ]
        for borders in recorded["out"].values():
            tokens, mask = video_tokens(streams, borders["video"].shape[1])
            torch.testing.assert_close(torch.from_numpy(tokens), borders["video"][row], **TOLERANCE)
            torch.testing.assert_close(torch.from_numpy(mask).float(), borders["mask"][row].float())


# --- narrated videos ---------------------------------------------------------------------------


@pytest.mark.recorded("E_data", "howto_dataset.pt")
def test_narrated_clips(case: Path) -> None:
    recorded = load(case)
    paths = recorded["csv"].split()[1:]
    for run in recorded["runs"]:
        dataset, video_id = narrated(recorded, run["kwargs"]), paths[run["idx"]].split("/")[-1]
        rng = np.random.RandomState(run["numpy_seed"])
        item = dataset.draw(video_id, rng)
        check_item(item, run["item"])
        assert [words_of(text) for text in item["caption"]] == [words_of(t) for t in run["item"]["raw_text"]]
        assert starts_of(item["clip_id"]) == pytest.approx(recorded_starts(run["item"]), abs=1e-3)
        assert rng.rand() == run["next_rand"]


def starts_of(clip_ids: list[str]) -> list[float]:
    return [float(clip_id.split("@")[1]) for clip_id in clip_ids]


def recorded_starts(item: dict[str, Any]) -> list[float]:
    meta = item["meta"]
    return [float(key.removeprefix(path)) for key, path in zip(meta["ids"], meta["paths"], strict=True)]


def narrated(recorded: dict[str, Any], kwargs: dict[str, Any]) -> NarratedClips:
    streams = {"appearance": "features_2d", "motion": "features_3d"}
    if not kwargs.get("use_2D", True):
        del streams["appearance"]
    features = {
        video_id: {
            **{stream: video[key].numpy() for stream, key in streams.items()},
            "logmel": video["mel"].numpy().T,
        }
        for video_id, video in recorded["videos"].items()
    }
    corpus: Any = SimpleNamespace(
        name="howto",
        videos=pd.DataFrame({"video_id": list(features), "split": "train"}),
        captions=lambda video_id: pd.DataFrame(recorded["videos"][video_id]["caption"]),
    )
    return NarratedClips(
        Store(features), corpus, word_vectors(recorded["we"]), pretrain_clips(kwargs), seed=0
    )


def pretrain_clips(kwargs: dict[str, Any]) -> PretrainClips:
    return PretrainClips(
        corpus="howto",
        share=1,
        misaligned=0,
        clips_per_video=kwargs["n_clips"],
        seconds=kwargs["min_time"],
        video_tokens=kwargs["n_video_tokens"],
        audio_frames=kwargs["num_audio_STFT_frames"],
        words=kwargs["max_words"],
        sampling=kwargs.get("video_sampling_strategy", "clip"),
        shift_audio=kwargs.get("flag_text_audio_misaligned", False),
    )


@pytest.mark.recorded("E_data", "howto_by_ind.pt")
def test_clips_of_a_caption(case: Path) -> None:
    recorded = load(case.with_name("howto_dataset.pt"))
    words = word_vectors(recorded["we"])
    for row in load(case):
        video = recorded["videos"][row["vid"]]
        mel, count = video["mel"].float().numpy().T, len(row["audio_mask"])
        rng = np.random.RandomState(7)
        span = captioned_span(narrations_of(video), row["ind"], 8.0, rng, row["flag"])
        first, stop = audio_slice(span.audio_start, span.audio_end, len(mel))
        audio, mask = audio_tokens(mel[first:stop], count)
        text, text_mask = words.encode(span.text, len(row["text"]))
        assert (span.start, span.end) == pytest.approx((row["start"], row["end"]))
        assert words_of(span.text) == words_of(row["raw"])
        assert mask.sum() == row["nframes"]
        assert audio.sum(dtype=np.float64) == pytest.approx(row["audio_sum"].item(), rel=1e-5)
        torch.testing.assert_close(torch.from_numpy(audio[:, :3]), row["audio_first"])
        torch.testing.assert_close(torch.from_numpy(mask).float(), row["audio_mask"].float())
        torch.testing.assert_close(torch.from_numpy(text), row["text"])
        torch.testing.assert_close(torch.from_numpy(text_mask).float(), row["text_mask"].float())


# --- captioned clips ---------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:.*have no features")
@pytest.mark.recorded("E_data", "msrvtt_youcook.pt")
def test_captioned_clips(case: Path) -> None:
    recorded = load(case)
    for kind, run in successful_runs(recorded):
        dataset = captioned(recorded, kind, run["kwargs"], "test")
        assert len(dataset) == len(run["items"])
        for index, expected in enumerate(run["items"]):
            check_benchmark_item(dataset[index], expected)


def successful_runs(recorded: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for kind in ("msrvtt", "youcook"):
        for run in recorded[kind]:
            if run["items"] and run["kwargs"]["n_video_tokens"] > 0:
                yield kind, run


def check_benchmark_item(item: Item, expected: dict[str, Any]) -> None:
    """The release keeps unsound segments and names them -1; evaluation then drops them."""
    ids, texts = expected["meta"]["ids"], expected["raw_text"]
    if isinstance(ids, str):
        keys = [key for key in expected if key in item]
        expected = {key: expected[key][None] for key in keys}
        ids, texts = [ids], [texts]
    sound = [index for index, key in enumerate(ids) if key != "-1"]
    assert item["clip_id"] == [ids[index] for index in sound]
    assert [words_of(text) for text in item["caption"]] == [words_of(texts[index]) for index in sound]
    check_item(item, {key: value[sound] for key, value in expected.items() if torch.is_tensor(value)})


@pytest.mark.recorded("E_data", "msrvtt_youcook.pt")
def test_clips_as_vectors(case: Path) -> None:
    recorded = load(case)
    for kind, key in (("msrvtt", "msrvtt_unique_items"), ("youcook", "youcook_items")):
        clips = list(clips_of(recorded[key], kind).values())
        for run in recorded[kind]:
            if not run["items"] or run["kwargs"]["n_video_tokens"] > 0:
                continue
            for clip, item in zip(clips, run["items"], strict=True):
                vector = torch.from_numpy(video_vector([clip["appearance"], clip["motion"]]))
                torch.testing.assert_close(vector, item["video"], **TOLERANCE)


@pytest.mark.recorded("E_data", "msrvtt_youcook.pt")
def test_training_shows_any_of_the_captions(case: Path) -> None:
    recorded = load(case)
    kwargs = recorded["msrvtt"][0]["kwargs"]
    dataset = captioned(recorded, "msrvtt", kwargs, "train")
    for index, (item, text) in enumerate(
        zip(recorded["msrvtt_unique_items"], recorded["msrvtt_training_raw_text"]["raw_text"], strict=True)
    ):
        shown = set()
        for epoch in range(20 * len(item["caption"])):
            dataset.set_epoch(epoch)
            shown.update(dataset[index]["caption"])
        assert shown == set(item["caption"])
        assert text in shown


def clips_of(items: list[dict[str, Any]], kind: str) -> dict[str, dict[str, np.ndarray]]:
    suffix = "" if kind == "msrvtt" else "_full"
    return {
        item["id"]: {
            "appearance": item[f"2d{suffix}"].numpy(),
            "motion": item[f"3d{suffix}"].numpy(),
            "logmel": item["audio"].numpy().T,
        }
        for item in items
        if f"2d{suffix}" in item
    }


def captioned(recorded: dict[str, Any], kind: str, kwargs: dict[str, Any], split: str) -> CaptionedClips:
    items = recorded["msrvtt_unique_items" if kind == "msrvtt" else "youcook_items"]
    table = pd.DataFrame(
        {
            "clip_id": [item["id"] for item in items],
            "video_id": [item["id"] for item in items],
            "start": 0.0,
            "end": 1e6,
            "split": split,
            "captions": [captions_of(item, kind, split) for item in items],
        }
    )
    corpus: Any = SimpleNamespace(name=kind, of_split=lambda _: table)
    segments = kwargs.get("n_clips", 1)
    clips = BenchmarkClips(
        video_tokens=kwargs["n_video_tokens"] * segments,
        audio_frames=kwargs["num_audio_STFT_frames"] * segments,
        words=kwargs["max_words"],
        sampling=kwargs.get("video_sampling_strategy", "clip"),
        segments=segments,
    )
    return CaptionedClips(Store(clips_of(items, kind)), corpus, word_vectors(recorded["we"]), clips, split)


def captions_of(item: dict[str, Any], kind: str, split: str) -> list[str]:
    if kind == "youcook":
        return [item["caption"]]
    return item["caption"] if split == "train" else [item["eval_caption"]]


@pytest.mark.recorded("E_data", "utils.pt")
def test_segments(case: Path) -> None:
    for row in load(case)["cut"]:
        inputs, segments = row["inputs"], row["n_clips"]
        clip = {
            "appearance": np.zeros((1, 0), np.float32),
            "motion": inputs["video"].numpy(),
            "logmel": inputs["audio"][:, : row["nframes"]].numpy().T,
        }
        item = collate_clips([cut(clip, inputs, segments)])
        sound = [index for index, key in enumerate(row["out"]["ids"]) if key != "-1"]
        heard = row["out"]["audio_mask"][sound, None] > 0  # the recorded padding holds noise
        torch.testing.assert_close(item["audio"], row["out"]["audio"][sound] * heard)
        torch.testing.assert_close(item["audio_mask"].float(), row["out"]["audio_mask"][sound])
        torch.testing.assert_close(item["video_mask"].float(), row["out"]["video_mask"][sound])
        unit = torch.nn.functional.normalize(row["out"]["video"][sound], dim=-1)
        torch.testing.assert_close(item["video"], unit, **TOLERANCE)
        assert item["clip_id"] == ["vid7"] * len(sound)


def cut(clip: dict[str, np.ndarray], inputs: dict[str, torch.Tensor], segments: int) -> Item:
    table = pd.DataFrame(
        {"clip_id": ["vid7"], "video_id": ["vid7"], "start": [0.0], "end": [1e6], "split": ["test"]}
    )
    table["captions"] = [["some words"]]
    corpus: Any = SimpleNamespace(name="msrvtt", of_split=lambda _: table)
    words = word_vectors({"words": ["some"], "vectors": torch.zeros(1, inputs["text"].shape[1])})
    clips = BenchmarkClips(
        video_tokens=len(inputs["video"]),
        audio_frames=inputs["audio"].shape[1],
        words=len(inputs["text"]),
        sampling="clip",
        segments=segments,
    )
    return CaptionedClips(Store({"vid7": clip}), corpus, words, clips, "test")[0]
