"""What the figures draw, and how they stand in a page."""

from itertools import pairwise
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from multisk.reporting import ReportSources
from multisk.reporting.curves import POINTS, sspc_figure, thinned, usage_figure
from multisk.reporting.figures import nmi_figure, recall_figure
from multisk.reporting.inputs import Inputs
from multisk.reporting.panels import LABELS, Looks, Scale, curves, spread
from multisk.reporting.svg import COLOURS, INK, VERMILION, canvas, inline, theme
from multisk.results import (
    NMI_COLUMNS,
    headline,
    read_clip_counts,
    read_evaluations,
    read_metrics,
)

SCALE = Scale(("contrastive", "eao", "sspc"))


def test_recall_at_ten_is_the_metric(complete):
    sources = ReportSources.below(complete)
    sizes = read_clip_counts(sources).pivot(index="benchmark", columns="which", values="value")
    ranks = Inputs.read(sources).ranks
    curves = recall_figure(ranks, sizes, SCALE, {}).data.query("K in (1, 10)")
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
    found = recall_figure(ranks, sizes, Scale(("sspc",)), {}).data.set_index("K")["recall"].to_dict()
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
    figure = usage_figure(training, SCALE)
    assert [panel.title for panel in figure.panels] == [
        "anchors in use, joint space (share)",
        "Multi-SK: share of flat rows",
    ]
    assert set(figure.data["of"]) == {"text", "video", "all modalities"}


TWO = Scale(("sinkhorn", "sspc"))


def two_sspc_methods(terms, steps=12):
    """What two methods with SSPC terms log: each goes its way, far from the other's."""
    return pd.DataFrame(
        [
            {"stage": "pretrain", "method": method, "benchmark": "", "seed": seed, "step": step}
            | {"term": term, "value": level + 0.01 * step}
            for method, level in (("sspc", 0.1), ("sinkhorn", 0.9))
            for seed in (0, 1)
            for term in terms
            for step in range(steps)
        ]
    )


def test_two_methods_with_anchors_have_panels_of_their_own():
    terms = ("sspc/usage/joint/t", "sspc/usage/joint/v", "sspc/flat")
    figure = usage_figure(two_sspc_methods(terms), TWO)
    assert [panel.title for panel in figure.panels] == [
        "Sinkhorn: anchors in use, joint space (share)",
        "SSPC: anchors in use, joint space (share)",
        "Multi-SK: share of flat rows",
    ]
    texts = [str(panel.svg).partition("aria-label=")[2] for panel in figure.panels]
    assert "text from 0.9 to 1.01" in texts[0]
    assert "text from 0.1 to 0.21" in texts[1]
    assert "Sinkhorn from 0.9 to 1.01, SSPC from 0.1 to 0.21" in texts[2]


def test_sspc_terms_have_a_line_per_method():
    terms = [f"sspc/{side}/t-v" for side in ("input_to_joint", "joint_to_input")]
    for panel in sspc_figure(two_sspc_methods(terms), TWO).panels:
        markup = str(panel.svg)
        assert "Sinkhorn: Steps 0 to 11: t-v from 0.9 to 1.01" in markup
        assert "SSPC: Steps 0 to 11: t-v from 0.1 to 0.21" in markup
        for colour in TWO.palette.values():
            assert f", {colour})" in markup


@pytest.mark.parametrize(
    ("value", "said", "not_said"), [(0.0, "1", "0.04"), (2.5e-7, "2.5e-07", "1e"), (3e5, "300000", "1e")]
)
def test_axes_name_whole_values(value, said, not_said):
    rows = pd.DataFrame({"step": [0, 1, 2, 3], "value": [value, value, 2 * value, value], "of": "text"})
    markup = str(curves(rows, "of", Looks(("text",)), name="a", title="a", unit="share").svg)
    written = [text.text for text in ElementTree.fromstring(markup).iter("text")]
    assert said in written
    assert not [text for text in written if text.startswith((f"{not_said}", f"\N{MINUS SIGN}{not_said}"))]


@pytest.mark.parametrize("count", [2, LABELS, LABELS + 1])
def test_lines_carry_their_names(count):
    names = tuple(f"line {index}" for index in range(count))
    rows = pd.DataFrame([{"step": s, "value": s, "of": name} for name in names for s in (0, 1)])
    markup = str(curves(rows, "of", Looks(names), name="a", title="a", unit="share").svg)
    assert all(f">{name}</text>" in markup for name in names)
    assert ("legend" in markup) == (count > LABELS)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=LABELS))
def test_labels_keep_their_order_and_their_distance(heights):
    placed = spread(heights)
    assert all(0 <= height <= 1 for height in placed)
    order = sorted(range(len(heights)), key=lambda index: heights[index])
    assert all(placed[b] - placed[a] > 0.1 - 1e-9 for a, b in pairwise(order))


def test_methods_without_anchors_show_their_clusters(complete):
    nmi = read_evaluations(ReportSources.below(complete), "anchors_nmi", NMI_COLUMNS)
    panel = nmi_figure(nmi, SCALE).panels[0]
    markup = str(panel.svg)
    for part in ("text Contrastive k-means 0.3", "text SSPC anchors 0.4", "text SSPC shuffled 0."):
        assert part in markup
    assert "Contrastive anchors" not in markup


def test_nmi_has_room_for_every_method_and_one_legend(complete):
    nmi = read_evaluations(ReportSources.below(complete), "anchors_nmi", NMI_COLUMNS)
    names = tuple(f"method{index}" for index in range(9))
    many = pd.concat(nmi[nmi["method"] == "sspc"].assign(method=name) for name in names)
    root = ElementTree.fromstring(str(nmi_figure(many, Scale(names)).panels[0].svg))
    said = [text.text for text in root.iter("text")]
    assert [said.count(kind) for kind in ("anchors", "k-means", "shuffled")] == [1, 1, 1]
    assert all(said.count(name) == 1 for name in names)
    heights = sorted(float(text.get("y")) for text in root.iter("text") if text.text in names)
    assert all(b - a >= 12 for a, b in pairwise(heights))  # points; letters are 8.5


def test_every_recipe_has_a_look_of_its_own(repository):
    scale = Scale(tuple(sorted(path.stem for path in (repository / "recipes").glob("*.yaml"))))
    assert len(scale.names) > 20
    for looks in (scale.markers, scale.dashes):
        pairs = {(scale.palette[name], str(looks[name])) for name in scale.names}
        assert len(pairs) == len(scale.names)
    others = [name for name in scale.names if name != "SSPC"]
    assert VERMILION not in {scale.palette[name] for name in others}
    assert scale.markers["SSPC"] not in {scale.markers[name] for name in others}
    assert "" not in {scale.dashes[name] for name in others}
    assert VERMILION not in Looks(tuple(map(str, range(20)))).palette.values()


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
