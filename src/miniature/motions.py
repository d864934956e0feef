"""How the actions move: one function for each, all with the same arguments.

A motion gets the frame to draw on, the time in seconds since its step began, and the share of the step
that is over. Positions are in picture heights, relative to where the thing lies.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import cos, pi, sin

from PIL import Image

from miniature.drawing import Cutouts, Sprite
from miniature.grammar import ACTIONS
from miniature.things import Cutting
from miniature.tools import tool, vessel


@dataclass(frozen=True)
class Stage:
    """Where a step is drawn: its cutouts, its thing, and the pixel at which the thing lies."""

    cutouts: Cutouts
    cutting: Cutting
    x: float
    y: float

    def put(
        self,
        frame: Image.Image,
        sprite: Sprite,
        x: float = 0,
        y: float = 0,
        angle: float = 0,
        wide: float = 1,
        high: float = 1,
    ) -> None:
        """Draw a sprite around a position."""
        unit = self.cutouts.pixels
        sprite.put(frame, self.x + x * unit, self.y + y * unit, angle, wide, high)

    def tool(self, frame: Image.Image, name: str, x: float, y: float, angle: float = 0) -> None:
        """Draw a tool around a position."""
        self.put(frame, tool(self.cutouts, name), x, y, angle)

    def vessel(self, frame: Image.Image, name: str, x: float = 0, y: float = 0, angle: float = 0) -> None:
        """Draw a glass vessel filled with the thing."""
        self.put(frame, vessel(self.cutouts, name, self.cutting), x, y, angle)

    def falling(
        self,
        frame: Image.Image,
        sprite: Sprite,
        time: float,
        count: int,
        x: float,
        top: float,
        bottom: float,
        spread: float,
    ) -> None:
        """Draw pieces that fall again and again, each on its own line."""
        for i in range(count):
            fall = (1.3 * time + i / count) % 1
            self.put(frame, sprite, x + spread * sin(2.4 * i + 1), top + (bottom - top) * fall * fall)


Motion = Callable[[Stage, Image.Image, float, float], None]


def draw_step(stage: Stage, frame: Image.Image, action: str | None, time: float, progress: float) -> None:
    """Draw one frame of an action on the stage's thing; without an action the thing just lies there."""
    stage.tool(frame, "shadow", 0, 0.24)
    if action is None:
        stage.put(frame, stage.cutting.whole())
    else:
        MOTIONS[action](stage, frame, 2 * pi * ACTIONS[action].hertz * time, progress)


def _wash(stage: Stage, frame: Image.Image, phase: float, _progress: float) -> None:
    stage.put(frame, stage.cutting.whole(), 0.03 * sin(phase), 0.05, angle=16 * sin(phase))
    stage.tool(frame, "tap", -0.06, -0.46)
    stage.tool(frame, "water", 0.004 * cos(9 * phase), -0.22)
    splash = tool(stage.cutouts, "splash")
    for i in range(8):
        flight = (phase / 3 + i / 8) % 1
        side = (-1) ** i * (0.12 + 0.05 * (i % 4))
        stage.put(frame, splash, side * (0.3 + 1.6 * flight), -0.1 - 0.4 * flight + 0.8 * flight**2)


def _peel(stage: Stage, frame: Image.Image, phase: float, progress: float) -> None:
    bare = 0.1 + 0.85 * progress
    stage.put(frame, stage.cutting.whole())
    stage.put(frame, stage.cutting.peeled().part(0, 0, round(bare, 1), 1))
    stroke = (phase / (2 * pi)) % 1
    stage.falling(frame, stage.cutting.drop(0.045), phase / (2 * pi), 5, -0.2, -0.05, 0.36, 0.12)
    stage.tool(frame, "peeler", 0.02 + 0.22 * stroke, -0.3 + 0.42 * stroke, angle=40)


def _chop(stage: Stage, frame: Image.Image, phase: float, progress: float) -> None:
    stage.tool(frame, "board", 0, 0.26)
    count = 6
    cut = min(int(1 + progress * count), count - 1)
    for i, strip in enumerate(stage.cutting.strips(count)):
        gap = 0.05 * (cut - i) if i < cut else 0
        stage.put(frame, strip, -gap + 0.04, 0, angle=0 if i >= cut else 6 * (i % 3 - 1))
    knife = -0.22 + 0.5 * cut / count
    stage.tool(frame, "cleaver", knife + 0.08, -0.36 + 0.26 * abs(sin(phase / 2)), angle=4 * sin(phase))


def _slice(stage: Stage, frame: Image.Image, phase: float, progress: float) -> None:
    stage.tool(frame, "board", 0, 0.26)
    depth = (2 * progress) % 1
    apart = 0.1 if progress >= 0.5 else 0.0
    left, right = stage.cutting.strips(2)
    lean = 8 * depth + 60 * apart
    stage.put(frame, left, -0.5 * apart - 0.05 * depth, 0.02, angle=lean)
    stage.put(frame, right, 0.5 * apart + 0.05 * depth, 0.02, angle=-lean)
    stage.tool(frame, "saw knife", 0.08 + 0.17 * sin(phase), -0.26 + 0.34 * depth, angle=16)


def _grate(stage: Stage, frame: Image.Image, phase: float, progress: float) -> None:
    size = 0.92 - 0.28 * progress
    stage.falling(frame, stage.cutting.drop(0.022), phase / (2 * pi), 9, 0.16, 0.0, 0.34, 0.12)
    stage.tool(frame, "grater", 0.3, -0.04)
    stage.put(frame, stage.cutting.whole(), -0.08, 0.16 * sin(phase), 20, size, size)


def _pound(stage: Stage, frame: Image.Image, phase: float, progress: float) -> None:
    swing = (phase / (2 * pi)) % 1
    # Up slowly, down fast: the blow falls at the end of each period, where its sound is.
    height = swing / 0.75 if swing < 0.75 else (1 - swing) / 0.25
    flat = 0.8 - 0.24 * progress if swing > 0.9 or swing < 0.12 else 0.92 - 0.24 * progress
    stage.put(frame, stage.cutting.whole(), 0, 0.27 * (1 - flat), 0, 1.24 - 0.3 * (flat - 0.6), flat)
    if swing < 0.14:
        stage.tool(frame, "star", -0.24, -0.16)
        stage.tool(frame, "star", 0.2, -0.12)
    stage.tool(frame, "mallet", 0.16, -0.26 - 0.16 * height, angle=-52 * height)


def _roll(stage: Stage, frame: Image.Image, phase: float, progress: float) -> None:
    flat = 0.9 - 0.4 * progress
    stage.put(frame, stage.cutting.whole(), 0, 0.27 * (1 - flat), 0, 1.1 + 0.5 * progress, flat)
    stage.tool(frame, "pin", 0.34 * sin(phase), -0.1 + 0.16 * progress, angle=4 * cos(phase))


def _squeeze(stage: Stage, frame: Image.Image, phase: float, _progress: float) -> None:
    press = 0.5 - 0.5 * cos(phase)
    stage.falling(frame, stage.cutting.drop(0.03), phase / (2 * pi), 6, 0, 0.14, 0.38, 0.1)
    stage.put(frame, stage.cutting.whole(), 0, 0, 0, 1 - 0.42 * press, 1 + 0.16 * press)
    hand = tool(stage.cutouts, "hand")
    reach = 0.45 - 0.13 * press
    stage.put(frame, hand, -reach, 0)
    stage.put(frame, hand, reach, 0, angle=180)


def _fold(stage: Stage, frame: Image.Image, phase: float, _progress: float) -> None:
    left, right = stage.cutting.strips(2)
    turn = cos(phase / 2)
    stage.put(frame, right)
    if turn >= 0:
        stage.put(frame, left, 0, -0.04 * (1 - turn), 0, max(turn, 0.08))
    else:
        stage.put(frame, right.mirrored(), 0.02, -0.05, 0, max(-turn, 0.08))
    x = -0.3 * turn
    stage.tool(frame, "glove", x, -0.12 - 0.2 * (1 - abs(turn)), angle=-40 * turn)
    stage.tool(frame, "glove", 0.36, 0.16, angle=24)


def _pour(stage: Stage, frame: Image.Image, phase: float, _progress: float) -> None:
    stage.vessel(frame, "bowl", 0, 0.08)
    drop = stage.cutting.drop(0.05)
    for i in range(7):
        fall = (i / 7 + phase / 2) % 1
        stage.put(
            frame,
            drop,
            -0.02 + 0.012 * sin(6 * fall + phase),
            -0.3 + 0.32 * fall,
            0,
            0.9 + 0.3 * (i % 2),
            1.3,
        )
    stage.tool(frame, "jug", 0.2, -0.42, angle=46 + 10 * sin(phase))


def _stir(stage: Stage, frame: Image.Image, phase: float, _progress: float) -> None:
    stage.vessel(frame, "bowl", 0, 0.08)
    drop = stage.cutting.drop(0.05)
    for i in range(5):
        angle = phase - 0.5 * (i + 1)
        stage.put(frame, drop, 0.25 * cos(angle), -0.05 + 0.05 * sin(angle), 0, 1.2 - 0.16 * i, 0.6)
    stage.tool(frame, "spoon", 0.26 * cos(phase), -0.3 + 0.07 * sin(phase), angle=-22 * cos(phase))


def _shake(stage: Stage, frame: Image.Image, phase: float, _progress: float) -> None:
    sway = sin(phase)
    stage.vessel(frame, "jar", 0.12 * sway, -0.08 - 0.12 * sway, angle=20 + 14 * sway)
    stage.tool(frame, "hand", -0.3 + 0.12 * sway, -0.02 - 0.12 * sway, angle=20)


def _blend(stage: Stage, frame: Image.Image, phase: float, _progress: float) -> None:
    tremble = 0.012 * sin(phase * 2.3)
    stage.tool(frame, "base", 0, 0.26)
    stage.vessel(frame, "blender", tremble, -0.04)
    drop = stage.cutting.drop(0.05)
    for i in range(6):
        angle = phase + i * pi / 3
        high = -0.08 + 0.05 * i
        stage.put(frame, drop, tremble + (0.15 - 0.012 * i) * cos(angle), high, 0, 1.4, 0.7)
    stage.tool(frame, "lid", tremble, -0.31)


def _fry(stage: Stage, frame: Image.Image, phase: float, _progress: float) -> None:
    flame, steam = tool(stage.cutouts, "flame"), tool(stage.cutouts, "steam")
    for i in range(5):
        stage.put(frame, flame, 0.13 * (i - 2), 0.28, 0, 1, 1 + 0.35 * sin(phase / 2 + 2.1 * i))
    stage.tool(frame, "pan", 0, 0.16)
    small = stage.cutting.small()
    for i, x in enumerate((-0.19, 0.19, -0.07, 0.09, 0.0)):
        hop = abs(sin(phase / 3 + 1.3 * i))
        stage.put(frame, small, x, 0.09 + 0.03 * (i % 2) - 0.14 * hop, angle=120 * hop + 50 * i)
    for i in range(3):
        rise = (phase / 14 + i / 3) % 1
        stage.put(frame, steam, 0.17 * (i - 1) + 0.02 * sin(phase / 4), -0.1 - 0.34 * rise)


def _season(stage: Stage, frame: Image.Image, phase: float, progress: float) -> None:
    stage.put(frame, stage.cutting.whole(), 0, 0.06)
    speck = tool(stage.cutouts, "speck")
    for i in range(int(4 + 22 * progress)):
        angle = 2.4 * i
        stage.put(frame, speck, 0.2 * cos(angle) * (i % 5) / 4, 0.02 + 0.12 * sin(angle) * (i % 7) / 6)
    sway = 0.06 * sin(phase)
    stage.falling(frame, speck, phase / 9, 14, sway, -0.3, 0.08, 0.16)
    stage.tool(frame, "shaker", 0.05 + sway, -0.42, angle=160 + 14 * sin(phase))


def _brush(stage: Stage, frame: Image.Image, phase: float, progress: float) -> None:
    stage.put(frame, stage.cutting.whole(), 0, 0.04)
    x = -0.26 * cos(phase)
    glazed = stage.cutting.glazed()
    stage.put(frame, glazed.part(0, 0, 1, round(0.25 + 0.7 * progress, 1)), 0, 0.04)
    stage.tool(frame, "brush", x + 0.03, -0.3 + 0.16 * progress, angle=-26 * sin(phase))


MOTIONS: dict[str, Motion] = {
    "wash": _wash,
    "peel": _peel,
    "chop": _chop,
    "slice": _slice,
    "grate": _grate,
    "pound": _pound,
    "roll": _roll,
    "squeeze": _squeeze,
    "fold": _fold,
    "pour": _pour,
    "stir": _stir,
    "shake": _shake,
    "blend": _blend,
    "fry": _fry,
    "season": _season,
    "brush": _brush,
}
