"""Two small corpora with features, written by the project's own writers."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest

from multisk.corpora.manifest import Corpus, write_corpus
from multisk.features.store import FeatureStore, StoreWriter, Stream
from multisk.features.words import WordVectors
from multisk.settings.sampling import BenchmarkClips, PretrainClips


class Source(NamedTuple):
    store: FeatureStore
    corpus: Corpus
    words: WordVectors


def word_vectors() -> WordVectors:
    words = ["cut", "the", "onion", "stir", "soup", "now"]
    return WordVectors(words, np.eye(len(words), dtype=np.float32))


def write_store(folder: Path, seconds: dict[str, float], silent: tuple[str, ...] = ()) -> FeatureStore:
    """Feature i of a video is (i + 1, ...): a value tells where it came from."""
    with StoreWriter(folder) as writer:
        for video_id, length in seconds.items():
            streams = {
                "appearance": Stream(ramp(int(length), 3), rate=1.0),
                "motion": Stream(ramp(int(length * 1.5), 2), rate=1.5),
                "logmel": Stream(-ramp(int(length * 100) + 1, 40) / 100, rate=100.0),
            }
            if video_id in silent:
                streams["logmel"] = Stream(np.zeros((0, 40)), 100.0, "absent", "no audio track")
            writer.add(video_id, length, streams)
    return FeatureStore.open(folder)


def ramp(length: int, width: int) -> np.ndarray:
    return np.repeat(np.arange(1, length + 1)[:, None], width, axis=1).astype(float)


@pytest.fixture(scope="session")
def narrated(tmp_path_factory: pytest.TempPathFactory) -> Source:
    """Videos of 40 and 20 s with sound, one of 20 s without, one whose features were never made."""
    folder = tmp_path_factory.mktemp("narrated")
    seconds = {"long": 40.0, "short": 20.0, "silent": 20.0}
    captions = pd.DataFrame(
        {"start": [2.0, 9.0, 30.0], "end": [6.0, 12.0, 33.0], "text": ["cut the onion", "stir", "soup now"]}
    )
    videos = pd.DataFrame({"video_id": [*seconds, "lost"], "split": "train", "seconds": 40.0})
    videos["path"] = videos["video_id"] + ".mp4"
    corpus = write_corpus(
        folder / "corpus",
        name="howto",
        role="narrated",
        description="",
        videos=videos,
        captions=dict.fromkeys(videos["video_id"], captions),
    )
    return Source(write_store(folder / "features", seconds, silent=("silent",)), corpus, word_vectors())


@pytest.fixture(scope="session")
def captioned(tmp_path_factory: pytest.TempPathFactory) -> Source:
    """A video of 30 s with two test clips and a training clip; a third test clip has no file."""
    folder = tmp_path_factory.mktemp("captioned")
    clips = pd.DataFrame(
        {
            "clip_id": ["first", "second", "gone", "practice"],
            "video_id": ["film", "mute", "nowhere", "film"],
            "start": [4.0, 0.0, 0.0, 10.0],
            "end": [12.0, 30.0, 8.0, 18.0],
            "split": ["test", "test", "test", "train"],
            "captions": [["cut the onion"], ["stir"], ["soup"], ["cut", "stir", "soup"]],
        }
    )
    videos = pd.DataFrame({"video_id": ["film", "mute"], "split": "test", "seconds": 30.0})
    videos["path"] = videos["video_id"] + ".mp4"
    corpus = write_corpus(
        folder / "corpus", name="bench", role="captioned", description="", videos=videos, clips=clips
    )
    store = write_store(folder / "features", {"film": 30.0, "mute": 30.0}, silent=("mute",))
    return Source(store, corpus, word_vectors())


@pytest.fixture
def pretrain_clips() -> PretrainClips:
    return PretrainClips(
        corpus="howto",
        share=1,
        misaligned=0,
        clips_per_video=3,
        seconds=8,
        video_tokens=12,
        audio_frames=768,
        words=5,
        sampling="clip",
        shift_audio=True,
    )


@pytest.fixture
def benchmark_clips() -> BenchmarkClips:
    return BenchmarkClips(
        video_tokens=12,
        audio_frames=800,
        words=5,
        sampling="clip",
        segments=1,
    )
