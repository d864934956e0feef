"""What the actions are done with: every action has a tool with colours of its own."""

from collections.abc import Callable

from miniature.drawing import Cutouts, Pen, Sprite
from miniature.things import GLASS, Cutting

STEEL = (196, 202, 212)
WOOD = (176, 122, 70)
SKIN = (236, 186, 150)


def tool(cutouts: Cutouts, name: str) -> Sprite:
    """Return the picture of a tool."""
    width, height, draw = TOOLS[name]

    def make() -> Sprite:
        pen = cutouts.pen(width, height)
        draw(pen)
        return pen.sprite(lit=name not in ("flame", "steam", "splash", "speck"))

    return cutouts.get(("tool", name), make)


def vessel(cutouts: Cutouts, name: str, cutting: Cutting) -> Sprite:
    """Return the picture of a glass vessel that a thing fills."""
    width, height, glass, inside = VESSELS[name]

    def make() -> Sprite:
        pen, content = cutouts.pen(width, height), cutouts.pen(width, height)
        glass(pen)
        inside(content)
        cutting.fill(content)
        pen.image.alpha_composite(content.image)
        _glint(pen, width, height)
        return pen.sprite(lit=False)

    return cutouts.get(("vessel", name, cutting.thing.name, cutting.colour), make)


def _glint(pen: Pen, width: float, height: float) -> None:
    pen.line([(-0.3 * width, -0.12 * height), (-0.26 * width, 0.16 * height)], 0.02, (250, 253, 255))


def _cleaver(pen: Pen) -> None:
    pen.box(-0.08, 0.02, 0.2, 0.1, STEEL, 1, 0.01).line([(-0.28, 0.11), (0.12, 0.11)], 0.015, (240, 244, 250))
    pen.box(0.21, -0.03, 0.12, 0.04, (212, 40, 44), 1, 0.03)


def _saw_knife(pen: Pen) -> None:
    pen.polygon([(-0.36, 0.03), (-0.3, -0.05), (0.12, -0.05), (0.12, 0.045)], STEEL)
    for i in range(11):
        x = -0.3 + 0.038 * i
        pen.polygon([(x, 0.035), (x + 0.019, 0.065), (x + 0.038, 0.035)], (232, 236, 244))
    pen.box(0.24, 0, 0.13, 0.045, (250, 200, 30), 1, 0.04)


def _peeler(pen: Pen) -> None:
    pen.line([(-0.14, -0.09), (-0.2, 0.0), (-0.14, 0.09)], 0.035, STEEL)
    pen.box(-0.2, 0, 0.025, 0.1, (226, 230, 238)).box(0.06, 0, 0.19, 0.045, (255, 120, 20), 1, 0.04)


def _grater(pen: Pen) -> None:
    pen.polygon([(-0.1, -0.28), (0.1, -0.28), (0.16, 0.3), (-0.16, 0.3)], STEEL)
    for row in range(6):
        for column in range(3):
            pen.ellipse(-0.07 + 0.07 * column, -0.19 + 0.085 * row, 0.018, 0.025, (92, 98, 112))
    pen.arc(0, -0.29, 0.08, 0.06, (180, 360), 0.04, (40, 160, 150))


def _mallet(pen: Pen) -> None:
    pen.box(0.16, 0, 0.24, 0.028, WOOD, 1, 0.02).box(-0.16, 0, 0.12, 0.16, (112, 60, 34), 1, 0.03)
    pen.box(-0.16, 0.13, 0.12, 0.03, (220, 170, 60)).box(-0.16, -0.13, 0.12, 0.03, (220, 170, 60))


def _pin(pen: Pen) -> None:
    pen.box(0, 0, 0.36, 0.035, (190, 60, 50), 1, 0.03).box(0, 0, 0.25, 0.085, (226, 184, 130), 1, 0.03)


def _hand(pen: Pen) -> None:
    pen.box(-0.14, 0, 0.12, 0.1, (60, 90, 180), 1, 0.03).box(0.05, 0, 0.13, 0.1, SKIN, 1, 0.06)
    for y in (-0.075, -0.025, 0.025, 0.075):
        pen.box(0.18, y, 0.07, 0.022, SKIN, 1, 0.02)
    pen.box(0.05, -0.11, 0.06, 0.025, SKIN, 1, 0.02)


def _glove(pen: Pen) -> None:
    pen.box(0, 0.06, 0.11, 0.13, (30, 190, 190), 1, 0.06).box(0, 0.18, 0.1, 0.035, (250, 250, 240), 1, 0.02)
    for x in (-0.08, -0.027, 0.027, 0.08):
        pen.box(x, -0.09, 0.024, 0.09, (30, 190, 190), 1, 0.02)


def _spoon(pen: Pen) -> None:
    pen.box(0, -0.06, 0.024, 0.25, WOOD, 1, 0.02).ellipse(0, 0.22, 0.07, 0.09, WOOD, 0.95)


def _jug(pen: Pen) -> None:
    pen.arc(0.16, 0, 0.1, 0.11, (0, 360), 0.035, (60, 110, 210))
    pen.polygon([(-0.24, -0.2), (0.16, -0.17), (0.13, 0.19), (-0.14, 0.19)], (60, 110, 210))
    pen.box(0, 0.02, 0.12, 0.04, (240, 240, 250)).ellipse(-0.03, -0.18, 0.17, 0.035, (30, 60, 130))


def _pan(pen: Pen) -> None:
    pen.box(0.42, 0.0, 0.14, 0.026, (70, 50, 46), 1, 0.02).ellipse(0, 0, 0.34, 0.13, (44, 44, 52))
    pen.ellipse(0, -0.012, 0.3, 0.1, (74, 74, 84))


def _flame(pen: Pen) -> None:
    pen.polygon([(-0.06, 0.09), (-0.045, -0.02), (0, -0.1), (0.045, -0.02), (0.06, 0.09)], (255, 120, 10))
    pen.polygon([(-0.03, 0.09), (0, -0.02), (0.03, 0.09)], (255, 226, 60))


def _steam(pen: Pen) -> None:
    pen.arc(-0.03, -0.06, 0.04, 0.07, (-90, 90), 0.024, (250, 250, 252))
    pen.arc(-0.03, 0.08, 0.04, 0.07, (90, 270), 0.024, (250, 250, 252))


def _tap(pen: Pen) -> None:
    pen.box(-0.1, -0.06, 0.16, 0.045, (180, 190, 204), 1, 0.04).box(0.06, 0.02, 0.045, 0.1, (180, 190, 204))
    pen.box(-0.1, -0.13, 0.1, 0.03, (40, 100, 220), 1, 0.02)


def _water(pen: Pen) -> None:
    pen.box(0, 0, 0.04, 0.2, (110, 190, 250)).box(-0.01, 0, 0.012, 0.2, (214, 240, 255))


def _splash(pen: Pen) -> None:
    pen.ellipse(0, 0, 0.026, 0.03, (130, 205, 255))


def _shaker(pen: Pen) -> None:
    pen.polygon([(-0.09, 0.14), (-0.07, -0.12), (0.07, -0.12), (0.09, 0.14)], (250, 250, 250))
    pen.ellipse(0, -0.12, 0.075, 0.06, (130, 80, 200)).box(0, 0.03, 0.055, 0.05, (130, 80, 200))


def _speck(pen: Pen) -> None:
    pen.ellipse(0, 0, 0.014, 0.014, (255, 255, 255))


def _brush(pen: Pen) -> None:
    pen.box(0, -0.16, 0.026, 0.17, (30, 150, 70), 1, 0.02).box(0, 0.03, 0.07, 0.035, STEEL)
    pen.polygon([(-0.07, 0.06), (0.07, 0.06), (0.09, 0.17), (-0.08, 0.2)], (244, 210, 130))


def _base(pen: Pen) -> None:
    pen.polygon([(-0.16, -0.08), (0.16, -0.08), (0.21, 0.1), (-0.21, 0.1)], (214, 40, 130))
    pen.ellipse(0, 0.03, 0.045, 0.045, (250, 240, 245))


def _lid(pen: Pen) -> None:
    pen.box(0, 0, 0.17, 0.035, (20, 150, 140), 1, 0.02)


def _board(pen: Pen) -> None:
    pen.box(0, 0, 0.44, 0.07, (206, 160, 104), 1, 0.05).box(0, 0.06, 0.44, 0.02, (206, 160, 104), 0.75, 0.02)


def _shadow(pen: Pen) -> None:
    pen.ellipse(0, 0, 0.3, 0.055, (70, 50, 48))


def _star(pen: Pen) -> None:
    from math import cos, pi, sin

    radii = (0.1, 0.04)
    points = [(radii[i % 2] * cos(pi * i / 7), radii[i % 2] * sin(pi * i / 7)) for i in range(14)]
    pen.polygon(points, (255, 236, 90))


def _bowl_glass(pen: Pen) -> None:
    pen.polygon([(-0.36, -0.15), (-0.22, 0.2), (0.22, 0.2), (0.36, -0.15)], GLASS)
    pen.box(0, 0.2, 0.15, 0.025, GLASS, 0.9).ellipse(0, -0.15, 0.36, 0.09, GLASS, 1.05)


def _bowl_inside(pen: Pen) -> None:
    pen.polygon([(-0.32, -0.12), (-0.2, 0.17), (0.2, 0.17), (0.32, -0.12)], GLASS)
    pen.ellipse(0, -0.12, 0.32, 0.075, GLASS)


def _jar_glass(pen: Pen) -> None:
    pen.box(0, 0.03, 0.19, 0.25, GLASS, 1, 0.05).box(0, -0.25, 0.17, 0.055, (240, 190, 40), 1, 0.02)


def _jar_inside(pen: Pen) -> None:
    pen.box(0, 0.06, 0.165, 0.195, GLASS, 1, 0.05)


def _blender_glass(pen: Pen) -> None:
    pen.polygon([(-0.22, -0.24), (-0.15, 0.24), (0.15, 0.24), (0.22, -0.24)], GLASS)
    pen.arc(0.22, -0.04, 0.08, 0.13, (-90, 90), 0.03, GLASS)


def _blender_inside(pen: Pen) -> None:
    pen.polygon([(-0.19, -0.16), (-0.13, 0.22), (0.13, 0.22), (0.19, -0.16)], GLASS)


Draw = Callable[[Pen], None]
TOOLS: dict[str, tuple[float, float, Draw]] = {
    "cleaver": (0.7, 0.28, _cleaver),
    "saw knife": (0.78, 0.2, _saw_knife),
    "peeler": (0.54, 0.24, _peeler),
    "grater": (0.36, 0.72, _grater),
    "mallet": (0.84, 0.36, _mallet),
    "pin": (0.76, 0.2, _pin),
    "hand": (0.54, 0.3, _hand),
    "glove": (0.26, 0.44, _glove),
    "spoon": (0.18, 0.66, _spoon),
    "jug": (0.56, 0.44, _jug),
    "pan": (1.16, 0.3, _pan),
    "flame": (0.14, 0.22, _flame),
    "steam": (0.14, 0.34, _steam),
    "tap": (0.56, 0.36, _tap),
    "water": (0.1, 0.42, _water),
    "splash": (0.08, 0.08, _splash),
    "shaker": (0.22, 0.4, _shaker),
    "speck": (0.04, 0.04, _speck),
    "brush": (0.22, 0.68, _brush),
    "base": (0.46, 0.24, _base),
    "lid": (0.36, 0.1, _lid),
    "board": (0.92, 0.2, _board),
    "shadow": (0.64, 0.14, _shadow),
    "star": (0.24, 0.24, _star),
}
VESSELS: dict[str, tuple[float, float, Draw, Draw]] = {
    "bowl": (0.78, 0.52, _bowl_glass, _bowl_inside),
    "jar": (0.44, 0.64, _jar_glass, _jar_inside),
    "blender": (0.64, 0.52, _blender_glass, _blender_inside),
}
