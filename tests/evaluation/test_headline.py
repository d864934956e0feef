"""Which direction stands for a method."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from multisk.evaluation.headline import HEADLINE, headline

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
