"""Frames: things, actions and places can be told apart, and both looks show the same world."""

from collections.abc import Callable

import numpy as np
import pytest

from miniature.film import FAR, NEAR, Film, Look, Shot, pictures
from miniature.grammar import ACTIONS, PLACES, THINGS, Step, possible_steps

SIZE = (64, 48)


def _frames(
    look: Look, step: Step, place: str = "kitchen", idle: bool = False, seconds: float = 1.0
) -> np.ndarray:
    film = Film("v", "train", place, seconds, (Shot(0.0, seconds, step, idle),), (1,))
    return np.stack([np.asarray(frame) for frame in pictures(film, look, SIZE, 12)])


def _apart(pictures: list[np.ndarray]) -> float:
    """Smallest mean difference between any two pictures."""
    pairs = [(a, b) for i, a in enumerate(pictures) for b in pictures[:i]]
    return min(float(np.abs(a.astype(float) - b).mean()) for a, b in pairs)


@pytest.mark.parametrize("look", [NEAR, FAR], ids=["near", "far"])
@pytest.mark.parametrize(
    "step", possible_steps()[::7], ids=lambda step: f"{step.action}-{step.colour}-{step.thing}"
)
def test_steps_can_be_drawn_and_move(look: Look, step: Step) -> None:
    frames = _frames(look, step)
    assert frames.shape == (12, SIZE[1], SIZE[0], 3)
    assert frames.dtype == np.uint8
    moved = np.abs(np.diff(frames.astype(float), axis=0)).mean(axis=(1, 2, 3))
    assert (moved > 0.3).mean() > 0.7


def test_idle_shots_are_still() -> None:
    frames = _frames(NEAR, Step("slice", "onion", "red"), idle=True)
    assert (frames == frames[0]).all()


@pytest.mark.parametrize("look", [NEAR, FAR], ids=["near", "far"])
def test_things_actions_and_places_differ(look: Look) -> None:
    red = [_frames(look, Step("wash", t.name, c), idle=True)[0] for t in THINGS.values() for c in t.colours]
    assert _apart(red) > 0.4
    shown = {step.action: step for step in possible_steps()}
    assert _apart([_frames(look, shown[action])[4] for action in ACTIONS]) > 1
    onion = Step("wash", "onion", "red")
    assert _apart([_frames(look, onion, place)[0] for place in PLACES]) > 10


def test_far_colours_stay_related() -> None:
    def tint(look: Look, colour: str) -> np.ndarray:
        things: Callable[[str], np.ndarray] = lambda c: _frames(look, Step("wash", "onion", c), idle=True)[0]  # noqa: E731
        return (things(colour).astype(float) - things("white").astype(float)).mean(axis=(0, 1))

    for colour in ("red", "yellow"):
        near, far = tint(NEAR, colour), tint(FAR, colour)
        assert near @ far / np.linalg.norm(near) / np.linalg.norm(far) > 0.8
