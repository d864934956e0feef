"""Which direction stands for a method."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from multisk.evaluation.headline import HEADLINE, headline, headline_metrics

OTHERS = ("v2t", "a2t", "t2a", "va2t")


@pytest.mark.parametrize(
    ("directions", "wanted"),
    [
        (("v2t", "t2v", "t2v+a", "t2va"), "t2va"),
        (("t2v", "t2v+a", "v+a2t"), "t2v+a"),
        (("v2t", "t2v"), "t2v"),
        (iter(("t2v", "t2v")), "t2v"),
    ],
)
def test_the_richest_direction_stands_for_a_method(directions, wanted):
    assert headline(directions) == wanted


@given(st.permutations([*HEADLINE, *OTHERS]), st.integers(1, 7))
def test_order_and_repetition_do_not_matter(directions, count):
    found = directions[:count]
    if not set(found) & set(HEADLINE):
        with pytest.raises(ValueError, match="one of t2va, t2v\\+a, t2v is needed"):
            headline(found)
    else:
        assert headline(found) == headline(sorted(found) * 2)


def test_a_method_that_text_does_not_search_is_an_error():
    with pytest.raises(ValueError, match=r"needed, found \['a2t', 'v2t'\]"):
        headline(["v2t", "a2t"])


def test_headline_metrics_are_few_and_means_over_seeds():
    def seed(r10):
        found = {"R1": 5.0, "R5": 10.0, "R10": r10, "R50": 90.0, "MedR": 7.5, "MeanR": 9.0, "GeoMean": 3.0}
        return {"t2v": dict.fromkeys(found, 1.0), "t2v+a": found, "v2t": dict.fromkeys(found, 2.0)}

    full = {
        "msrvtt": {"zero-shot": {"seed-0": seed(20.0), "seed-1": seed(20.5), "seed-2": seed(20.0)}},
        "chance": {"msrvtt": {"R1": 0.5}},
        "clips": {"msrvtt": {"present": 200, "complete": 200, "missing": 0}},
    }
    expected = {"R1": 5.0, "R5": 10.0, "R10": 20.17, "MedR": 7.5}
    assert headline_metrics(full) == {"msrvtt": {"zero-shot": expected}}
