"""Video tokens of appearance alone: no network for motion, as in EAO's variant with CLIP."""

import numpy as np
import pytest
import torch

from multisk.errors import InputError
from multisk.features.extraction import extract
from multisk.features.extractors import Extractors, prepare_extractors
from multisk.sampling.reader import ClipReader, video_dimension
from multisk.settings.sampling import BenchmarkClips


@pytest.fixture
def alone(settings):
    return settings().model_copy(update={"motion": None})


@pytest.fixture
def extracted(tmp_path, corpus, alone):
    prepare_extractors(corpus, alone, tmp_path / "extractors")
    return extract(corpus, alone, tmp_path / "extractors", tmp_path / "features")


def test_features_are_those_of_both_networks_without_motion(tmp_path, corpus, settings, extracted) -> None:
    prepare_extractors(corpus, settings(), tmp_path / "both")
    both = extract(corpus, settings(), tmp_path / "both", tmp_path / "with-motion")
    assert sorted(extracted.streams()) == ["appearance", "logmel"]
    assert extracted.videos() == both.videos()
    for video in both.videos():
        for stream in extracted.streams():
            np.testing.assert_array_equal(extracted.read(video, stream), both.read(video, stream))


class Words:
    dimension = 2

    def encode(self, _text, max_words):
        return np.zeros((max_words, 2), np.float32), np.zeros(max_words, bool)


def test_clips_have_tokens_at_the_pace_of_appearance(extracted) -> None:
    clips = BenchmarkClips(video_tokens=4, audio_frames=64, words=2, sampling="clip", segments=1)
    reader, video = ClipReader(extracted, Words(), clips), extracted.videos()[0]
    assert list(reader.video_rates) == ["appearance"]
    length = extracted.length(video, "appearance")
    item = reader.read("clip", video, "", [(0, length)], (0, 64))
    assert item["video"].shape == (4, video_dimension(extracted))
    assert video_dimension(extracted) == extracted.dimension("appearance")
    assert item["video_mask"].sum() == min(4, length)
    norms = item["video"][item["video_mask"]].norm(dim=1)
    torch.testing.assert_close(norms, torch.ones_like(norms))


def test_networks_of_other_settings_are_refused(tmp_path, settings, extracted) -> None:
    with pytest.raises(InputError, match=r"features\.motion: .* has other settings"):
        Extractors.open(tmp_path / "extractors", settings())
