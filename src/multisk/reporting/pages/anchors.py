"""The page of the anchors: how they are used, and whether they mean something."""

import pandas as pd

from multisk.reporting import curves, figures, wording
from multisk.reporting.cells import NOTHING, Body, Cell, Row, Table, column, linked, over_seeds
from multisk.reporting.inputs import Inputs
from multisk.reporting.ledger import seed_links
from multisk.reporting.order import groups
from multisk.reporting.pages.page import Page

KINDS = ("anchors", "k-means", "shuffled")


def build(inputs: Inputs) -> Page:
    """Return anchors.html."""
    scale, training = inputs.scale, inputs.training
    drawn = {
        "nmi": figures.nmi_figure(inputs.nmi, scale),
        "anchors": figures.anchor_figure(inputs.counts),
        "usage": curves.usage_figure(training, scale),
        "sspc": curves.sspc_figure(training, scale),
    }
    return Page(
        name="anchors",
        label="Anchors",
        title="Do the anchors mean something?",
        summary="Mutual information of anchors and what clips show, and how training uses the anchors.",
        context={"nmi": nmi_table(inputs.nmi)},
        figures=drawn,
    )


def nmi_table(nmi: pd.DataFrame) -> Table:
    """Return the normalised mutual information: a body per method and label, a column per kind."""
    bodies = []
    for (method, label), found in groups(nmi, ("method", "label")):
        rows = tuple(_nmi_row(part) for _, part in groups(found, ("space", "modality")))
        bodies.append(Body(rows, f"{wording.method_name(method)}: {label}"))
    caption = (
        "Normalised mutual information of each clip's most similar anchor and what the clip shows: mean ± "
        "standard deviation over the seeds linked. 1: the one tells the other; shuffled: the level of no "
        "relation."
    )
    heads = ("modality, space", *KINDS, "runs of seeds")
    return Table("nmi", caption, heads, tuple(bodies), words=1, after=1)


def _nmi_row(found: pd.DataFrame) -> Row:
    first = found.iloc[0]
    name = f"{wording.modality_name(first['modality'])}, {first['space']} space"
    kinds = (_nmi_cell(found[found["kind"] == kind].sort_values("seed")) for kind in KINDS)
    return Row((Cell(name), *kinds, linked(seed_links(found))))


def _nmi_cell(found: pd.DataFrame) -> Cell:
    if found.empty:
        return Cell(NOTHING)
    first = found.iloc[0]
    rows = {name: first[name] for name in ("modality", "space", "label", "kind")}
    return over_seeds(list(found["nmi"]), first["file"], column("nmi", **rows), digits=2)
