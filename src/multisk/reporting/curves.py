"""The figures of training: losses and their terms, anchor usage, pace."""

from collections.abc import Iterable, Mapping
from itertools import product

import pandas as pd
from matplotlib.artist import Artist
from matplotlib.figure import Figure as Drawing

from multisk.reporting import wording
from multisk.reporting.order import groups
from multisk.reporting.panels import (
    WIDE,
    Figure,
    Looks,
    Panel,
    Scale,
    curves,
    ends,
    lines,
    panel,
    plain_values,
)
from multisk.reporting.svg import canvas, theme
from multisk.results import ordered

BANDS = "lines are means over seeds, bands span the seeds."
POINTS = 240  # a curve has at most so many; longer ones show means of consecutive steps
SIDES = {
    "input_to_joint": "A: the input side predicts the joint assignment",
    "joint_to_input": "B: the joint side predicts the input assignment",
}
DIAGNOSTICS = {
    "usage/input": "anchors in use, input space (share)",
    "usage/joint": "anchors in use, joint space (share)",
    "marginal_error": "Multi-SK: largest marginal error",
    "flat": "Multi-SK: share of flat rows",
}


def loss_figure(training: pd.DataFrame, scale: Scale, benchmarks: Mapping[str, str]) -> Figure:
    """Draw the loss by step, a line per method."""
    data = thinned(training[training["term"] == "loss"])
    caption = (
        f"Training loss by step: {BANDS} SSPC's loss has more terms than the others', "
        "so the curves' heights do not compare; the terms start when the queue has been filled once."
    )
    return Figure("loss", "Loss", caption, _by_run(data, scale, benchmarks, "loss", "loss"), data)


def contrastive_figure(training: pd.DataFrame, scale: Scale) -> Figure:
    """Draw the contrastive terms of pretraining, a line per pair of modalities."""
    chosen = training[(training["stage"] == "pretrain") & training["term"].str.startswith("contrastive/")]
    pairs = chosen["term"].str.removeprefix("contrastive/").map(wording.pair_name)
    data = thinned(chosen.assign(pair=pairs))
    looks = _looks(data["pair"])
    panels = []
    for method in ordered(data["method"], scale.methods):
        name, title = f"contrastive-{method}", f"{wording.method_name(method)}, pretraining"
        rows = data[data["method"] == method]
        panels.append(curves(rows, "pair", looks, name=name, title=title, unit="InfoNCE"))
    caption = f"InfoNCE by pair of modalities, unweighted: {BANDS}"
    return Figure("contrastive", "Contrastive terms", caption, tuple(panels), data)


def sspc_figure(training: pd.DataFrame, scale: Scale) -> Figure:
    """Draw SSPC's 18 terms in pretraining, as a 3 x 3 of anchors and data for each of the two sides."""
    terms = _sspc_terms(training)
    data = _named(thinned(terms[terms["family"].isin(list(SIDES))]), scale)
    panels = []
    for side, title in SIDES.items():
        rows = data[data["family"] == side]
        if len(rows):
            methods = rows.groupby("method", sort=False)
            text = " ".join(f"{name}: {ends(found, 'of')}" for name, found in methods)
            panels.append(panel(_three_by_three(rows, scale), f"sspc-{side}", title, text))
    caption = (
        "SSPC's 18 terms (binary cross-entropy, unweighted) in pretraining, a row per modality whose anchors "
        f"are used, a column per modality of the data; the diagonal has one modality. {BANDS.capitalize()}"
    )
    return Figure("sspc", "SSPC terms", caption, tuple(panels), data)


def usage_figure(training: pd.DataFrame, scale: Scale) -> Figure:
    """Draw what the SSPC loss reports beside its terms, a panel per method unless it is of no modality."""
    terms = _sspc_terms(training)
    terms = terms[~terms["family"].isin(list(SIDES))]
    data = _named(thinned(terms.assign(of=terms["of"].map(wording.modality_name))), scale)
    panels: list[Panel] = []
    for family in ordered(data["family"], DIAGNOSTICS):
        panels += _usage_panels(data[data["family"] == family], family, scale)
    caption = (
        f"How the anchors are used in pretraining, as the loss reports it: {BANDS} In use: the effective "
        "share of a modality's anchors that are nearest to some sample (1: all of them, evenly)."
    )
    return Figure("usage", "Anchor usage", caption, tuple(panels), data)


def _usage_panels(rows: pd.DataFrame, family: str, scale: Scale) -> list[Panel]:
    title, name = DIAGNOSTICS.get(family, family), f"usage-{family.replace('/', '-')}"
    unit = title.rpartition(": ")[2].partition(",")[0]
    if rows["of"].nunique() == 1:
        return [curves(rows, "method", scale, name=name, title=title, unit=unit)]
    looks, methods = _looks(rows["of"]), ordered(rows["method"], scale.names)
    return [
        curves(
            rows[rows["method"] == method], "of", looks, name=f"{name}-{place}", unit=unit,
            title=f"{method}: {title}" if len(methods) > 1 else title,
        )
        for place, method in enumerate(methods)
    ]  # fmt: skip


def pace_figure(training: pd.DataFrame, scale: Scale, benchmarks: Mapping[str, str]) -> Figure:
    """Draw gradient norm and throughput of pretraining."""
    units = {"gradient_norm": "gradient norm", "clips_per_second": "clips per second"}
    data = thinned(training[(training["stage"] == "pretrain") & training["term"].isin(list(units))])
    panels: tuple[Panel, ...] = ()
    for term, unit in units.items():
        panels += _by_run(data[data["term"] == term], scale, benchmarks, f"pace-{term}", unit, f"{unit}, ")
    caption = f"Gradient norm and throughput in pretraining: {BANDS}"
    return Figure("pace", "Gradient norm and throughput", caption, panels, data)


def thinned(data: pd.DataFrame) -> pd.DataFrame:
    """Average consecutive steps where a curve would have more than POINTS."""
    if data.empty or data["step"].nunique() <= POINTS:
        return data.reset_index(drop=True)
    first, last = data["step"].min(), data["step"].max()
    width = (last + 1 - first) / POINTS
    middle = first + ((data["step"] - first) // width + 0.5) * width
    keys = [column for column in data.columns if column != "value"]
    return data.assign(step=middle).groupby(keys, sort=False)["value"].mean().reset_index()


def _by_run(
    data: pd.DataFrame, scale: Scale, benchmarks: Mapping[str, str], name: str, unit: str, prefix: str = ""
) -> tuple[Panel, ...]:
    panels: list[Panel] = []
    data = _named(data, scale)
    for (stage, benchmark), rows in groups(data, ("stage", "benchmark"), benchmarks):
        run = "pretraining" if stage == "pretrain" else f"fine-tuning, {benchmarks.get(benchmark, benchmark)}"
        place = f"{name}-{len(panels)}"
        panels.append(curves(rows, "method", scale, name=place, title=f"{prefix}{run}", unit=unit))
    return tuple(panels)


@theme()
def _three_by_three(rows: pd.DataFrame, scale: Scale) -> Drawing:
    drawing = canvas(WIDE, 3.6)
    grid = drawing.subplots(3, 3, sharex=True, sharey=True)
    named: dict[str, Artist] = {}
    for (i, anchors), (j, data) in product(enumerate("tva"), enumerate("tva")):
        axes, cell = grid[i][j], rows[rows["of"] == f"{anchors}-{data}"]
        if len(cell):  # without audio there are fewer terms
            lines(axes, cell, "step", "value", "method", scale)
            handles, names = axes.get_legend_handles_labels()
            named |= dict(zip(names, handles, strict=True))
            legend = axes.get_legend()
            assert legend is not None
            legend.remove()
        plain_values(axes, rows["value"])
        axes.set(xlabel="step" if i == 2 else "", ylabel="")
        if i == 0:
            axes.set_title(f"{wording.modality_name(data)} data")
        if j == 0:
            axes.set_ylabel(f"{wording.modality_name(anchors)} anchors")
    drawing.legend(
        list(named.values()), list(named), loc="outside upper left", ncol=4, borderaxespad=0, handlelength=1.6
    )
    return drawing


def _sspc_terms(training: pd.DataFrame) -> pd.DataFrame:
    """Return SSPC's terms in pretraining with `family` and `of`: sspc/usage/joint/t is t's in usage/joint."""
    chosen = training[(training["stage"] == "pretrain") & training["term"].str.startswith("sspc/")]
    parts = [_family_and_owner(term) for term in chosen["term"]]
    return chosen.assign(family=[family for family, _ in parts], of=[owner for _, owner in parts])


def _family_and_owner(term: str) -> tuple[str, str]:
    family, _, last = term.removeprefix("sspc/").rpartition("/")
    return (family, last) if family else (last, "all modalities")


def _looks(names: Iterable[str]) -> Looks:
    return Looks(tuple(dict.fromkeys(names)))


def _named(data: pd.DataFrame, scale: Scale) -> pd.DataFrame:
    """Return the data with methods by their names in prose, in the order of the scale."""
    known = {name: place for place, name in enumerate(scale.names)}
    named = data.assign(method=data["method"].map(wording.method_name))
    return named.sort_values("method", key=lambda names: names.map(known), kind="stable")
