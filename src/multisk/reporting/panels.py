"""What all figures are made of: small panels, one scale of colours, curves, texts for who cannot see them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Drawing
from matplotlib.ticker import FuncFormatter

from multisk.reporting import wording
from multisk.reporting.svg import COLOURS, GREY, canvas, inline, theme
from multisk.results import ordered

WIDE, NARROW = 4.2, 3.4  # inches: two or three panels beside each other on a wide page
# The first look is SSPC's alone. The others' lists have 5, 7 and 6 entries: pairs of looks repeat late.
MARKERS = ("D", "o", "s", "^", "v", "P", "X", "p")
DASHES = ("", (4, 1.5), (1.5, 1), (6, 1.5, 1.5, 1.5), (8, 2), (3, 3), (4, 1, 1, 1, 1, 1))
LABELS = 8  # so many lines carry their names at their ends; more need a legend


@dataclass(frozen=True)
class Panel:
    """One small drawing; without `svg` its run has not been made."""

    title: str
    svg: Markup | None


@dataclass(frozen=True)
class Figure:
    """Panels with one caption, and the data that they show."""

    name: str  # the prefix of its ids, and the name of its data file unless `csv` names another
    title: str
    caption: str
    panels: tuple[Panel, ...]
    data: pd.DataFrame
    csv: str = ""

    @property
    def data_file(self) -> str:
        """The name of its data file."""
        return f"{self.csv or self.name}.csv"


@dataclass(frozen=True)
class Scale:
    """A method's colour, marker and dashes, the same in every figure; SSPC's never change."""

    methods: tuple[str, ...]

    @property
    def names(self) -> list[str]:
        """The methods' names in prose."""
        return [wording.method_name(method) for method in self.methods]

    @property
    def palette(self) -> dict[str, str]:
        """Colours by name."""
        return self._assigned(COLOURS)

    @property
    def markers(self) -> dict[str, str]:
        """Markers by name."""
        return self._assigned(MARKERS)

    @property
    def dashes(self) -> dict[str, Any]:
        """Patterns of dashes by name; SSPC's line is solid."""
        return self._assigned(DASHES)

    def _assigned(self, looks: Sequence[Any]) -> dict[str, Any]:
        others = (name for name in self.names if name != "SSPC")
        assigned = {"SSPC": looks[0], **dict(zip(others, cycle(looks[1:]), strict=False))}
        return {name: assigned[name] for name in self.names}


@dataclass(frozen=True)
class Looks:
    """Colours and dashes of what are no methods, by name."""

    names: tuple[str, ...]

    @property
    def palette(self) -> dict[str, str]:
        """Colours by name; none is SSPC's."""
        return dict(zip(self.names, cycle((*COLOURS[1:], GREY)), strict=False))

    @property
    def dashes(self) -> dict[str, Any]:
        """Patterns of dashes by name."""
        return dict(zip(self.names, cycle(DASHES), strict=False))


def panel(drawing: Drawing, name: str, title: str, text: str) -> Panel:
    """Return a drawing as a panel, its ids below `name`; the text is for who cannot see it."""
    return Panel(title, inline(drawing, name, f"{title}. {text}"))


@theme()
def curves(rows: pd.DataFrame, hue: str, looks: Scale | Looks, *, name: str, title: str, unit: str) -> Panel:
    """Draw `value` by `step`: means over seeds with bands that span them, told apart by colour and dashes."""
    drawing = canvas(NARROW, 2.4)
    axes = drawing.subplots()
    lines(axes, rows, "step", "value", hue, looks)
    axes.set(xlabel="step", ylabel=unit)
    plain_values(axes, rows["value"])
    named_lines(axes, rows, "step", "value", hue, looks)
    return panel(drawing, name, title, ends(rows, hue))


def lines(axes: Axes, rows: pd.DataFrame, x: str, y: str, hue: str, looks: Scale | Looks) -> None:
    """Draw a line per name: the mean over seeds, and a band that spans them."""
    names = ordered(rows[hue], looks.palette)
    sns.lineplot(
        rows, x=x, y=y, errorbar=("pi", 100), linewidth=1.1, hue=hue, style=hue, hue_order=names,
        style_order=names, palette=looks.palette, dashes=looks.dashes, ax=axes,
    )  # fmt: skip


def named_lines(axes: Axes, rows: pd.DataFrame, x: str, y: str, hue: str, looks: Scale | Looks) -> None:
    """Write each line's name at its end, below each other; above the axes where they are too many."""
    last = {str(name): _end(found, x, y) for name, found in rows.groupby(hue, sort=False)}
    if len(last) > LABELS:
        legend_above(axes)
        return
    legend = axes.get_legend()
    assert legend is not None
    legend.remove()
    to_axes = axes.transData + axes.transAxes.inverted()
    heights = spread([float(to_axes.transform(end)[1]) for end in last.values()])
    for (name, end), height in zip(last.items(), heights, strict=True):
        leader = {"arrowstyle": "-", "color": looks.palette[name], "linewidth": 0.9, "relpos": (0, 0.5)}
        axes.annotate(
            name, end, (1.06, height), "data", "axes fraction", arrowprops=leader, annotation_clip=False,
            va="center", fontsize=8.5,
        )  # fmt: skip


def _end(rows: pd.DataFrame, x: str, y: str) -> tuple[float, float]:
    return float(rows[x].max()), float(rows.loc[rows[x] == rows[x].max(), y].mean())


def spread(heights: Sequence[float], gap: float = 0.1) -> list[float]:
    """Return heights in [0, 1] that keep their order and lie `gap` apart, moved as little as that takes."""
    order = np.argsort(heights, kind="stable")
    placed = np.array(heights, dtype=float)[order]
    room = min(gap, 1 / max(len(placed) - 1, 1))
    for index in range(1, len(placed)):
        placed[index] = max(placed[index], placed[index - 1] + room)
    top = 1.0
    for index in reversed(range(len(placed))):
        placed[index] = min(placed[index], top)
        top = placed[index] - room
    found = np.empty_like(placed)
    found[order] = np.maximum(placed, 0)
    return [float(height) for height in found]


def plain_values(axes: Axes, values: pd.Series) -> None:
    """Write whole numbers at the ticks, without a common factor; give what never varies an axis from 0."""
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    if values.nunique() == 1:
        level = float(values.iloc[0])
        axes.set_ylim(min(0.0, 1.25 * level), max(1.25 * level, 0.0) or 1.0)


def legend_above(axes: Axes) -> None:
    """Move a legend that seaborn made to above the axes, in as many columns as fit there."""
    figure, labels = axes.get_figure(root=True), axes.get_legend_handles_labels()[1]
    assert figure is not None
    columns = _columns(labels, figure.get_figwidth() - 0.5)
    sns.move_legend(
        axes, "lower left", bbox_to_anchor=(0, 1), ncol=columns, title=None, borderaxespad=0.2,
        handlelength=1.6, columnspacing=1.2, handletextpad=0.5, labelspacing=0.2,
    )  # fmt: skip


def _columns(labels: Sequence[str], inches: float) -> int:
    for columns in range(len(labels), 1, -1):
        # As matplotlib fills them: column by column, the first ones one longer.
        widest = (max(map(len, block)) for block in np.array_split(np.array(labels), columns))
        if sum(0.4 + 0.065 * letters for letters in widest) <= inches:
            return columns
    return 1


def means(rows: pd.DataFrame, keys: list[str], value: str, digits: int) -> str:
    """Return the means of groups as text: `EAO 12.3, SSPC 14.5`."""
    found = rows.groupby(keys, sort=False)[value].mean()
    names: Iterable[Any] = found.index
    texts = (name if isinstance(name, str) else " ".join(name) for name in names)
    return ", ".join(f"{text} {mean:.{digits}f}" for text, mean in zip(texts, found, strict=True))


def ends(rows: pd.DataFrame, hue: str) -> str:
    """Return where each curve starts and ends, as text."""
    parts = []
    for name, lines in rows.groupby(hue, sort=False):
        by_step = lines.groupby("step")["value"].mean()
        parts.append(f"{name} from {by_step.iloc[0]:.3g} to {by_step.iloc[-1]:.3g}")
    return f"Steps {rows['step'].min():.0f} to {rows['step'].max():.0f}: {', '.join(parts)}."
