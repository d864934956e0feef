"""A further stream of features: declared once, then stored and read like the others."""

import numpy as np
import pytest
import torch

from multisk.features.store import FeatureStore, StoreWriter, Stream
from multisk.features.streams import STREAMS, Declared
from multisk.sampling.reader import ClipReader, video_dimension
from multisk.sampling.tokens import unit_length


@pytest.fixture
def store(tmp_path, monkeypatch):
    """A store of one video with the usual streams and a further one."""
    monkeypatch.setitem(STREAMS, "depth", Declared("video", rate=2.0))
    rng = np.random.default_rng(0)
    shapes = {"appearance": (10, 3), "motion": (15, 4), "logmel": (1000, 40), "depth": (20, 2)}
    streams = {name: Stream(rng.normal(size=shape), STREAMS[name].rate) for name, shape in shapes.items()}
    with StoreWriter(tmp_path / "features") as writer:
        writer.add("film", 10.0, streams)
    return FeatureStore.open(tmp_path / "features")


def test_a_further_stream_is_part_of_the_video_tokens(store, narrated, pretrain_clips):
    reader = ClipReader(store, narrated.words, pretrain_clips)
    assert reader.video_rates == {"appearance": 1.0, "motion": 1.5, "depth": 2.0}
    assert video_dimension(store) == 3 + 4 + 2
    item = reader.read("clip", "film", "cut the onion", [(2, 5), (3, 7), (4, 10)], (200, 500))
    filled = int(item["video_mask"].sum())
    assert filled == min(6, pretrain_clips.video_tokens)  # the last stream sets the pace
    depth = unit_length(store.read("film", "depth", 4, 4 + filled))
    torch.testing.assert_close(item["video"][:filled, 7:], torch.from_numpy(depth))


def test_a_store_without_it_has_the_usual_tokens(store, narrated):
    assert "depth" not in narrated.store.streams()
    assert video_dimension(narrated.store) == 3 + 2
