"""What all figures are made of: small panels, one scale of colours, curves, texts for who cannot see them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle, product
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from markupsafe import Markup
from matplotlib.axes import Axes

from multisk.reporting import wording
from multisk.reporting.results import SETTINGS, ordered
from multisk.reporting.svg import COLOURS, canvas, inline, theme

WIDE, NARROW = 4.2, 3.4  # inches: two or three panels beside each other on a wide page
MARKERS = ("D", "o", "s", "^", "v", "P")
DASHES = ("", (4, 1.5), (1.5, 1), (5, 1, 1.5, 1), (3, 2), (2, 2))
PREFERRED: Mapping[str, Sequence[str]] = {
    "setting": SETTINGS,
    "benchmark": ("", *wording.DOMAINS),
    "stage": ("pretrain", "finetune"),
    "space": ("input", "joint"),
    "modality": tuple(wording.MODALITIES),
    "label": ("action", "thing", "place"),
    "method": ("sspc",),
    "kind": ("anchors", "k-means", "shuffled"),
}


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

    def _assigned(self, looks: Sequence[str]) -> dict[str, str]:
        others = [name for name in self.names if name != "SSPC"]
        assigned = dict(zip(["SSPC", *others], cycle(looks), strict=False))
        return {name: assigned[name] for name in self.names}


def curves(
    rows: pd.DataFrame, hue: str, palette: Mapping[str, str], *, name: str, title: str, unit: str
) -> Panel:
    """Draw `value` by `step`, a line per seed, told apart by colour and dashes."""
    names = ordered(rows[hue], palette)
    with theme():
        drawing = canvas(NARROW, 2.4)
        axes = drawing.subplots()
        sns.lineplot(
            rows, x="step", y="value", units="seed", estimator=None, linewidth=1.1, hue=hue, style=hue,
            hue_order=names, style_order=names, palette=palette, dashes=dashes(palette), ax=axes,
        )  # fmt: skip
        axes.set(xlabel="step", ylabel=unit)
        legend_above(axes)
    return Panel(title, inline(drawing, name, f"{title}. {ends(rows, hue)}"))


def dashes(palette: Mapping[str, str]) -> dict[str, Any]:
    """Return a pattern of dashes for each name of a palette; SSPC's line is solid."""
    return dict(zip(sorted(palette, key=lambda name: name != "SSPC"), cycle(DASHES), strict=False))


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


def cells(data: pd.DataFrame, keys: Sequence[str]) -> Iterator[tuple[tuple[Any, ...], pd.DataFrame]]:
    """Yield the groups in the page's order: pretraining before fine-tuning, zero-shot before fine-tuned."""
    values = [ordered(data[key], PREFERRED.get(key, ())) for key in keys]
    for cell in product(*values):
        rows = data
        for key, value in zip(keys, cell, strict=True):
            rows = rows[rows[key] == value]
        if len(rows):
            yield cell, rows


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
