"""The figures of training: losses and their terms, anchor usage, pace."""

from collections.abc import Callable, Iterable, Mapping
from itertools import cycle, product

import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure as Drawing

from multisk.reporting import wording
from multisk.reporting.panels import WIDE, Figure, Panel, Scale, cells, curves, ends
from multisk.reporting.results import ordered
from multisk.reporting.svg import COLOURS, canvas, inline, theme

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


def loss_figure(training: pd.DataFrame, scale: Scale, label: Callable[[str], str]) -> Figure:
    """Draw the loss by step, a line per seed."""
    data = thinned(training[training["term"] == "loss"])
    caption = (
        "Training loss by step, a line per seed. SSPC's loss has more terms than the others', "
        "so the curves' heights do not compare; the terms start when the queue has been filled once."
    )
    return Figure("loss", "Loss", caption, _by_run(data, scale, label, "loss", "loss"), data)


def contrastive_figure(training: pd.DataFrame, scale: Scale) -> Figure:
    """Draw the contrastive terms of pretraining, a line per pair and seed."""
    chosen = training[(training["stage"] == "pretrain") & training["term"].str.startswith("contrastive/")]
    pairs = chosen["term"].str.removeprefix("contrastive/").map(wording.pair_name)
    data = thinned(chosen.assign(pair=pairs))
    colours = _colours(data["pair"])
    panels = []
    for method in ordered(data["method"], scale.methods):
        name, title = f"contrastive-{method}", f"{wording.method_name(method)}, pretraining"
        rows = data[data["method"] == method]
        panels.append(curves(rows, "pair", colours, name=name, title=title, unit="InfoNCE"))
    caption = "InfoNCE by pair of modalities, unweighted, a line per seed."
    return Figure("contrastive", "Contrastive terms", caption, tuple(panels), data)


def sspc_figure(training: pd.DataFrame) -> Figure:
    """Draw SSPC's 18 terms in pretraining, as a 3 x 3 of anchors and data for each of the two sides."""
    terms = _sspc_terms(training)
    data = thinned(terms[terms["family"].isin(list(SIDES))])
    panels = []
    for side, title in SIDES.items():
        rows = data[data["family"] == side]
        if len(rows):
            with theme():
                drawing = _three_by_three(rows)
            panels.append(Panel(title, inline(drawing, f"sspc-{side}", f"{title}. {ends(rows, 'of')}")))
    caption = (
        "SSPC's 18 terms (binary cross-entropy, unweighted) in pretraining, a line per seed: a row per "
        "modality whose anchors are used, a column per modality of the data; the diagonal has one modality."
    )
    return Figure("sspc", "SSPC terms", caption, tuple(panels), data)


def usage_figure(training: pd.DataFrame) -> Figure:
    """Draw what the SSPC loss reports about its anchors and assignments beside its terms."""
    terms = _sspc_terms(training)
    terms = terms[~terms["family"].isin(list(SIDES))]
    data = thinned(terms.assign(of=terms["of"].map(wording.modality_name)))
    panels = []
    for family in ordered(data["family"], DIAGNOSTICS):
        rows, title = data[data["family"] == family], DIAGNOSTICS.get(family, family)
        name, unit = f"usage-{family.replace('/', '-')}", title.rpartition(": ")[2].partition(",")[0]
        panels.append(curves(rows, "of", _colours(rows["of"]), name=name, title=title, unit=unit))
    caption = (
        "How the anchors are used in pretraining, as the loss reports it, a line per seed. In use: the "
        "effective share of a modality's anchors that are nearest to some sample (1: all of them, evenly)."
    )
    return Figure("usage", "Anchor usage", caption, tuple(panels), data)


def pace_figure(training: pd.DataFrame, scale: Scale, label: Callable[[str], str]) -> Figure:
    """Draw gradient norm and throughput of pretraining."""
    units = {"gradient_norm": "gradient norm", "clips_per_second": "clips per second"}
    data = thinned(training[(training["stage"] == "pretrain") & training["term"].isin(list(units))])
    panels: tuple[Panel, ...] = ()
    for term, unit in units.items():
        panels += _by_run(data[data["term"] == term], scale, label, f"pace-{term}", unit, f"{unit}, ")
    caption = "Gradient norm and throughput in pretraining, a line per seed."
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
    data: pd.DataFrame, scale: Scale, label: Callable[[str], str], name: str, unit: str, prefix: str = ""
) -> tuple[Panel, ...]:
    panels: list[Panel] = []
    data = data.assign(method=data["method"].map(wording.method_name))
    for (stage, benchmark), rows in cells(data, ("stage", "benchmark")):
        run = "pretraining" if stage == "pretrain" else f"fine-tuning, {label(benchmark)}"
        place = f"{name}-{len(panels)}"
        panels.append(curves(rows, "method", scale.palette, name=place, title=f"{prefix}{run}", unit=unit))
    return tuple(panels)


def _three_by_three(rows: pd.DataFrame) -> Drawing:
    drawing = canvas(WIDE, 3.5)
    grid = drawing.subplots(3, 3, sharex=True, sharey=True)
    for (i, anchors), (j, data) in product(enumerate("tva"), enumerate("tva")):
        axes, cell = grid[i][j], rows[rows["of"] == f"{anchors}-{data}"]
        look = {"color": COLOURS[0] if i == j else COLOURS[1], "linewidth": 0.9}
        sns.lineplot(cell, x="step", y="value", units="seed", estimator=None, ax=axes, **look)
        axes.set(xlabel="step" if i == 2 else "", ylabel="")
        if i == 0:
            axes.set_title(f"{wording.modality_name(data)} data")
        if j == 0:
            axes.set_ylabel(f"{wording.modality_name(anchors)} anchors")
    return drawing


def _sspc_terms(training: pd.DataFrame) -> pd.DataFrame:
    """Return SSPC's terms in pretraining with `family` and `of`: sspc/usage/joint/t is t's in usage/joint."""
    chosen = training[(training["stage"] == "pretrain") & training["term"].str.startswith("sspc/")]
    parts = [_family_and_owner(term) for term in chosen["term"]]
    return chosen.assign(family=[family for family, _ in parts], of=[owner for _, owner in parts])


def _family_and_owner(term: str) -> tuple[str, str]:
    family, _, last = term.removeprefix("sspc/").rpartition("/")
    return (family, last) if family else (last, "all modalities")


def _colours(names: Iterable[str]) -> Mapping[str, str]:
    return dict(zip(dict.fromkeys(names), cycle(COLOURS), strict=False))
