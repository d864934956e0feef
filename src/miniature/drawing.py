"""Drawing in the miniature world: pens, sprites, and the two looks that the corpora have.

Lengths are in picture heights; a sprite is drawn once at SUPERSAMPLING times its size, reduced, and from
then on only moved, turned and stretched.
"""

import colorsys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Self

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFilter

Colour = tuple[int, int, int]
Point = tuple[float, float]
SUPERSAMPLING = 4
TURN = 4  # degrees between the turned copies of a sprite that are kept
INK = (38, 30, 48)
STRETCH = 0.04  # step between the stretched copies


@dataclass(frozen=True)
class Style:
    """A look: how colours, surfaces and edges are drawn."""

    hue: float  # added to every hue, in turns
    saturation: float  # factor
    value: float  # factor
    outlined: bool  # dark edges and flat surfaces instead of light and shade
    patterned: bool  # walls carry a pattern of dots

    def paint(self, colour: Colour, light: float = 1.0) -> Colour:
        """Return a colour as this look shows it, `light` times as bright."""
        hue, saturation, value = colorsys.rgb_to_hsv(*(channel / 255 for channel in colour))
        shown = colorsys.hsv_to_rgb(
            (hue + self.hue) % 1, min(saturation * self.saturation, 1), min(value * self.value * light, 1)
        )
        red, green, blue = (round(channel * 255) for channel in shown)
        return red, green, blue


class Sprite:
    """A small RGBA picture that is put onto frames by its centre."""

    def __init__(self, image: Image.Image):
        self.image = image
        self._shown: dict[tuple[int, int, int], Image.Image] = {}
        self._mirrored: Sprite | None = None
        self._parts: dict[tuple[float, float, float, float], Sprite] = {}

    def put(
        self, frame: Image.Image, x: float, y: float, angle: float = 0, wide: float = 1, high: float = 1
    ) -> None:
        """Paste around pixel (x, y) of `frame`, stretched, then turned `angle` degrees counterclockwise."""
        key = (round(angle / TURN) % (360 // TURN), round(wide / STRETCH), round(high / STRETCH))
        image = self._shown.get(key)
        if image is None:
            image = self._shown[key] = self._show(*key)
        frame.paste(image, (round(x - image.width / 2), round(y - image.height / 2)), image)

    def part(self, left: float, top: float, right: float, bottom: float) -> "Sprite":
        """Return a rectangular part, in shares of the whole, still centred where the whole is."""
        key = (left, top, right, bottom)
        if key not in self._parts:
            self._parts[key] = self._part(*key)
        return self._parts[key]

    def _part(self, left: float, top: float, right: float, bottom: float) -> "Sprite":
        width, height = self.image.size
        box = tuple(map(round, (left * width, top * height, right * width, bottom * height)))
        image = Image.new("RGBA", self.image.size)
        image.paste(self.image.crop(box), box[:2])  # type: ignore[arg-type]
        return Sprite(image)

    def tinted(self, colour: Colour, share: float) -> "Sprite":
        """Return a copy mixed with `share` of a colour."""
        mixed = Image.blend(self.image.convert("RGB"), Image.new("RGB", self.image.size, colour), share)
        mixed.putalpha(self.image.getchannel("A"))
        return Sprite(mixed)

    def mirrored(self) -> "Sprite":
        """Return a copy with left and right exchanged; the same copy each time."""
        if self._mirrored is None:
            self._mirrored = Sprite(self.image.transpose(Image.Transpose.FLIP_LEFT_RIGHT))
        return self._mirrored

    def _show(self, turn: int, wide: int, high: int) -> Image.Image:
        image = self.image
        width, height = wide * STRETCH, high * STRETCH
        if (width, height) != (1, 1):
            size = max(round(image.width * width), 1), max(round(image.height * height), 1)
            image = image.resize(size, Image.Resampling.BILINEAR)
        # Premultiplied, or turned edges would mix with the black of what is transparent.
        return (
            image.convert("RGBa").rotate(turn * TURN, Image.Resampling.BILINEAR, expand=True).convert("RGBA")
            if turn
            else image
        )


class Pen:
    """Draws one sprite; the origin is its centre, y points down, lengths are in picture heights."""

    def __init__(self, style: Style, pixels: float, width: float, height: float):
        self.style = style
        self._scale = pixels * SUPERSAMPLING
        size = [-(-round(length * pixels + 2) // 2) * 2 * SUPERSAMPLING for length in (width, height)]
        self.image = Image.new("RGBA", (size[0], size[1]))
        self._draw = ImageDraw.Draw(self.image)

    def _at(self, points: Sequence[Point]) -> list[Point]:
        middle_x, middle_y = self.image.width / 2, self.image.height / 2
        return [(middle_x + x * self._scale, middle_y + y * self._scale) for x, y in points]

    def ellipse(
        self, x: float, y: float, across: float, down: float, colour: Colour, light: float = 1
    ) -> Self:
        """Fill an ellipse with the radii `across` and `down`."""
        corners = self._at([(x - across, y - down), (x + across, y + down)])
        self._draw.ellipse([*corners[0], *corners[1]], fill=self.style.paint(colour, light))
        return self

    def box(
        self,
        x: float,
        y: float,
        across: float,
        down: float,
        colour: Colour,
        light: float = 1,
        round_: float = 0,
    ) -> Self:
        """Fill a rectangle with the half lengths `across` and `down` and rounded corners."""
        corners = self._at([(x - across, y - down), (x + across, y + down)])
        self._draw.rounded_rectangle(
            [*corners[0], *corners[1]], round_ * self._scale, fill=self.style.paint(colour, light)
        )
        return self

    def polygon(self, points: Sequence[Point], colour: Colour, light: float = 1) -> Self:
        """Fill a polygon."""
        self._draw.polygon(self._at(points), fill=self.style.paint(colour, light))
        return self

    def line(self, points: Sequence[Point], width: float, colour: Colour, light: float = 1) -> Self:
        """Draw a line of some width with round joints."""
        thick = max(round(width * self._scale), 1)
        self._draw.line(self._at(points), fill=self.style.paint(colour, light), width=thick, joint="curve")
        return self

    def arc(
        self,
        x: float,
        y: float,
        across: float,
        down: float,
        span: Point,
        width: float,
        colour: Colour,
        light: float = 1,
    ) -> Self:
        """Draw a part of an ellipse's edge, between two angles in degrees clockwise from the right."""
        corners = self._at([(x - across, y - down), (x + across, y + down)])
        thick = max(round(width * self._scale), 1)
        self._draw.arc([*corners[0], *corners[1]], *span, fill=self.style.paint(colour, light), width=thick)
        return self

    def sprite(self, lit: bool = True) -> Sprite:
        """Finish: an outline or light from the upper left, then reduction to the final size."""
        if self.style.outlined:
            return Sprite(_outlined(self.image))
        return Sprite((_lit(self.image) if lit else self.image).reduce(SUPERSAMPLING))


def masked(content: Image.Image, shape: Image.Image) -> Image.Image:
    """Return `content` where `shape` is opaque (both RGBA, `content` at least as large)."""
    cut = content.crop((0, 0, *shape.size))
    cut.putalpha(shape.getchannel("A"))
    return cut


def _outlined(image: Image.Image) -> Image.Image:
    # At half the drawing's size: edges stay smooth, and the filter is cheap.
    small = image.reduce(SUPERSAMPLING // 2)
    below = Image.new("RGBA", small.size, INK)
    below.putalpha(small.getchannel("A").filter(ImageFilter.MaxFilter(5)))
    below.alpha_composite(small)
    return below.reduce(2)


def _lit(image: Image.Image) -> Image.Image:
    box = image.getbbox()
    if box is None:
        return image
    plain = image.convert("RGB")
    bright = Image.blend(plain, Image.new("RGB", image.size, (255, 250, 235)), 0.18)
    dark = ImageChops.multiply(plain, Image.new("RGB", image.size, (156, 140, 166)))
    light = Image.new("L", image.size)
    light.paste(_light().resize((box[2] - box[0], box[3] - box[1])), box[:2])
    result = Image.composite(bright, dark, light)
    result.putalpha(image.getchannel("A"))
    return result


@lru_cache(maxsize=1)
def _light() -> Image.Image:
    y, x = np.mgrid[-1:1:64j, -1:1:64j]
    return Image.fromarray(np.clip(235 - 120 * np.hypot(x + 0.35, y + 0.45), 0, 255).astype(np.uint8))


class Cutouts:
    """Sprites of one video, made when first asked for."""

    def __init__(self, style: Style, pixels: float):
        self.style = style
        self.pixels = pixels
        self._made: dict[object, Sprite] = {}

    def pen(self, width: float, height: float) -> Pen:
        """Return a pen for a sprite of this size."""
        return Pen(self.style, self.pixels, width, height)

    def get(self, key: object, make: Callable[[], Sprite]) -> Sprite:
        """Return the sprite kept under `key`; make it first where there is none."""
        if key not in self._made:
            self._made[key] = make()
        return self._made[key]
