"""Batches across videos: every frame's features once, in order, whatever the company."""

from collections import defaultdict

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from multisk.features.appearance import AppearanceNetwork
from multisk.features.batching import Batches, repeatable
from multisk.features.extractors import draw_weights
from multisk.features.motion import MotionNetwork, ResNeXt3d

SIDES = (2, 3)


class Summing:
    """A network whose features of a window are the sums of its frames; it notes the batches that it sees."""

    def __init__(self, window: int) -> None:
        self.window = window
        self.shapes: list[tuple[int, ...]] = []

    def __call__(self, frames: Tensor) -> Tensor:
        self.shapes.append(tuple(frames.shape))
        return frames.float().sum(dim=(1, 2, 3)).view(-1, self.window).sum(dim=1, keepdim=True)


def gather(batches: Batches, pieces: list[tuple[str, Tensor]]) -> dict[str, Tensor]:
    made = defaultdict(list)
    for video, frames in pieces:
        for owner, features in batches.add(video, frames):
            made[owner].append(features)
    for owner, features in batches.flush():
        made[owner].append(features)
    assert not any(video in batches for video, _ in pieces)
    return {video: torch.cat(parts) for video, parts in made.items()}


@given(
    lengths=st.lists(st.tuples(st.integers(1, 30), st.sampled_from(SIDES)), min_size=1, max_size=12),
    window=st.sampled_from([1, 4]),
    windows=st.integers(1, 5),
    data=st.data(),
)
def test_every_window_is_seen_once_and_in_order(lengths, window, windows, data) -> None:
    size, total = window * windows, 0
    videos, pieces = {}, []
    for number, (length, side) in enumerate(lengths):
        levels = torch.arange(total + 1, total + length + 1, dtype=torch.int32)
        videos[f"v{number}"] = levels[:, None, None, None].expand(length, side, side, 3)
        total += length
        # A piece holds whole windows, but for a video's last.
        pieces += [(f"v{number}", part) for part in videos[f"v{number}"].split(2 * window)]
    network = Summing(window)
    made = gather(Batches(network, size, window), pieces)
    assert set(network.shapes) <= {(size, side, side, 3) for side in SIDES}
    for video, frames in videos.items():
        padded = torch.cat([frames, frames.new_zeros(-len(frames) % window, *frames.shape[1:])])
        assert torch.equal(made[video], Summing(window)(padded))


def test_who_waits_is_known() -> None:
    batches = Batches(Summing(1), size=4)
    assert list(batches.add("a", torch.zeros(3, 2, 2, 3, dtype=torch.uint8))) == []
    assert "a" in batches
    done = [video for video, _ in batches.add("b", torch.zeros(2, 2, 2, 3, dtype=torch.uint8))]
    assert done == ["a", "b"]
    assert "a" not in batches
    assert "b" in batches


DEVICES = [
    "cpu",
    pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")),
]


@pytest.mark.parametrize("device", DEVICES)
@torch.inference_mode()
def test_features_do_not_depend_on_the_company_to_the_last_bit(device: str) -> None:
    picture = AppearanceNetwork("resnet10t")
    moving = MotionNetwork(ResNeXt3d((1, 1, 1, 1), cardinality=4, width=32), window=16)
    generator = torch.Generator().manual_seed(0)
    for network, side, window in ((picture, 96, 1), (moving, 32, 16)):
        draw_weights(network, seed=0)
        network.eval().to(device)
        frames = torch.randint(0, 256, (6, 2 * window, side, side, 3), generator=generator, dtype=torch.uint8)
        videos = [(f"v{number}", part.to(device)) for number, part in enumerate(frames)]
        with repeatable():
            together = gather(Batches(network, 4 * window, window), videos)
            backwards = gather(Batches(network, 4 * window, window), videos[::-1])
            alone = [gather(Batches(network, 4 * window, window), [one]) for one in videos]
        for video, features in [item for one in alone for item in one.items()]:
            assert torch.equal(together[video], features)
            assert torch.equal(backwards[video], features)
