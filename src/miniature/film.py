"""Films: shots of recipes, drawn and sounded in the look of a corpus."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import cos, radians, sin

import numpy as np
from PIL import Image, ImageChops

from miniature.drawing import Cutouts, Style
from miniature.grammar import Step
from miniature.motions import Stage, draw_step
from miniature.places import background
from miniature.sounds import action_sound, looped, place_sound
from miniature.speech import RATE
from miniature.things import Cutting

FADE_SECONDS = 0.08


@dataclass(frozen=True)
class Shot:
    """A span of a film, in seconds, that shows one step; an idle shot shows its thing lying there."""

    start: float
    end: float
    step: Step
    idle: bool = False
    captions: tuple[str, ...] = ()


@dataclass(frozen=True)
class Film:
    """The plan of one video."""

    video_id: str
    split: str
    place: str
    seconds: float
    shots: tuple[Shot, ...]
    seed: tuple[int, ...]
    audible: bool = True
    present: bool = True  # False: the corpus lists the clip, but nobody can get the file

    def generator(self, purpose: int) -> np.random.Generator:
        """Return the film's source of randomness for one purpose."""
        return np.random.default_rng([*self.seed, purpose])


@dataclass(frozen=True)
class Look:
    """How a corpus is filmed."""

    style: Style
    size: tuple[float, float]  # range of the scale at which things are shown
    drift: float  # how far from the middle they may lie, in picture heights
    shake: float  # of the camera, in picture heights
    turn: float  # of the camera, in degrees
    grain: int  # of the pictures, in levels of 255


NEAR = Look(Style(0, 1, 1, outlined=False, patterned=False), (1.0, 1.12), 0.1, 0, 0, 0)
FAR = Look(Style(0.04, 0.85, 0.97, outlined=True, patterned=True), (0.82, 1.05), 0.16, 0.02, 3.0, 9)


def pictures(film: Film, look: Look, size: tuple[int, int], frames_per_second: int) -> Iterator[Image.Image]:
    """Draw a film's frames: RGB pictures of `size` (width, height)."""
    rng = film.generator(0)
    camera = Camera(look, size, rng)
    empty = background(look.style, film.place, *size, rng)
    scale = size[1] * rng.uniform(*look.size)
    cutouts = Cutouts(look.style, scale)
    stages = {
        shot: Stage(
            cutouts,
            Cutting(cutouts, shot.step.thing, shot.step.colour),
            size[0] / 2 + size[1] * rng.uniform(-look.drift, look.drift),
            size[1] * rng.uniform(0.61, 0.64),
        )
        for shot in film.shots
    }
    for number in range(round(film.seconds * frames_per_second)):
        time = number / frames_per_second
        shot = next((shot for shot in film.shots if time < shot.end), film.shots[-1])
        frame = empty.copy()
        since, length = time - shot.start, shot.end - shot.start
        draw_step(stages[shot], frame, None if shot.idle else shot.step.action, since, min(since / length, 1))
        yield camera.seen(frame, time)


class Camera:
    """What the lens does to a picture: a hand that is not quite still, and grain."""

    def __init__(self, look: Look, size: tuple[int, int], rng: np.random.Generator):
        self._look = look
        self._phase = rng.uniform(0, 6)
        levels = rng.integers(128 - look.grain, 129 + look.grain, (8, size[1], size[0]), dtype=np.uint8)
        self._grain = [Image.fromarray(picture).convert("RGB") for picture in levels] if look.grain else []

    def seen(self, frame: Image.Image, time: float) -> Image.Image:
        """Return the frame as filmed at some second."""
        if self._look.shake:
            frame = self._moved(frame, time)
        if self._grain:
            frame = ImageChops.add(frame, self._grain[int(997 * time) % len(self._grain)], 1, -128)
        return frame

    def _moved(self, frame: Image.Image, time: float) -> Image.Image:
        width, height = frame.size
        angle = radians(self._look.turn * sin(1.1 * time + self._phase))
        zoom = 0.87 + 0.03 * sin(0.7 * time + 2 * self._phase)
        a, b = zoom * cos(angle), zoom * sin(angle)
        x = width / 2 + self._look.shake * height * sin(5.3 * time + self._phase)
        y = height / 2 + self._look.shake * height * cos(4.1 * time + 3 * self._phase)
        shift_x, shift_y = x - a * width / 2 - b * height / 2, y + b * width / 2 - a * height / 2
        values = (a, b, shift_x, -b, a, shift_y)
        return frame.transform(frame.size, Image.Transform.AFFINE, values, Image.Resampling.BILINEAR)


def scene_sound(film: Film, action: float, ambience: float) -> np.ndarray:
    """Return what the scene itself sounds like, f32 [N] at speech.RATE: actions on the place's ambience."""
    rng = film.generator(1)
    count = round(film.seconds * RATE)
    place = place_sound(film.place)
    sound = ambience * rng.uniform(0.7, 1.3) * looped(place, count, int(rng.integers(len(place))))
    for shot in film.shots:
        level = action * rng.uniform(0.8, 1.2)
        if not shot.idle:
            start, stop = round(shot.start * RATE), min(round(shot.end * RATE), count)
            sound[start:stop] += level * _faded(looped(action_sound(shot.step.action), stop - start))
    return sound.astype(np.float32)


def limited(sound: np.ndarray) -> np.ndarray:
    """Return the sound with its peaks rounded off below full scale."""
    return np.tanh(sound, dtype=np.float32) * np.float32(0.95)


def _faded(sound: np.ndarray) -> np.ndarray:
    edge = min(round(FADE_SECONDS * RATE), len(sound) // 2)
    ramp = np.linspace(0, 1, edge, dtype=np.float32)
    sound[:edge] *= ramp
    sound[len(sound) - edge :] *= ramp[::-1]
    return sound
