"""A very small miniature world, rendered once for all tests."""

from pathlib import Path

import pytest

from miniature.render import render_miniature
from miniature.settings import Miniature


@pytest.fixture(scope="session")
def settings() -> Miniature:
    return Miniature.model_validate(
        {
            "kind": "miniature",
            "rendered": ["howto", "youcook2", "msrvtt"],
            "calibrating": ["howto"],
            "seed": 3,
            "width": 64,
            "height": 48,
            "frames_per_second": 6,
            "workers": 2,
            "howto": {
                "videos": 2,
                "seconds": [7, 8],
                "lead_seconds": 2,
                "chat": 0.2,
                "dropped_words": 0.05,
                "misheard_words": 0.03,
            },
            "youcook2": {
                "train_videos": 1,
                "validation_videos": 1,
                "clips_per_video": 2,
                "clip_seconds": [2, 3],
            },
            "msrvtt": {
                "train_clips": 3,
                "test_clips": 4,
                "clip_seconds": [1, 2],
                "captions_per_train_clip": 3,
                "without_audio": 0.34,
                "missing": 0.25,
            },
        }
    )


@pytest.fixture(scope="session")
def world(settings: Miniature, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the three rendered corpora; tests only read it."""
    out = tmp_path_factory.mktemp("corpora")
    render_miniature(settings, out)
    return out
