"""The figures of the page: each a set of small panels that flow with the page's width."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import product

import matplotlib as mpl
import pandas as pd
import seaborn as sns
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Drawing

from multisk.reporting import wording
from multisk.reporting.results import SETTINGS, headline, ordered
from multisk.reporting.svg import COLOURS, INK, PAPER, canvas, inline, style

WIDE, TALL, LOW = 4.2, 2.7, 1.55  # inches
MARKERS = ("D", "o", "s", "^", "v", "P")
POINTS = 240  # a curve has at most so many; longer ones show means of consecutive steps
KINDS = ("anchors", "k-means", "shuffled")
ASSIGNMENTS = ("input_to_joint", "joint_to_input")


@dataclass(frozen=True)
class Panel:
    """One small drawing; without `svg` its run has not been made."""

    title: str
    svg: Markup | None


@dataclass(frozen=True)
class Figure:
    """Panels with one caption, and the data that they show."""

    name: str  # of its data file, and the prefix of its ids
    title: str
    caption: str
    panels: tuple[Panel, ...]
    data: pd.DataFrame


@dataclass(frozen=True)
class Scale:
    """A method's colour and marker, the same in every figure."""

    methods: tuple[str, ...]

    @property
    def names(self) -> list[str]:
        """The methods' names in prose."""
        return [wording.method_name(method) for method in self.methods]

    @property
    def palette(self) -> dict[str, str]:
        """Colours by name; SSPC's stays vermilion whatever stands beside it."""
        others = [name for name in self.names if name != "SSPC"]
        return {"SSPC": COLOURS[0]} | dict(zip(others, _cycle(COLOURS[1:]), strict=False))

    @property
    def markers(self) -> dict[str, str]:
        """Markers by name."""
        others = [name for name in self.names if name != "SSPC"]
        return {"SSPC": MARKERS[0]} | dict(zip(others, _cycle(MARKERS[1:]), strict=False))


def headline_figure(
    metrics: pd.DataFrame, chance: pd.DataFrame, scale: Scale, label: Callable[[str], str]
) -> Figure:
    """R@10 of text -> video+audio: a point per seed, the mean, and what chance reaches."""
    data = headline(metrics).query("metric == 'R10'").assign(method=lambda t: t.method.map(wording.method_name))
    levels = chance[chance["metric"] == "R10"].set_index("benchmark")["value"]
    limit = 1.18 * max(data["value"].max(), 1)
    panels = []
    for benchmark, setting in product(ordered(data["benchmark"], wording.DOMAINS), SETTINGS):
        rows = data[(data["benchmark"] == benchmark) & (data["setting"] == setting)]
        title = f"{label(benchmark)}, {setting}"
        if rows.empty:
            panels.append(Panel(title, None))
            continue
        with mpl.rc_context(style()):
            drawing = _seed_points(rows, levels.get(benchmark), scale, limit)
        panels.append(Panel(title, inline(drawing, f"headline-{len(panels)}", _headline_alt(title, rows, levels))))
    caption = (
        "R@10 in percent, text → video+audio (EAO: of the fused pair; the others: mean of the two normalised "
        "embeddings). One marker per seed; the bar and the number are the mean over seeds; the dashed line is "
        "chance. All panels have one scale."
    )
    return Figure("headline", "R@10, text → video+audio", caption, tuple(panels), data)


def recall_figure(
    ranks: pd.DataFrame, sizes: pd.Series, scale: Scale, label: Callable[[str], str]
) -> Figure:
    """R@K at every K: one curve per method, the band spans its seeds."""
    data = _recall_curves(headline(ranks), sizes).assign(method=lambda t: t.method.map(wording.method_name))
    panels = []
    for (benchmark, setting), rows in _cells(data, ("benchmark", "setting")):
        with mpl.rc_context(style()):
            drawing = canvas(WIDE, TALL)
            axes = drawing.subplots()
            sns.lineplot(
                rows, x="K", y="recall", hue="method", style="method", hue_order=scale.names,
                style_order=scale.names, palette=scale.palette, errorbar=("pi", 100), ax=axes,
            )  # fmt: skip
            axes.plot([1, sizes[benchmark]], [100 / sizes[benchmark], 100], ":", color=INK, linewidth=0.8)
            axes.set(xscale="log", ylim=(0, 100), xlabel="K (clips)", ylabel="R@K (%)")
            _legend_above(axes, 3)
        alt = f"{label(benchmark)}, {setting}: R@K for K from 1 to {sizes[benchmark]:.0f}."
        panels.append(Panel(f"{label(benchmark)}, {setting}", inline(drawing, f"recall-{len(panels)}", alt)))
    caption = (
        "R@K at every K, same direction. Lines are means over seeds, bands span the seeds, the dotted line is "
        "chance. A clip without a file counts as an error, so a curve may end below 100 %."
    )
    return Figure("recall", "R@K at every K", caption, tuple(panels), data)


def loss_figure(training: pd.DataFrame, scale: Scale, label: Callable[[str], str]) -> Figure:
    """The loss by step, a line per seed."""
    data = _thinned(training[training["term"] == "loss"])
    panels = _by_run(data, scale, label, "loss", "loss")
    caption = (
        "Training loss by step, a line per seed. SSPC's loss has more terms than the others', "
        "so the curves' heights do not compare; the terms start when the queue has been filled once."
    )
    return Figure("loss", "Loss", caption, panels, data)


def contrastive_figure(training: pd.DataFrame, scale: Scale) -> Figure:
    """The contrastive terms of pretraining, a line per pair and seed."""
    chosen = training[(training["stage"] == "pretrain") & training["term"].str.startswith("contrastive/")]
    data = _thinned(chosen.assign(pair=chosen["term"].str.removeprefix("contrastive/").map(wording.pair_name)))
    pairs = list(dict.fromkeys(data["pair"]))
    colours = dict(zip(pairs, _cycle(COLOURS), strict=False))
    panels = []
    for method in ordered(data["method"], scale.methods):
        rows, name = data[data["method"] == method], wording.method_name(method)
        panels.append(_lines(rows, "pair", colours, f"contrastive-{method}", f"{name}, pretraining", "InfoNCE"))
    caption = "InfoNCE by pair of modalities, unweighted, a line per seed."
    return Figure("contrastive", "Contrastive terms", caption, tuple(panels), data)


def sspc_figure(training: pd.DataFrame) -> Figure:
    """SSPC's 18 terms in pretraining, as a 3 x 3 of anchors and data for each of the two sides."""
    data = _sspc_terms(training, ASSIGNMENTS)
    titles = {
        "input_to_joint": "A: the input side predicts the joint assignment",
        "joint_to_input": "B: the joint side predicts the input assignment",
    }
    panels = []
    for side, title in titles.items():
        rows = data[data["family"] == side]
        if len(rows):
            with mpl.rc_context(style()):
                drawing = _three_by_three(rows)
            panels.append(Panel(title, inline(drawing, f"sspc-{side}", f"{title}. {_ends(rows, 'pair')}")))
    caption = (
        "SSPC's 18 terms (binary cross-entropy, unweighted) in pretraining, a line per seed: a row per "
        "modality whose anchors are used, a column per modality of the data; the diagonal is modality-specific."
    )
    return Figure("sspc", "SSPC terms", caption, tuple(panels), data)


def usage_figure(training: pd.DataFrame) -> Figure:
    """Whatever else the SSPC loss reports about its anchors."""
    families = [term.split("/")[1] for term in training["term"].unique() if term.startswith("sspc/")]
    families = [family for family in dict.fromkeys(families) if family not in ASSIGNMENTS]
    data = _sspc_terms(training, families)
    panels = []
    for family in ordered(data["family"], families):
        rows = data[data["family"] == family]
        colours = dict(zip(dict.fromkeys(rows["pair"]), _cycle(COLOURS), strict=False))
        title = family.replace("_", " ")
        panels.append(_lines(rows, "pair", colours, f"usage-{family}", title, title))
    caption = "How the anchors are used in pretraining, as logged by the loss, a line per seed."
    return Figure("usage", "Anchor usage", caption, tuple(panels), data)


def pace_figure(training: pd.DataFrame, scale: Scale, label: Callable[[str], str]) -> Figure:
    """Gradient norm and throughput of pretraining."""
    units = {"gradient_norm": "gradient norm", "clips_per_second": "clips per second"}
    data = _thinned(training[(training["stage"] == "pretrain") & training["term"].isin(list(units))])
    panels: list[Panel] = []
    for term, unit in units.items():
        rows = data[data["term"] == term]
        panels += _by_run(rows, scale, label, f"pace-{term}", unit, title=unit)
    caption = "Gradient norm and throughput in pretraining, a line per seed."
    return Figure("pace", "Gradient norm and throughput", caption, tuple(panels), data)


def nmi_figure(nmi: pd.DataFrame) -> Figure:
    """Normalised mutual information of assignments and what the clips show, against two baselines."""
    data = nmi.assign(modality=nmi["modality"].map(wording.modality_name))
    kinds = ordered(data["kind"], KINDS)
    colours = dict(zip(kinds, (COLOURS[0], COLOURS[5], COLOURS[4]), strict=False))
    order = ordered(data["modality"], wording.MODALITIES.values())
    limit = 1.1 * max(data["nmi"].max(), 0.05)
    panels = []
    for (method, label, space), rows in _cells(data, ("method", "label", "space")):
        title = f"{wording.method_name(method)}: {label}, {space} space"
        with mpl.rc_context(style()):
            drawing = canvas(WIDE, 2.2)
            axes = drawing.subplots()
            shared = {"x": "modality", "y": "nmi", "hue": "kind", "order": order, "hue_order": kinds}
            sns.barplot(rows, **shared, palette=colours, errorbar=None, alpha=0.75, saturation=1, ax=axes)
            sns.stripplot(
                rows, **shared, palette=dict.fromkeys(kinds, INK), dodge=True, jitter=False, size=3.5,
                legend=False, ax=axes,
            )  # fmt: skip
            axes.set(xlabel="", ylabel="NMI", ylim=(0, limit))
            axes.grid(visible=False, axis="x")
            _legend_above(axes, 3)
        alt = f"{title}. Mean NMI: {_means(rows, ['modality', 'kind'], 'nmi', 3)}."
        panels.append(Panel(title, inline(drawing, f"nmi-{len(panels)}", alt)))
    caption = (
        "Normalised mutual information between the clip's strongest anchor and what the rendered clip is known "
        "to show. Bars: mean over seeds; points: seeds. Shuffled: the same assignments in random order, the level "
        "of no relation. k-means: as many clusters of the same features."
    )
    return Figure("nmi", "Anchors and what the clips show", caption, tuple(panels), data)


def anchor_figure(counts: pd.DataFrame, label: str = "thing") -> Figure:
    """What the clips of each anchor show, for the first seed."""
    data = counts[(counts["label"] == label) & (counts["count"] > 0)]
    data = data[data["seed"] == data["seed"].min()]
    panels = []
    for (method, space, modality), rows in _cells(data, ("method", "space", "modality")):
        table = rows.pivot_table(index="value", columns="anchor", values="count", aggfunc="sum", fill_value=0)
        shares = _sorted_blocks(table / table.sum())
        with mpl.rc_context(style()):
            drawing = _heat_map(shares, label)
        title = f"{wording.method_name(method)}: {wording.modality_name(modality)} anchors, {space} space"
        alt = f"{title}: {shares.shape[1]} anchors in use; largest share {100 * shares.max().max():.0f} %."
        panels.append(Panel(f"{title} ({shares.shape[1]} in use)", inline(drawing, f"anchors-{len(panels)}", alt)))
    caption = (
        f"Each column is an anchor, each row a {label}: the share of the anchor's clips that show it (first seed). "
        "Anchors are sorted by what they hold most; a clean staircase would mean one anchor, one thing. "
        "Anchors that no clip chose are left out."
    )
    return Figure("anchors", f"Anchors by {label}", caption, tuple(panels), data)


def _seed_points(rows: pd.DataFrame, chance: float | None, scale: Scale, limit: float) -> Drawing:
    drawing = canvas(WIDE, LOW)
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
        axes.text(max(values) + 0.02 * limit, row, f"{values.mean():.1f}", va="center")
    if chance is not None:
        axes.axvline(chance, color=INK, linewidth=0.9, linestyle=(0, (3, 2)))
        axes.text(chance, -0.62, f" chance {chance:.1f}", va="bottom", ha="left", fontsize=8)
    axes.set(xlim=(0, limit), ylim=(len(scale.names) - 0.5, -1.05), xlabel="R@10 (%)")
    axes.set_yticks(range(len(scale.names)), scale.names)
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False, axis="y")
    return drawing


def _headline_alt(title: str, rows: pd.DataFrame, levels: pd.Series) -> str:
    chance = levels.get(rows["benchmark"].iloc[0])
    end = "" if chance is None else f"; chance {chance:.1f}"
    return f"{title}. Mean R@10 in percent: {_means(rows, ['method'], 'value', 1)}{end}."


def _recall_curves(ranks: pd.DataFrame, sizes: pd.Series) -> pd.DataFrame:
    curves = []
    for keys, rows in ranks.groupby(["method", "benchmark", "setting", "seed"], sort=False):
        size = int(sizes[keys[1]])
        steps = sorted({round(size ** (i / 60)) for i in range(61)})
        found = [100 * float((rows["rank"] <= k).sum()) / size for k in steps]
        run = dict(zip(("method", "benchmark", "setting", "seed"), keys, strict=True))
        curves.append(pd.DataFrame({**run, "K": steps, "recall": found}))
    return pd.concat(curves, ignore_index=True)


def _by_run(
    data: pd.DataFrame, scale: Scale, label: Callable[[str], str], name: str, unit: str, title: str = ""
) -> tuple[Panel, ...]:
    panels = []
    data = data.assign(method=data["method"].map(wording.method_name))
    for (stage, benchmark), rows in _cells(data, ("stage", "benchmark")):
        run = "pretraining" if stage == "pretrain" else f"fine-tuning, {label(benchmark)}"
        heading = f"{title}, {run}" if title else run
        panels.append(_lines(rows, "method", scale.palette, f"{name}-{len(panels)}", heading, unit, scale.names))
    return tuple(panels)


def _lines(
    rows: pd.DataFrame,
    hue: str,
    palette: dict[str, str],
    name: str,
    title: str,
    unit: str,
    order: Sequence[str] = (),
) -> Panel:
    order = ordered(rows[hue], order or palette)
    with mpl.rc_context(style()):
        drawing = canvas(WIDE, TALL)
        axes = drawing.subplots()
        sns.lineplot(
            rows, x="step", y="value", hue=hue, style=hue, hue_order=order, style_order=order,
            palette=palette, units="seed", estimator=None, linewidth=1, ax=axes,
        )  # fmt: skip
        axes.set(xlabel="step", ylabel=unit)
        _legend_above(axes, 3)
    return Panel(title, inline(drawing, name, f"{title}. {_ends(rows, hue)}"))


def _three_by_three(rows: pd.DataFrame) -> Drawing:
    drawing = canvas(WIDE, 3.6)
    grid = drawing.subplots(3, 3, sharex=True, sharey=True)
    for (i, anchors), (j, data) in product(enumerate("tva"), enumerate("tva")):
        axes, cell = grid[i][j], rows[rows["pair"] == f"{anchors}-{data}"]
        colour = COLOURS[0] if i == j else COLOURS[1]
        sns.lineplot(
            cell, x="step", y="value", units="seed", estimator=None, color=colour, linewidth=0.9, ax=axes
        )
        axes.set(xlabel="step" if i == 2 else "", ylabel="")
        if i == 0:
            axes.set_title(f"{wording.modality_name(data)} data")
        if j == 0:
            axes.set_ylabel(f"{wording.modality_name(anchors)} anchors")
    return drawing


def _sspc_terms(training: pd.DataFrame, families: Iterable[str]) -> pd.DataFrame:
    chosen = training[(training["stage"] == "pretrain") & training["term"].str.startswith("sspc/")]
    parts = chosen["term"].str.split("/", n=2, expand=True).reindex(columns=range(3))
    chosen = chosen.assign(family=parts[1], pair=parts[2].fillna("all"))
    return _thinned(chosen[chosen["family"].isin(list(families))])


def _heat_map(shares: pd.DataFrame, label: str) -> Drawing:
    drawing = canvas(WIDE, 0.9 + 0.17 * len(shares))
    axes = drawing.subplots()
    sns.heatmap(
        shares, vmin=0, vmax=1, cmap="cividis", xticklabels=False, yticklabels=True, rasterized=True,
        cbar_kws={"label": "share", "pad": 0.02}, ax=axes,
    )  # fmt: skip
    axes.collections[0].colorbar.outline.set_visible(False)
    axes.set(xlabel="anchor", ylabel=label)
    axes.tick_params(axis="y", length=0)
    return drawing


def _sorted_blocks(shares: pd.DataFrame) -> pd.DataFrame:
    most = pd.DataFrame({"row": shares.to_numpy().argmax(axis=0), "share": -shares.max()}, index=shares.columns)
    return shares[most.sort_values(["row", "share"], kind="stable").index]


def _thinned(data: pd.DataFrame) -> pd.DataFrame:
    """Average consecutive steps where a curve would have more than POINTS."""
    if data.empty or data["step"].nunique() <= POINTS:
        return data.reset_index(drop=True)
    width = (data["step"].max() + 1 - data["step"].min()) / POINTS
    middle = ((data["step"] - data["step"].min()) // width + 0.5) * width + data["step"].min()
    keys = [column for column in data.columns if column != "value"]
    return data.assign(step=middle).groupby(keys, sort=False, as_index=False)["value"].mean()


def _legend_above(axes: Axes, columns: int) -> None:
    sns.move_legend(axes, "lower left", bbox_to_anchor=(0, 1), ncol=columns, title=None, borderaxespad=0.2)


def _cells(data: pd.DataFrame, keys: Sequence[str]) -> Iterable[tuple[tuple[str, ...], pd.DataFrame]]:
    """Yield the groups in the page's order: pretraining before fine-tuning, zero-shot before fine-tuned."""
    preferred = {
        "setting": SETTINGS,
        "benchmark": ("", *wording.DOMAINS),
        "stage": ("pretrain", "finetune"),
        "space": ("input", "joint"),
        "modality": tuple(wording.MODALITIES),
        "label": ("action", "thing", "place"),
    }
    values = [ordered(data[key], preferred.get(key, ())) for key in keys]
    for cell in product(*values):
        rows = data
        for key, value in zip(keys, cell, strict=True):
            rows = rows[rows[key] == value]
        if len(rows):
            yield cell, rows


def _means(rows: pd.DataFrame, keys: list[str], value: str, digits: int) -> str:
    means = rows.groupby(keys, sort=False)[value].mean()
    names = [" ".join(key) if isinstance(key, tuple) else str(key) for key in means.index]
    return ", ".join(f"{name} {mean:.{digits}f}" for name, mean in zip(names, means, strict=True))


def _ends(rows: pd.DataFrame, hue: str) -> str:
    first, last = rows["step"].min(), rows["step"].max()
    parts = []
    for name, lines in rows.groupby(hue, sort=False):
        by_step = lines.groupby("step")["value"].mean()
        parts.append(f"{name} from {by_step.iloc[0]:.3g} to {by_step.iloc[-1]:.3g}")
    return f"Steps {first:.0f} to {last:.0f}: {', '.join(parts)}."


def _cycle(values: Sequence[str]) -> list[str]:
    return list(values) * 8
