"""The figures of what came out: retrieval, and what the anchors hold."""

from collections.abc import Hashable, Mapping
from itertools import product
from typing import Any

import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Drawing
from matplotlib.lines import Line2D

from multisk.evaluation.ranking import found
from multisk.reporting import wording
from multisk.reporting.order import groups
from multisk.reporting.panels import (
    NARROW,
    WIDE,
    Figure,
    Panel,
    Scale,
    legend_above,
    lines,
    means,
    panel,
)
from multisk.reporting.svg import INK, PAPER, canvas, theme
from multisk.results import headline, ordered
from multisk.settings.benchmarks import SETTINGS

KINDS: Mapping[str, dict[str, Any]] = {  # how the assignments of a method and their baselines are marked
    "anchors": {"marker": "D", "linestyle": "", "markersize": 5.5},
    "k-means": {"marker": "o", "linestyle": "", "markersize": 5.5, "markerfacecolor": "none"},
    "shuffled": {"marker": "|", "linestyle": "", "markersize": 9},
}
TICKS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000)


def headline_figure(
    metrics: pd.DataFrame, chance: pd.DataFrame, scale: Scale, benchmarks: Mapping[str, str]
) -> Figure:
    """Draw R@10 of text -> video+audio: a point per seed, the mean, and what chance reaches."""
    data = _named(headline(metrics[metrics["metric"] == "R10"]))
    levels = chance[chance["metric"] == "R10"].set_index("benchmark")["value"].to_dict()
    limit = 1.18 * max(data["value"].max(), *levels.values(), 1)
    panels: list[Panel] = []
    for benchmark, setting in product(ordered(data["benchmark"], benchmarks), SETTINGS):
        rows = data[(data["benchmark"] == benchmark) & (data["setting"] == setting)]
        title, level = f"{benchmarks.get(benchmark, benchmark)}, {setting}", levels.get(benchmark)
        if rows.empty:
            panels.append(Panel(title, None))
            continue
        end = "" if level is None else f"; chance {level:.1f}"
        text = f"Mean R@10 in percent: {means(rows, ['method'], 'value', 1)}{end}."
        drawing = _seed_points(rows, level, scale, limit)
        panels.append(panel(drawing, f"headline-{len(panels)}", title, text))
    caption = (
        "R@10 in percent, text → video+audio (EAO: of the fused pair; methods without audio: of video alone; "
        "the others: of the mean of the two normalised embeddings). One marker per seed; the bar and the "
        "number are the mean over seeds; the dashed line is chance. All panels have one scale."
    )
    return Figure("headline", "R@10, text → video+audio", caption, tuple(panels), data)


def recall_figure(
    ranks: pd.DataFrame, sizes: pd.DataFrame, scale: Scale, benchmarks: Mapping[str, str]
) -> Figure:
    """Draw R@K at every K: a curve per method, whose band spans its seeds.

    sizes: by benchmark, the columns `complete` (what R@K divides by) and `present`
    """
    data = _named(_recalls(headline(ranks), sizes["complete"].to_dict()))
    panels: list[Panel] = []
    for (benchmark, setting), rows in groups(data, ("benchmark", "setting"), benchmarks):
        complete, present = (int(sizes[which].to_dict()[benchmark]) for which in ("complete", "present"))
        ten = means(rows[rows["K"] == 10], ["method"], "recall", 1)
        text = f"R@K for K from 1 to {complete}; at 10: {ten}."
        drawing = _recall_curves(rows, complete, present, scale)
        panels.append(
            panel(
                drawing, f"recall-{len(panels)}", f"{benchmarks.get(benchmark, benchmark)}, {setting}", text
            )
        )
    caption = (
        "R@K at every K, same direction. Lines are means over seeds, bands span the seeds, the dotted line "
        "is chance. A clip without a file counts as an error, so a curve may end below 100 %."
    )
    return Figure("recall", "R@K at every K", caption, tuple(panels), data)


def nmi_figure(nmi: pd.DataFrame, scale: Scale) -> Figure:
    """Draw the normalised mutual information of assignments and what clips show, beside baselines."""
    data = _named(nmi).assign(modality=nmi["modality"].map(wording.modality_name))
    limit = 1.1 * max(data["nmi"].max(), 0.05)
    panels: list[Panel] = []
    for (space, label), rows in groups(data, ("space", "label")):
        text = f"Mean NMI: {means(rows, ['modality', 'method', 'kind'], 'nmi', 3)}."
        drawing = _information(rows, scale, limit)
        panels.append(panel(drawing, f"nmi-{len(panels)}", f"{label}, {space} space", text))
    caption = (
        "Normalised mutual information (NMI) of each clip's most similar anchor and what the rendered clip "
        "shows, over the test clips of one benchmark: a row per method, a column per modality. Marks: means "
        "over seeds; lines span the seeds. Shuffled: the same assignments in random order, the level of no "
        "relation. k-means: as many clusters of the same features, fitted to these very clips; all that a "
        "method without anchors has."
    )
    return Figure("nmi", "Anchors and what the clips show", caption, tuple(panels), data)


def anchor_figure(counts: pd.DataFrame, label: str = "thing") -> Figure:
    """Draw what the clips of each anchor show, for the first seed."""
    data = counts[(counts["label"] == label) & (counts["count"] > 0)]
    data = data[data["seed"] == data["seed"].min()]
    panels: list[Panel] = []
    for (method, space, modality), rows in groups(data, ("method", "space", "modality")):
        table = rows.pivot_table(index="value", columns="anchor", values="count", aggfunc="sum", fill_value=0)
        shares = _sorted_blocks(table / table.sum())
        owner = f"{wording.method_name(method)}: " if data["method"].nunique() > 1 else ""
        used = f"{shares.shape[1]} anchors in use"
        title = f"{owner}{wording.modality_name(modality)}, {space} space: {used}"
        text = f"The largest share of one {label} is {100 * shares.max().max():.0f} %."
        panels.append(panel(_heat_map(shares, label), f"anchors-{len(panels)}", title, text))
    caption = (
        f"Each column is an anchor, each row a {label}: the share of the anchor's clips that show it (first "
        "seed). Anchors are sorted by what they hold most; a clean staircase would mean one anchor, one "
        f"{label}. Anchors that no clip chose are left out."
    )
    return Figure("anchors", f"Anchors by {label}", caption, tuple(panels), data)


def _named(data: pd.DataFrame) -> pd.DataFrame:
    return data.assign(method=data["method"].map(wording.method_name))


@theme()
def _seed_points(rows: pd.DataFrame, chance: float | None, scale: Scale, limit: float) -> Drawing:
    drawing = canvas(WIDE, 0.65 + 0.3 * len(scale.names))
    axes = drawing.subplots()
    for row, name in enumerate(scale.names):
        values = rows.loc[rows["method"] == name, "value"]
        if values.empty:
            axes.text(limit * 0.01, row, "not run", va="center")
            continue
        axes.barh(row, values.mean(), height=0.62, color=scale.palette[name], alpha=0.28, linewidth=0)
        axes.plot(
            values, [row] * len(values), scale.markers[name], color=scale.palette[name], markersize=6,
            markeredgecolor=PAPER, markeredgewidth=0.6,
        )  # fmt: skip
        axes.text(values.max() + 0.025 * limit, row, f"{values.mean():.1f}", va="center")
    if chance is not None:
        axes.axvline(chance, color=INK, linewidth=0.9, linestyle=(0, (3, 2)))
        axes.text(chance + 0.012 * limit, -0.62, f"chance {chance:.1f}", va="bottom", fontsize=8)
    axes.set(xlim=(0, limit), ylim=(len(scale.names) - 0.5, -1.05), xlabel="R@10 (%)")
    axes.set_yticks(range(len(scale.names)), scale.names)
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False, axis="y")
    return drawing


@theme()
def _recall_curves(rows: pd.DataFrame, complete: int, present: int, scale: Scale) -> Drawing:
    drawing = canvas(WIDE, 2.6)
    axes = drawing.subplots()
    lines(axes, rows, "K", "recall", "method", scale)
    steps = sorted(rows["K"].unique())
    axes.plot(steps, [100 * min(k, present) / complete for k in steps], ":", color=INK, linewidth=0.8)
    axes.set(xscale="log", xlim=(1, complete), ylim=(0, 100), xlabel="K (clips)", ylabel="R@K (%)")
    ticks = [k for k in TICKS if k <= complete]
    axes.set_xticks(ticks, [str(k) for k in ticks])
    axes.minorticks_off()
    legend_above(axes)
    return drawing


def _recalls(ranks: pd.DataFrame, complete: Mapping[Hashable, float]) -> pd.DataFrame:
    keys = ["method", "benchmark", "setting", "seed", "direction", "file", "run_key"]
    rows = []
    for run, ranks_of in ranks.groupby(keys, sort=False)["rank"]:
        size = int(complete[run[1]])
        steps = sorted({10, *(round(size ** (i / 60)) for i in range(61))})
        rows += [(*run, k, 100 * int(found(ranks_of.to_numpy(), k).sum()) / size) for k in steps]
    return pd.DataFrame(rows, columns=[*keys, "K", "recall"])


@theme()
def _information(rows: pd.DataFrame, scale: Scale, limit: float) -> Drawing:
    """Draw a row of marks per method, side by side for each modality, with one legend."""
    methods = ordered(rows["method"], scale.names)
    modalities = ordered(rows["modality"], wording.MODALITIES.values())
    drawing = canvas(WIDE, 0.85 + 0.27 * len(methods))
    grid = drawing.subplots(1, len(modalities), sharex=True, sharey=True, squeeze=False)[0]
    for axes, modality in zip(grid, modalities, strict=True):
        for row, method in enumerate(methods):
            found = rows[(rows["modality"] == modality) & (rows["method"] == method)]
            _marks(axes, row, found.set_index("kind")["nmi"], scale.palette[method])
        axes.set(xlim=(0, limit), ylim=(len(methods) - 0.5, -0.5), xlabel="NMI", title=modality)
        axes.tick_params(axis="y", length=0)
        axes.grid(visible=False, axis="y")
    grid[0].set_yticks(range(len(methods)), methods)
    handles = [Line2D([], [], color=INK, label=kind, **look) for kind, look in KINDS.items()]
    drawing.legend(handles=handles, loc="outside upper left", ncol=len(handles), handlelength=1)
    return drawing


def _marks(axes: Axes, row: int, nmi: pd.Series, colour: str) -> None:
    for kind, look in KINDS.items():
        values = nmi[nmi.index == kind]
        if len(values):
            tone = colour if kind == "anchors" else INK
            axes.plot([values.min(), values.max()], [row, row], color=tone, linewidth=0.9)
            axes.plot([values.mean()], [row], color=tone, **look)


@theme()
def _heat_map(shares: pd.DataFrame, label: str) -> Drawing:
    drawing = canvas(NARROW, 0.6 + 0.17 * len(shares))
    axes = drawing.subplots()
    sns.heatmap(
        shares, vmin=0, vmax=1, cmap="cividis", xticklabels=False, yticklabels=True, rasterized=True,
        cbar_kws={"label": "share", "pad": 0.02}, ax=axes,
    )  # fmt: skip
    axes.set(xlabel="anchor", ylabel=label)
    axes.tick_params(axis="y", length=0)
    return drawing


def _sorted_blocks(shares: pd.DataFrame) -> pd.DataFrame:
    largest = shares.to_numpy().argmax(axis=0)
    order = sorted(range(len(largest)), key=lambda column: (largest[column], -shares.iloc[:, column].max()))
    return shares.iloc[:, order]
