"""Backgrounds: one picture for each place, with a table in front."""

from collections.abc import Callable
from math import pi, sin

import numpy as np
from PIL import Image

from miniature.drawing import Colour, Pen, Style

TABLE = 0.12  # where the table begins, below the middle of the picture
Scene = Callable[[Pen, float, np.random.Generator], Colour]


def background(style: Style, place: str, width: int, height: int, rng: np.random.Generator) -> Image.Image:
    """Return the RGB picture of a place; `rng` moves its details about."""
    across = width / height / 2
    pen = Pen(style, height, width / height, 1.0)
    table = PLACES[place](pen, across, rng)
    if style.patterned:
        for x in np.arange(-across, across, 0.14):
            for y in np.arange(-0.5, TABLE, 0.14):
                pen.ellipse(x, y, 0.014, 0.014, (250, 244, 220))
    pen.box(0, 0.5, across, 0.5 - TABLE, table)
    pen.box(0, TABLE + 0.012, across, 0.012, table, 1.2)
    for y in (0.24, 0.36):
        lean = rng.uniform(-0.02, 0.02)
        pen.line([(-across, y), (0, y + lean), (across, y)], 0.006, table, 0.88)
    picture = pen.sprite(lit=False).image.convert("RGB")
    left, top = (picture.width - width) // 2, (picture.height - height) // 2
    return picture.crop((left, top, left + width, top + height))


def _wall(pen: Pen, across: float, colour: Colour, light: float = 1) -> None:
    pen.box(0, 0, across + 0.05, 0.55, colour, light)


def _kitchen(pen: Pen, across: float, rng: np.random.Generator) -> Colour:
    _wall(pen, across, (196, 222, 226))
    for x in np.arange(-across, across + 0.1, 0.16):
        pen.line([(x, -0.5), (x, TABLE)], 0.008, (250, 252, 252))
    for y in np.arange(-0.5, TABLE, 0.16):
        pen.line([(-across, y), (across, y)], 0.008, (250, 252, 252))
    pen.box(0, -0.27, across, 0.018, (150, 100, 62))
    for x in np.arange(-across + 0.1, across, 0.24):
        colour = [(222, 120, 100), (250, 220, 150), (120, 160, 190)][int(rng.integers(3))]
        pen.box(x, -0.34, 0.05, 0.055, colour, 1, 0.015)
    return 224, 214, 200


def _garden(pen: Pen, across: float, rng: np.random.Generator) -> Colour:
    _wall(pen, across, (150, 208, 246))
    pen.ellipse(rng.uniform(-0.5, 0.5), -0.4, 0.09, 0.09, (255, 236, 120))
    for x in np.arange(-across, across + 0.2, 0.17):
        pen.ellipse(
            x, TABLE - 0.05 + rng.uniform(-0.04, 0.04), 0.14, 0.2, (70, 140, 76), rng.uniform(0.9, 1.15)
        )
    for _ in range(12):
        pen.ellipse(rng.uniform(-across, across), rng.uniform(-0.06, 0.1), 0.018, 0.018, (255, 170, 200))
    return 170, 124, 80


def _workshop(pen: Pen, across: float, rng: np.random.Generator) -> Colour:
    _wall(pen, across, (148, 116, 88))
    for x in np.arange(-across, across, 0.1):
        for y in np.arange(-0.46, TABLE, 0.1):
            pen.ellipse(x, y, 0.007, 0.007, (96, 72, 54))
    for x in np.arange(-across + 0.12, across, 0.3):
        pen.box(x, -0.26, 0.016, 0.11, (226, 160, 40)).box(
            x, -0.37, rng.uniform(0.04, 0.08), 0.03, (70, 74, 84)
        )
    return 118, 124, 134


def _campsite(pen: Pen, across: float, rng: np.random.Generator) -> Colour:
    _wall(pen, across, (62, 58, 112))
    for _ in range(22):
        pen.ellipse(rng.uniform(-across, across), rng.uniform(-0.5, -0.1), 0.008, 0.008, (250, 244, 200))
    for x in np.arange(-across, across + 0.1, 0.2):
        high = rng.uniform(0.2, 0.34)
        pen.polygon([(x - 0.1, TABLE), (x, TABLE - high), (x + 0.1, TABLE)], (34, 70, 66))
    x = rng.choice([-0.42, 0.42])
    pen.polygon([(x - 0.22, TABLE), (x, -0.2), (x + 0.22, TABLE)], (236, 140, 60))
    pen.polygon([(x - 0.05, TABLE), (x, -0.2), (x + 0.05, TABLE)], (120, 60, 40))
    return 96, 74, 66


def _beach(pen: Pen, across: float, rng: np.random.Generator) -> Colour:
    _wall(pen, across, (176, 230, 250))
    pen.box(0, 0.04, across, 0.12, (30, 150, 190))
    for y in (-0.03, 0.03, 0.08):
        waves = [
            (x, y + 0.012 * sin(2 * pi * (3 * x + 5 * y))) for x in np.arange(-across, across + 0.05, 0.04)
        ]
        pen.line(waves, 0.012, (224, 246, 250))
    x = rng.choice([-0.4, 0.4])
    pen.line([(x, -0.3), (x, TABLE)], 0.02, (240, 240, 240))
    pen.polygon([(x - 0.22, -0.24), (x, -0.44), (x + 0.22, -0.24)], (240, 90, 80))
    pen.polygon([(x - 0.08, -0.24), (x, -0.44), (x + 0.08, -0.24)], (250, 246, 236))
    return 240, 214, 160


def _market(pen: Pen, across: float, rng: np.random.Generator) -> Colour:
    _wall(pen, across, (250, 224, 170))
    for i, x in enumerate(np.arange(-across, across + 0.12, 0.15)):
        colour = (206, 60, 60) if i % 2 else (250, 246, 236)
        pen.box(x, -0.4, 0.075, 0.12, colour).ellipse(x, -0.28, 0.075, 0.05, colour)
    for x in np.arange(-across + 0.15, across, 0.34):
        pen.box(x, 0.05, 0.14, 0.07, (176, 126, 74))
        for dx in (-0.09, -0.03, 0.03, 0.09):
            pen.ellipse(
                x + dx,
                -0.02,
                0.035,
                0.035,
                [(230, 150, 50), (160, 190, 70), (210, 80, 80)][int(rng.integers(3))],
            )
    return 64, 130, 110


PLACES: dict[str, Scene] = {
    "kitchen": _kitchen,
    "garden": _garden,
    "workshop": _workshop,
    "campsite": _campsite,
    "beach": _beach,
    "market": _market,
}
