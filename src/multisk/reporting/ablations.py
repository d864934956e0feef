"""The figures of studies: what one setting does, and how many settings act together."""

from collections.abc import Mapping
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Drawing
from matplotlib.ticker import MaxNLocator

from multisk.reporting import wording
from multisk.reporting.panels import NARROW, WIDE, Figure, Panel, panel
from multisk.reporting.studies import METHOD, StudyResult, gains, interval_table
from multisk.reporting.svg import BLUE, GREY, INK, VERMILION, canvas, theme

WEIGHTS = ("modality_specific", "cross_modal", "audio")
BINS = 4
GOOD_SHARE = 0.25  # of the trials are drawn as the best


def figures_of(study: StudyResult) -> list[Figure]:
    """Return the figures that suit a study: curves of grids, gains of two methods, or a search's."""
    if study.finished.empty:
        return []
    found: list[Figure | None]
    if METHOD in study.space:
        found = [gain_figure(study)]
    elif study.head["sampler"] == "grid":
        found = [curve_figure(study)]
    else:
        found = [
            importance_figure(study),
            weight_figure(study),
            parallel_figure(study),
            pareto_figure(study) if len(study.objectives) == 2 else None,
        ]
    return [figure for figure in found if figure and figure.panels]


def curve_figure(study: StudyResult) -> Figure:
    """Draw each objective by each numeric setting: seeds as points, means with intervals."""
    panels = []
    for key in filter(study.is_numeric, study.space):
        for objective in study.watched:
            table, level = interval_table(study.finished, [key], objective), study.chance(objective)
            title = f"{study.objective_name(objective)}, by {wording.setting_name(key)}"
            means = ", ".join(f"{row['mean']:.1f} at {row[key]:g}" for row in table.to_dict("records"))
            end = "" if level is None else f" Chance: {level:.1f}."
            drawing = _curve(study, key, objective, table, level)
            panels.append(_panel(study, drawing, title, f"Means: {means}.{end}"))
    drawn = (
        "Points: seeds. Line: mean over seeds; bars: its 95 % interval (Student's t, over seeds)."
        if study.seeds > 1
        else "Points: the only seed, so nothing tells how far another one would lie from it."
    )
    dashed = " Dashed: chance." if any(study.chance(name) is not None for name in study.watched) else ""
    caption = f"{drawn}{dashed} {_made(study)}"
    return _figure(study, "curve", "What the setting does", caption, panels)


def _made(study: StudyResult) -> str:
    """Return how a study's numbers were made."""
    seeds = f"{study.seeds} seeds" if study.seeds > 1 else "one seed"
    return (
        f"Each point was trained for {study.head['epochs']} epochs with {seeds} and measured on the "
        "validation part of the training clips, not on test clips."
    )


def gain_figure(study: StudyResult) -> Figure:
    """Draw what SSPC gains over the contrastive loss alone, by what the data are like."""
    pairs, panels = gains(study), []
    keys = [key for key in study.space if key != METHOD]
    tables = {
        name: interval_table(pairs, keys[:2], f"gain/{name}")
        for name in study.watched
        if len(keys) >= 2 and len(pairs)
    }
    limit = max((float(table["mean"].abs().max()) for table in tables.values()), default=0.0)
    for objective, table in tables.items():
        title = f"SSPC minus Contrastive, {study.objective_name(objective)}"
        cells = ", ".join(
            f"{_gain(row, ' ')} at {keys[0]} {row[keys[0]]} and {keys[1]} {row[keys[1]]}"
            for row in table.to_dict("records")
        )
        panels.append(_panel(study, _gain_map(table, keys, max(limit, 0.1)), title, f"{cells}."))
    intervals = "in brackets its 95 % interval (Student's t, over seeds); " if study.seeds > 1 else ""
    caption = (
        "Points of R@10 that SSPC gains over the contrastive loss alone, mean of differences paired by seed; "
        f"{intervals}by the share of the pretraining videos and by the share of narrated clips that get the "
        f"words of another video. All panels have one scale of colours. {_made(study)}"
    )
    data = pairs.assign(study=study.study)
    return Figure(f"sweep-{study.study}-gain", "What SSPC gains", caption, tuple(panels), data)


def _gain(row: Mapping[Any, Any], between: str) -> str:
    ends = f"{between}[{wording.signed(row['low'])}, {wording.signed(row['high'])}]"
    return f"{wording.signed(row['mean'])}{ends if row['low'] == row['low'] else ''}"


def importance_figure(study: StudyResult) -> Figure | None:
    """Draw how much of an objective's variation each setting explains, by the evaluator that is named."""
    importance = study.head.get("importance")
    if not importance:
        return None
    panels = []
    for objective, shares in importance["values"].items():
        ranked = pd.Series(shares).sort_values()
        text = ", ".join(
            f"{wording.setting_name(str(key))} {share:.2f}" for key, share in ranked[::-1].items()
        )
        panels.append(_panel(study, _bars(ranked), study.objective_name(objective), f"{text}."))
    caption = (
        f"Importance of each setting, by Optuna's evaluator {importance['evaluator']}. Few trials make rough "
        "shares."
    )
    rows = [
        (study.head["name"], importance["evaluator"], objective, key, share)
        for objective, shares in importance["values"].items()
        for key, share in shares.items()
    ]
    data = pd.DataFrame(rows, columns=["study", "evaluator", "objective", "setting", "importance"])
    return Figure(f"sweep-{study.study}-importance", "Importance", caption, tuple(panels), data)


def weight_figure(study: StudyResult) -> Figure | None:
    """Draw heat maps of each objective over pairs of loss weights."""
    weights = [key for key in WEIGHTS if key in study.space]
    if len(weights) < 2:
        return None
    panels = []
    for objective in study.objectives:
        for x, y in combinations(weights, 2):
            terms = f"{wording.setting_name(x)} and {wording.setting_name(y)} terms"
            drawing = _weight_map(study, x, y, objective)
            title = f"{study.objective_name(objective)}: {terms}"
            panels.append(_panel(study, drawing, title, f"{len(study.means)} trials."))
    caption = (
        "Loss weights in pairs: the mean of the trials whose weights lie in a cell; empty cells had no "
        "trial. The other settings vary, too. Points are the trials themselves."
    )
    return _figure(study, "weights", "Loss weights", caption, panels)


def parallel_figure(study: StudyResult) -> Figure:
    """Draw each trial as a line through what was varied and what it reached."""
    panels = []
    for objective in study.objectives:
        title = f"{study.objective_name(objective)}: the best {GOOD_SHARE:.0%} and the others"
        panels.append(_panel(study, _parallel(study, objective), title, f"{len(study.means)} trials."))
    caption = (
        "Parallel coordinates: a line per trial, from setting to setting to what it reached. Each axis runs "
        "from its smallest to its largest value, which are written at its ends."
    )
    return _figure(study, "parallel", "All settings together", caption, panels)


def pareto_figure(study: StudyResult) -> Figure:
    """Draw both objectives of each trial and the front of those that no other beats in both."""
    first, second = study.objectives
    front = study.means[study.means["pareto"].astype(bool)].sort_values(first)
    ends = ", ".join(
        f"trial {row['number']}: {row[first]:.1f} and {row[second]:.1f}" for row in front.to_dict("records")
    )
    names = f"{study.objective_name(first)} and {study.objective_name(second)}"
    caption = "Filled points: trials that no other beats in both objectives, with their numbers."
    return _figure(
        study, "pareto", "Pareto front", caption, [_panel(study, _pareto(study, front), names, f"{ends}.")]
    )


def cost_figure(study: StudyResult) -> Figure | None:
    """Draw time and peak memory of each trial."""
    if study.finished.empty:
        return None
    panels = []
    time, length = wording.time_unit(study.means["seconds"])
    trials = study.means.set_index("number")
    for unit, values in ((time, trials["seconds"] / length), ("peak memory (MB)", trials["peak_mb"])):
        if values.notna().any():
            text = f"{values.min():.1f} to {values.max():.1f} over {len(values)} trials."
            panels.append(_panel(study, _by_trial(values, unit), unit, text))
    caption = (
        f"A point per finished trial: {time} summed over its seeds, and the largest peak of memory of the "
        f"processes that trained them. {wording.PEAK}"
    )
    return _figure(study, "cost", f"Study {study.study}", caption, panels) if panels else None


def _figure(study: StudyResult, kind: str, title: str, caption: str, panels: list[Panel]) -> Figure:
    name = f"sweep-{study.study}"
    return Figure(f"{name}-{kind}", title, caption, tuple(panels), study.trials, csv=name)


def _panel(study: StudyResult, drawing: Drawing, title: str, text: str) -> Panel:
    letters = "".join(letter if letter.isalnum() else "-" for letter in title.lower())
    return panel(drawing, f"{study.study}-{letters}", title, text)


@theme()
def _curve(
    study: StudyResult, key: str, objective: str, table: pd.DataFrame, chance: float | None
) -> Drawing:
    drawing = canvas(WIDE, 2.6)
    axes = drawing.subplots()
    axes.plot(study.finished[key], study.finished[objective], "o", color=GREY, markersize=4, alpha=0.8)
    axes.plot(table[key], table["mean"], "-D", color=VERMILION, markersize=5)
    bars = table.dropna(subset="low")
    axes.vlines(bars[key], bars["low"], bars["high"], color=VERMILION, linewidth=1.4)
    _value_axis(axes, study, key)
    top = max(
        float(study.finished[objective].max()), float(bars["high"].max() if len(bars) else 0), chance or 0
    )
    axes.set(ylabel=study.objective_axis(objective), ylim=(0, 1.12 * top or 1))
    if chance is not None:
        axes.axhline(chance, color=INK, linewidth=0.9, linestyle=(0, (3, 2)))
        axes.annotate(
            f"chance {chance:.1f}", (1, chance), (0, 2), ("axes fraction", "data"), "offset points",
            ha="right", va="bottom", fontsize=8,
        )  # fmt: skip
    return drawing


def _value_axis(axes: Axes, study: StudyResult, key: str) -> None:
    if study.is_log(key):
        axes.set_xscale("log", base=2)
    ticks = sorted(study.finished[key].unique())
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.minorticks_off()
    axes.set_xlabel(wording.setting_name(key))


@theme()
def _gain_map(table: pd.DataFrame, keys: list[str], limit: float) -> Drawing:
    texts = table.assign(text=[_gain(row, "\n") for row in table.to_dict("records")])
    means, written = (of.pivot(index=keys[1], columns=keys[0]) for of in (table, texts))
    drawing = canvas(NARROW, 1.5 + 0.5 * len(means))
    axes = drawing.subplots()
    sns.heatmap(
        means["mean"], annot=written["text"], fmt="", cmap="PuOr_r", vmin=-limit, vmax=limit, linewidths=1,
        cbar_kws={"label": "points", "pad": 0.02}, ax=axes,
    )  # fmt: skip
    axes.set(xlabel=wording.setting_name(keys[0]), ylabel=wording.setting_name(keys[1]))
    axes.tick_params(length=0, rotation=0)
    return drawing


@theme()
def _bars(ranked: pd.Series) -> Drawing:
    drawing = canvas(NARROW, 0.7 + 0.26 * len(ranked))
    axes = drawing.subplots()
    names = [wording.setting_name(str(key)) for key in ranked.index]
    axes.barh(names, ranked.to_numpy(), color=BLUE, height=0.62)
    for row, share in enumerate(ranked):
        axes.text(share, row, f" {share:.2f}", va="center")
    axes.set(xlim=(0, 1.15 * max(ranked.max(), 1e-9)), xlabel="importance")
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False, axis="y")
    return drawing


@theme()
def _weight_map(study: StudyResult, x: str, y: str, objective: str) -> Drawing:
    from scipy.stats import binned_statistic_2d

    drawing = canvas(NARROW, 2.7)
    axes = drawing.subplots()
    trials = study.means
    across, up = _edges(study, x), _edges(study, y)
    xs, ys, values = (trials[key].to_numpy(dtype=float) for key in (x, y, objective))
    means = binned_statistic_2d(xs, ys, values, bins=[across, up]).statistic
    mesh = axes.pcolormesh(across, up, means.T, cmap="cividis", rasterized=True)
    axes.plot(xs, ys, "o", color="#ffffff", markeredgecolor="#000000", markersize=4, markeredgewidth=0.7)
    if study.is_log(x):
        axes.set_xscale("log")
    if study.is_log(y):
        axes.set_yscale("log")
    axes.set_xticks(across, [f"{edge:.2g}" for edge in across])
    axes.set_yticks(up, [f"{edge:.2g}" for edge in up])
    axes.minorticks_off()
    axes.set(xlabel=wording.setting_name(x), ylabel=wording.setting_name(y))
    axes.grid(visible=False)
    drawing.colorbar(mesh, ax=axes, label=study.objective_axis(objective), pad=0.02)
    return drawing


def _edges(study: StudyResult, key: str) -> np.ndarray:
    space = study.space[key]
    ends = (space["low"], space["high"]) if isinstance(space, dict) else (min(space), max(space))
    spread = np.geomspace if study.is_log(key) else np.linspace
    return spread(*ends, BINS + 1)


@theme()
def _parallel(study: StudyResult, objective: str) -> Drawing:
    from pandas.plotting import parallel_coordinates

    trials = study.means
    columns = [*study.space, objective]
    scaled = pd.DataFrame({key: _unit(study, trials, key) for key in columns})
    rank = trials[objective].rank(ascending=objective not in study.smaller, pct=True, method="first")
    names = {True: f"best {GOOD_SHARE:.0%}", False: "others"}
    scaled["group"] = (rank > 1 - GOOD_SHARE).map(names)
    drawing = canvas(2 * WIDE, 3)
    axes = drawing.subplots()
    for name, colour, width in (("others", GREY, 0.9), (names[True], VERMILION, 1.6)):
        rows = scaled[scaled["group"] == name]
        if len(rows):
            parallel_coordinates(rows, "group", color=[colour], linewidth=width, ax=axes, axvlines_kwds={
                "color": INK, "linewidth": 0.6})  # fmt: skip
    axes.set_xticks(range(len(columns)), [_axis_name(trials, key, study) for key in columns])
    axes.set(yticks=[], ylim=(-0.05, 1.05))
    axes.grid(visible=False)
    sns.despine(ax=axes, left=True, bottom=True)
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncol=2)
    return drawing


def _unit(study: StudyResult, trials: pd.DataFrame, key: str) -> pd.Series:
    values = trials[key]
    if key in study.space and not study.is_numeric(key):
        values = values.astype("category").cat.codes
    places = values.to_numpy(dtype=float)
    places = np.log(places) if key in study.space and study.is_log(key) else places
    width = np.ptp(places)
    return pd.Series((places - places.min()) / width if width else np.full_like(places, 0.5))


def _axis_name(trials: pd.DataFrame, key: str, study: StudyResult) -> str:
    name = wording.setting_name(key) if key in study.space else study.objective_name(key)
    words = name.replace(" ", "\n")
    if key in study.space and not study.is_numeric(key):
        return words
    return f"{trials[key].min():.3g} to {trials[key].max():.3g}\n{words}"


@theme()
def _pareto(study: StudyResult, front: pd.DataFrame) -> Drawing:
    drawing = canvas(WIDE, 3)
    axes = drawing.subplots()
    first, second = study.objectives
    axes.plot(study.means[first], study.means[second], "o", color=GREY, markersize=5, markerfacecolor="none")
    axes.plot(front[first], front[second], "o-", color=VERMILION, markersize=6, linewidth=0.9)
    for row in front.to_dict("records"):
        axes.annotate(
            str(row["number"]), (row[first], row[second]), xytext=(4, 4), textcoords="offset points"
        )
    axes.set(xlabel=study.objective_axis(first), ylabel=study.objective_axis(second))
    return drawing


@theme()
def _by_trial(values: pd.Series, unit: str) -> Drawing:
    drawing = canvas(NARROW, 2.1)
    axes = drawing.subplots()
    axes.plot(values.index, values, "o", color=BLUE, markersize=5)
    axes.set(xlabel="trial", ylabel=unit, ylim=(0, 1.15 * float(values.max())))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    return drawing
