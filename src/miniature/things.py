"""What the things look like: whole, in pieces, and filling a vessel."""

from collections.abc import Callable, Iterator
from math import cos, pi, sin

import numpy as np
from PIL import Image

from miniature.drawing import Colour, Cutouts, Pen, Point, Sprite, masked
from miniature.grammar import THINGS

COLOURS: dict[str, Colour] = {
    "red": (206, 44, 52),
    "orange": (240, 130, 34),
    "yellow": (246, 208, 62),
    "green": (88, 164, 62),
    "purple": (122, 56, 140),
    "brown": (146, 92, 52),
    "white": (242, 236, 222),
    "pink": (242, 140, 172),
    "blue": (58, 104, 206),
    "black": (58, 50, 56),
    "grey": (150, 152, 160),
}
LEAF: Colour = (70, 140, 50)
STALK: Colour = (110, 130, 50)
GLASS: Colour = (214, 232, 238)
Shape = Callable[[Pen, Colour], object]


class Cutting:
    """The pictures of one thing in one colour."""

    def __init__(self, cutouts: Cutouts, name: str, colour: str):
        self.thing = THINGS[name]
        self.colour = COLOURS[colour]
        self.shown = cutouts.style.paint(self.colour)
        self._cutouts = cutouts
        self._key = (name, colour)

    def whole(self) -> Sprite:
        """Return the thing itself, about 0.56 high or wide: grain as a heap, liquid in its vessel."""

        def make() -> Sprite:
            pen = self._cutouts.pen(0.64, 0.6)
            SHAPES[self.thing.shape](pen, self.colour)
            return pen.sprite()

        return self._cutouts.get(("whole", *self._key), make)

    def small(self) -> Sprite:
        """Return the thing at 0.4 of its size."""

        def make() -> Sprite:
            image = self.whole().image
            return Sprite(
                image.resize((round(image.width * 0.4), round(image.height * 0.4)), Image.Resampling.BOX)
            )

        return self._cutouts.get(("small", *self._key), make)

    def strips(self, count: int) -> list[Sprite]:
        """Return the thing cut into upright strips, from left to right."""
        return [self.whole().part(i / count, 0, (i + 1) / count, 1) for i in range(count)]

    def peeled(self) -> Sprite:
        """Return the thing without its skin."""
        return self._tinted((250, 240, 205), 0.6)

    def glazed(self) -> Sprite:
        """Return the thing under a shining coat."""
        return self._tinted((255, 214, 90), 0.45)

    def _tinted(self, colour: Colour, share: float) -> Sprite:
        shown = self._cutouts.style.paint(colour)
        return self._cutouts.get((colour, *self._key), lambda: self.whole().tinted(shown, share))

    def drop(self, radius: float) -> Sprite:
        """Return a crumb or drop of the thing."""
        pen = self._cutouts.pen(2 * radius, 2 * radius)
        return self._cutouts.get(
            ("drop", radius, *self._key), lambda: pen.ellipse(0, 0, radius, radius, self.colour).sprite()
        )

    def fill(self, pen: Pen) -> None:
        """Let the thing show wherever `pen` has drawn."""
        pen.image.paste(masked(self._swatch().image, pen.image))

    def _swatch(self) -> Pen:
        pen = self._cutouts.pen(0.9, 0.8)
        pen.box(0, 0, 0.5, 0.5, self.colour, 0.8)
        rng = np.random.default_rng(3)
        if self.thing.kind in ("grain", "liquid"):
            MARKS[self.thing.shape](pen, self.colour, rng)
            return pen
        piece = self.small().image.resize([round(1.6 * side) for side in self.small().image.size])
        for x, y in _scattered(rng, 26, *pen.image.size):
            turned = piece.rotate(int(rng.integers(360)), expand=True)
            pen.image.paste(turned, (round(x - turned.width / 2), round(y - turned.height / 2)), turned)
        return pen


def _scattered(rng: np.random.Generator, count: int, width: float, height: float) -> Iterator[Point]:
    # On a jittered lattice, row by row: even cover, and nearer pieces lie on top.
    columns = max(round((count * width / height) ** 0.5), 1)
    rows = -(-count // columns)
    for row in range(rows):
        for column in range(columns):
            x, y = rng.uniform(-0.4, 0.4, 2)
            yield (column + 0.5 + x) * width / columns, (row + 0.5 + y) * height / rows


# --- shapes ------------------------------------------------------------------------------------


def _onion(pen: Pen, colour: Colour) -> None:
    pen.polygon([(-0.05, -0.16), (0, -0.29), (0.05, -0.16)], colour, 1.1)
    pen.ellipse(0, 0.03, 0.27, 0.23, colour)
    for across in (0.07, 0.15, 0.22):
        pen.arc(0, 0.03, across, 0.23, (0, 360), 0.008, colour, 0.72)
    pen.line([(0, 0.24), (0.02, 0.285)], 0.012, (200, 180, 140))
    pen.line([(0, 0.24), (-0.03, 0.28)], 0.012, (200, 180, 140))


def _carrot(pen: Pen, colour: Colour) -> None:
    for end in ((0.3, -0.14), (0.31, 0.0), (0.3, 0.13)):
        pen.line([(0.17, 0), end], 0.035, LEAF)
    pen.polygon([(-0.31, 0.03), (0.12, -0.15), (0.2, -0.1), (0.2, 0.1), (0.12, 0.16)], colour)
    for x in (-0.14, -0.04, 0.07):
        pen.line([(x, -0.05), (x + 0.02, 0.03)], 0.012, colour, 0.72)


def _potato(pen: Pen, colour: Colour) -> None:
    pen.ellipse(-0.07, 0.02, 0.22, 0.2, colour).ellipse(0.09, -0.01, 0.2, 0.21, colour)
    for x, y in ((-0.14, -0.05), (0.02, 0.08), (0.15, -0.07), (-0.02, -0.13), (0.14, 0.11)):
        pen.ellipse(x, y, 0.022, 0.013, colour, 0.62)


def _tomato(pen: Pen, colour: Colour) -> None:
    pen.ellipse(0, 0.03, 0.28, 0.23, colour)
    for i in range(5):
        angle = 2 * pi * i / 5 - pi / 2
        tip = (0.15 * cos(angle), -0.17 + 0.08 * sin(angle))
        pen.polygon([(-0.03, -0.17), tip, (0.03, -0.17)], LEAF)
    pen.line([(0, -0.17), (0.02, -0.27)], 0.03, STALK)


def _cucumber(pen: Pen, colour: Colour) -> None:
    pen.box(0, 0, 0.31, 0.13, colour, 1, 0.13)
    for y in (-0.07, 0.0, 0.07):
        pen.line([(-0.26, y), (0.26, y)], 0.014, colour, 1.45)
    for x in (-0.2, -0.08, 0.05, 0.17):
        pen.ellipse(x, -0.035, 0.013, 0.013, colour, 0.6).ellipse(x + 0.05, 0.04, 0.013, 0.013, colour, 0.6)


def _aubergine(pen: Pen, colour: Colour) -> None:
    pen.ellipse(-0.1, 0.04, 0.2, 0.19, colour)
    pen.polygon([(-0.08, -0.15), (0.18, -0.16), (0.24, -0.04), (0.04, 0.19)], colour)
    pen.ellipse(0.16, -0.09, 0.09, 0.09, colour)
    pen.polygon([(0.1, -0.22), (0.27, -0.12), (0.25, 0.03), (0.17, -0.06), (0.07, -0.1)], LEAF)
    pen.line([(0.21, -0.13), (0.29, -0.24)], 0.04, STALK)


def _lemon(pen: Pen, colour: Colour) -> None:
    pen.polygon([(-0.31, 0), (-0.18, -0.1), (-0.18, 0.1)], colour)
    pen.polygon([(0.31, 0), (0.18, -0.1), (0.18, 0.1)], colour)
    pen.ellipse(0, 0, 0.24, 0.19, colour)
    for x, y in ((-0.1, -0.08), (0.02, 0.03), (0.12, -0.06), (-0.06, 0.1), (0.1, 0.1)):
        pen.ellipse(x, y, 0.01, 0.01, colour, 0.75)


def _apple(pen: Pen, colour: Colour) -> None:
    pen.ellipse(-0.1, 0.03, 0.17, 0.22, colour).ellipse(0.1, 0.03, 0.17, 0.22, colour)
    pen.arc(0, -0.2, 0.09, 0.06, (10, 170), 0.02, colour, 0.65)
    pen.line([(0, -0.15), (0.03, -0.28)], 0.03, (96, 62, 34))
    pen.polygon([(0.03, -0.21), (0.12, -0.29), (0.2, -0.25), (0.12, -0.19)], LEAF)


def _pumpkin(pen: Pen, colour: Colour) -> None:
    for x, across in ((-0.19, 0.12), (0.19, 0.12), (-0.1, 0.13), (0.1, 0.13), (0, 0.11)):
        pen.ellipse(x, 0.04, across, 0.22, colour).arc(x, 0.04, across, 0.22, (0, 360), 0.012, colour, 0.7)
    pen.polygon([(-0.03, -0.16), (-0.05, -0.28), (0.04, -0.28), (0.03, -0.16)], STALK)


def _mushroom(pen: Pen, colour: Colour) -> None:
    pen.box(0, 0.12, 0.1, 0.16, (240, 228, 205), 1, 0.06)
    pen.polygon(_dome(0.28, 0.26, 0.04), colour)
    for x, y, radius in ((-0.12, -0.05, 0.03), (0.02, -0.13, 0.035), (0.15, -0.03, 0.025)):
        pen.ellipse(x, y, radius, 0.8 * radius, colour, 1.35)


def _pepper(pen: Pen, colour: Colour) -> None:
    for x in (-0.14, 0.14, 0.0):
        pen.ellipse(x, 0.0, 0.13, 0.22, colour).ellipse(0.7 * x, 0.14, 0.1, 0.13, colour)
    for x in (-0.075, 0.075):
        pen.line([(x, -0.16), (0.9 * x, 0.2)], 0.012, colour, 0.68)
    pen.ellipse(0, -0.19, 0.1, 0.04, LEAF).line([(0, -0.18), (0.05, -0.29)], 0.045, STALK)


def _cheese(pen: Pen, colour: Colour) -> None:
    pen.polygon([(-0.3, 0.02), (0.2, -0.22), (0.3, -0.02)], colour, 1.15)
    pen.polygon([(-0.3, 0.02), (0.3, -0.02), (0.3, 0.2), (-0.3, 0.22)], colour)
    for x, y, radius in ((-0.17, 0.12, 0.045), (0.02, 0.09, 0.035), (0.18, 0.11, 0.055), (0.12, -0.1, 0.03)):
        pen.ellipse(x, y, radius, 0.85 * radius, colour, 0.68)


def _cabbage(pen: Pen, colour: Colour) -> None:
    for i in range(9):
        angle = 2 * pi * i / 9
        pen.ellipse(0.17 * cos(angle), 0.15 * sin(angle), 0.12, 0.12, colour, 0.85 if i % 2 else 1)
    pen.ellipse(0, 0, 0.19, 0.18, colour, 1.12)
    for end in ((-0.14, -0.12), (0, -0.18), (0.14, -0.12), (-0.19, 0.02), (0.19, 0.02)):
        pen.line([(0, 0.16), (0.5 * end[0], 0.3 * end[1]), end], 0.014, (235, 240, 210))


def _spinach(pen: Pen, colour: Colour) -> None:
    for angle in (-62, -32, 32, 62, 0):
        turn = angle * pi / 180
        tip = (0.3 * sin(turn), 0.2 - 0.46 * cos(turn))
        middle = (0.19 * sin(turn), 0.2 - 0.3 * cos(turn))
        side = (0.085 * cos(turn), 0.085 * sin(turn))
        edges = [(middle[0] - side[0], middle[1] - side[1]), tip, (middle[0] + side[0], middle[1] + side[1])]
        pen.polygon([(0, 0.2), *edges], colour, 1 + angle / 400)
        pen.ellipse(*middle, 0.075, 0.075, colour, 1 + angle / 400)
        pen.line([(0, 0.26), (0, 0.2), middle, tip], 0.014, (214, 226, 170))


def _dough(pen: Pen, colour: Colour) -> None:
    pen.ellipse(0, 0.06, 0.29, 0.17, colour).ellipse(-0.06, -0.04, 0.19, 0.16, colour)
    pen.ellipse(0.1, -0.01, 0.15, 0.14, colour)
    pen.arc(0.02, 0.0, 0.14, 0.1, (200, 330), 0.014, colour, 0.78)
    for x, y in ((-0.15, 0.08), (0.05, 0.12), (0.18, 0.05), (-0.04, 0.03)):
        pen.ellipse(x, y, 0.014, 0.011, colour, 0.8)


def _clay(pen: Pen, colour: Colour) -> None:
    pen.box(0, 0, 0.28, 0.2, colour, 1, 0.05)
    for x in (-0.17, -0.06, 0.05, 0.16):
        pen.line([(x, -0.17), (x + 0.03, 0.17)], 0.03, colour, 0.75)


def _butter(pen: Pen, colour: Colour) -> None:
    pen.polygon([(-0.3, -0.06), (-0.19, -0.19), (0.3, -0.19), (0.2, -0.06)], colour, 1.15)
    pen.polygon([(0.2, -0.06), (0.3, -0.19), (0.3, 0.08), (0.2, 0.2)], colour, 0.75)
    pen.polygon([(-0.3, -0.06), (0.2, -0.06), (0.2, 0.2), (-0.3, 0.2)], colour)
    pen.line([(-0.14, -0.06), (-0.14, 0.2)], 0.01, colour, 0.8).line(
        [(0.03, -0.06), (0.03, 0.2)], 0.01, colour, 0.8
    )


def _bread(pen: Pen, colour: Colour) -> None:
    pen.polygon(_dome(0.3, 0.26, 0.08), colour).box(0, 0.12, 0.3, 0.09, colour, 0.92, 0.05)
    for x in (-0.14, 0.0, 0.14):
        pen.line([(x - 0.05, 0.01), (x + 0.04, -0.12)], 0.03, (250, 226, 176))


def _dome(across: float, up: float, base: float) -> list[Point]:
    return [(-across * cos(pi * i / 24), base - up * sin(pi * i / 24)) for i in range(25)]


def _heap(marks: Callable[[Pen, Colour, np.random.Generator], None]) -> Shape:
    def draw(pen: Pen, colour: Colour) -> None:
        pen.polygon([(-0.31, 0.2), *_dome(0.29, 0.34, 0.16), (0.31, 0.2)], colour, 0.8)
        heap = pen.image.copy()
        marks(pen, colour, np.random.default_rng(5))
        pen.image.paste(masked(pen.image, heap))

    return draw


def _rice(pen: Pen, colour: Colour, rng: np.random.Generator) -> None:
    for x, y in _scattered(rng, 190, 0.9, 0.8):
        lean = rng.uniform(-0.02, 0.02)
        pen.line(
            [(x - 0.47, y - 0.4 - lean), (x - 0.43, y - 0.4 + lean)], 0.016, colour, rng.uniform(0.95, 1.15)
        )


def _beans(pen: Pen, colour: Colour, rng: np.random.Generator) -> None:
    for x, y in _scattered(rng, 90, 0.9, 0.8):
        pen.ellipse(x - 0.45, y - 0.4, 0.042, 0.028, colour, rng.uniform(0.9, 1.2))
        pen.arc(x - 0.45, y - 0.4, 0.042, 0.028, (0, 360), 0.007, colour, 0.55)


def _berries(pen: Pen, colour: Colour, rng: np.random.Generator) -> None:
    for x, y in _scattered(rng, 60, 0.9, 0.8):
        pen.ellipse(x - 0.45, y - 0.4, 0.055, 0.055, colour, rng.uniform(0.8, 1.1))
        pen.ellipse(x - 0.468, y - 0.418, 0.015, 0.015, (235, 235, 250))


def _soup(pen: Pen, _colour: Colour, rng: np.random.Generator) -> None:
    for x, y in _scattered(rng, 40, 0.9, 0.8):
        pen.ellipse(x - 0.45, y - 0.4, 0.018, 0.014, (76, 140, 60) if rng.random() < 0.5 else (250, 232, 190))


def _milk(pen: Pen, colour: Colour, rng: np.random.Generator) -> None:
    for x, y in _scattered(rng, 5, 0.9, 0.8):
        pen.ellipse(x - 0.45, y - 0.4, 0.11, 0.04, colour, 1.2)


def _sauce(pen: Pen, colour: Colour, rng: np.random.Generator) -> None:
    for y in np.arange(-0.4, 0.4, 0.07):
        points = [(x, y + 0.016 * sin(22 * x + 40 * y)) for x in np.arange(-0.45, 0.46, 0.03)]
        pen.line(points, 0.016, colour, rng.uniform(1.25, 1.4))


def _juice(pen: Pen, _colour: Colour, rng: np.random.Generator) -> None:
    for x, y in _scattered(rng, 46, 0.9, 0.8):
        radius = rng.uniform(0.01, 0.026)
        pen.arc(x - 0.45, y - 0.4, radius, radius, (0, 360), 0.008, (255, 245, 225))


def _paint(pen: Pen, colour: Colour, rng: np.random.Generator) -> None:
    for x, y in _scattered(rng, 8, 0.9, 0.8):
        for radius in (0.1, 0.06, 0.02):
            pen.arc(x - 0.45, y - 0.4, radius, 0.7 * radius, (20, 300), 0.018, colour, 1.35)


def _bowl_of_soup(pen: Pen, colour: Colour) -> None:
    pen.polygon([(-0.3, -0.06), (-0.2, 0.2), (0.2, 0.2), (0.3, -0.06)], (232, 226, 210))
    pen.box(0, 0.21, 0.13, 0.025, (232, 226, 210), 0.85).ellipse(0, -0.06, 0.3, 0.13, (250, 246, 236))
    pen.ellipse(0, -0.05, 0.26, 0.1, colour)
    for x, y in ((-0.14, -0.05), (-0.03, -0.09), (0.1, -0.04), (0.02, 0.0), (0.17, -0.08)):
        pen.ellipse(x, y, 0.02, 0.013, (76, 140, 60))


def _bottle_of_milk(pen: Pen, colour: Colour) -> None:
    pen.box(0, 0.06, 0.16, 0.21, GLASS, 1, 0.06).box(0, -0.2, 0.07, 0.08, GLASS)
    pen.box(0, 0.09, 0.14, 0.17, colour, 1, 0.05).box(0, -0.26, 0.085, 0.03, (70, 120, 190))
    pen.line([(-0.1, -0.02), (-0.1, 0.18)], 0.02, (255, 255, 255))


def _boat_of_sauce(pen: Pen, colour: Colour) -> None:
    pen.arc(0.22, 0.02, 0.09, 0.1, (0, 360), 0.03, (222, 220, 228))
    pen.polygon([(-0.31, -0.12), (-0.16, 0.14), (0.14, 0.14), (0.25, -0.08)], (222, 220, 228))
    pen.ellipse(0, 0.18, 0.13, 0.035, (222, 220, 228), 0.9).ellipse(-0.03, -0.09, 0.26, 0.1, (240, 238, 244))
    pen.ellipse(-0.03, -0.08, 0.22, 0.075, colour).arc(-0.03, -0.08, 0.13, 0.04, (0, 270), 0.012, colour, 1.4)


def _glass_of_juice(pen: Pen, colour: Colour) -> None:
    pen.line([(0.06, -0.08), (0.15, -0.29)], 0.025, (232, 80, 110))
    pen.polygon([(-0.2, -0.2), (-0.14, 0.26), (0.14, 0.26), (0.2, -0.2)], GLASS)
    pen.polygon([(-0.17, -0.11), (-0.12, 0.23), (0.12, 0.23), (0.17, -0.11)], colour)
    pen.ellipse(0, -0.11, 0.17, 0.04, colour, 1.2)
    for x, y in ((-0.06, 0.02), (0.05, 0.1), (-0.02, 0.16), (0.08, -0.02)):
        pen.arc(x, y, 0.02, 0.02, (0, 360), 0.008, (255, 245, 225))


def _tin_of_paint(pen: Pen, colour: Colour) -> None:
    pen.arc(0, -0.12, 0.22, 0.16, (180, 360), 0.016, (130, 134, 142))
    pen.box(0, 0.06, 0.23, 0.2, (178, 182, 190)).ellipse(0, -0.14, 0.23, 0.075, (206, 210, 216))
    pen.ellipse(0, -0.135, 0.2, 0.055, colour).box(0, 0.09, 0.23, 0.1, colour)
    for x, down in ((-0.13, 0.1), (-0.05, 0.17), (0.09, 0.12)):
        pen.line([(x, -0.12), (x, down - 0.06)], 0.035, colour, 0.9)


SHAPES: dict[str, Shape] = {
    "onion": _onion,
    "carrot": _carrot,
    "potato": _potato,
    "tomato": _tomato,
    "cucumber": _cucumber,
    "aubergine": _aubergine,
    "lemon": _lemon,
    "apple": _apple,
    "pumpkin": _pumpkin,
    "mushroom": _mushroom,
    "pepper": _pepper,
    "cheese": _cheese,
    "cabbage": _cabbage,
    "spinach": _spinach,
    "dough": _dough,
    "clay": _clay,
    "butter": _butter,
    "bread": _bread,
    "rice": _heap(_rice),
    "beans": _heap(_beans),
    "berries": _heap(_berries),
    "soup": _bowl_of_soup,
    "milk": _bottle_of_milk,
    "sauce": _boat_of_sauce,
    "juice": _glass_of_juice,
    "paint": _tin_of_paint,
}
MARKS: dict[str, Callable[[Pen, Colour, np.random.Generator], None]] = {
    "rice": _rice,
    "beans": _beans,
    "berries": _berries,
    "soup": _soup,
    "milk": _milk,
    "sauce": _sauce,
    "juice": _juice,
    "paint": _paint,
}
