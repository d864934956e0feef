"""What the figures draw, and how they stand in a page."""

from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest

from multisk.reporting import ReportSources
from multisk.reporting.curves import POINTS, thinned, usage_figure
from multisk.reporting.figures import nmi_figure, recall_figure
from multisk.reporting.inputs import Inputs
from multisk.reporting.panels import Scale
from multisk.reporting.results import (
    NMI_COLUMNS,
    headline,
    read_clip_counts,
    read_evaluations,
    read_metrics,
)
from multisk.reporting.svg import COLOURS, GREY, INK, VERMILION, canvas, inline, theme

SCALE = Scale(("contrastive", "eao", "sspc"))


def test_recall_at_ten_is_the_metric(complete):
    sources = ReportSources.below(complete)
    sizes = read_clip_counts(sources).pivot(index="benchmark", columns="which", values="value")
    ranks = Inputs.read(sources).ranks
    curves = recall_figure(ranks, sizes, SCALE, str).data.query("K in (1, 10)")
    curves = curves.assign(metric="R" + curves["K"].astype(str), method=curves["method"].str.lower())
    keys = ["method", "benchmark", "setting", "seed", "metric"]
    joined = curves.merge(headline(read_metrics(sources)), on=keys, validate="one_to_one")
    assert len(joined) == 2 * 3 * 2 * 2 * 2
    np.testing.assert_allclose(joined["recall"], joined["value"])


def test_ties_count_as_in_the_metrics():
    run = {"benchmark": "msrvtt", "setting": "zero-shot", "seed": 0, "direction": "t2v+a", "method": "sspc"}
    run |= {"file": "ranks.parquet", "run_key": "key"}
    ranks = pd.DataFrame([{**run, "clip_id": str(i), "rank": r} for i, r in enumerate((1.5, 1.0, 2.5, 12))])
    sizes = pd.DataFrame({"complete": {"msrvtt": 5.0}, "present": {"msrvtt": 4.0}})
    found = recall_figure(ranks, sizes, Scale(("sspc",)), str).data.set_index("K")["recall"].to_dict()
    assert found[1] == 20
    assert found[2] == 60
    assert found[10] == 60


def test_long_curves_keep_their_mean():
    steps = np.arange(POINTS * 10)
    data = pd.DataFrame({"step": steps, "seed": 0, "term": "loss", "value": np.sin(steps)})
    short = thinned(data)
    assert len(short) == POINTS
    assert short["value"].mean() == pytest.approx(data["value"].mean())
    assert short["value"].iloc[3] == pytest.approx(np.sin(steps[30:40]).mean())
    pd.testing.assert_frame_equal(thinned(data.head(50)), data.head(50))


def test_other_sspc_terms_become_panels_of_their_family():
    terms = ("sspc/usage/joint/t", "sspc/usage/joint/v", "sspc/flat", "sspc/input_to_joint/t-v", "loss")
    run = {"stage": "pretrain", "method": "sspc", "benchmark": "", "seed": 0, "value": 0.5}
    training = pd.DataFrame([{**run, "step": step, "term": term} for term in terms for step in (0, 1)])
    figure = usage_figure(training)
    assert [panel.title for panel in figure.panels] == [
        "anchors in use, joint space (share)",
        "Multi-SK: share of flat rows",
    ]
    assert set(figure.data["of"]) == {"text", "video", "all modalities"}


def test_methods_without_anchors_show_their_clusters(complete):
    nmi = read_evaluations(ReportSources.below(complete), "anchors_nmi", NMI_COLUMNS)
    both = set(nmi_figure(nmi, SCALE).data["series"])
    assert both == {"SSPC anchors", "SSPC k-means", "SSPC shuffled", "Contrastive k-means"}
    alone = nmi_figure(nmi[nmi["method"] == "sspc"], SCALE)
    assert set(alone.data["series"]) == {"anchors", "k-means", "shuffled"}
    assert f"var(--grey, {GREY})" in str(alone.panels[0].svg)


@pytest.mark.parametrize(
    "methods", [("sspc",), ("contrastive", "eao", "sspc"), ("new", "sspc", "contrastive")]
)
def test_sspc_keeps_its_look(methods):
    scale = Scale(methods)
    assert scale.palette["SSPC"] == VERMILION
    assert len(set(scale.palette.values())) == len(methods)
    assert len(set(scale.markers.values())) == len(methods)
    assert list(scale.palette) == scale.names


def test_inline_figures_take_the_pages_colours_and_own_their_ids():
    with theme():
        figure = canvas(3, 2)
        axes = figure.subplots()
        axes.plot([0, 1], [0, 1], "o", color=COLOURS[0])
        axes.set_xlabel("<b>& step")
    markup = inline(figure, "first", 'a "quoted" <text>')
    root = ElementTree.fromstring(markup)
    assert root.get("aria-label") == 'a "quoted" <text>'
    assert root.get("width") is None
    ids = [element.get("id") for element in root.iter() if element.get("id")]
    assert all(name.startswith("first-") for name in ids)
    assert "<style" not in markup
    assert "font-family" not in markup
    assert f"var(--vermilion, {VERMILION})" in markup
    assert f"var(--ink, {INK})" in markup
    assert [element.text for element in root.iter("text") if "step" in (element.text or "")] == ["<b>& step"]
