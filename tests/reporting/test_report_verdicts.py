"""What the page of the claims says in a sentence."""

from dataclasses import replace

import pytest

from multisk.reporting import ReportSources
from multisk.reporting.inputs import Inputs
from multisk.reporting.verdict_tables import against_contrastive


@pytest.fixture
def judged(complete):
    """The declared claims, and their results."""
    found = Inputs.read(ReportSources.below(complete))
    return found.decisions.declared, found.decisions.claims, found.params


def found_everywhere(claims, finding):
    return [
        replace(claim, comparisons=tuple(replace(each, finding=finding) for each in claim.comparisons))
        for claim in claims
    ]


@pytest.mark.parametrize(
    ("finding", "said", "not_said"),
    [
        ("above", "SSPC beats the contrastive loss alone in the close domain zero-shot", "in no comparison"),
        ("below", "in no comparison; it falls behind it in the close domain zero-shot", "not shown"),
        ("open", "in no comparison; it is not shown to beat it", "falls behind"),
        ("not run", "in no comparison; it was not compared with it in the close domain", "falls behind"),
    ],
)
def test_a_sentence_says_where_sspc_beats_contrastive(judged, finding, said, not_said):
    declared, claims, params = judged
    sentence = against_contrastive(declared, found_everywhere(claims, finding), params)
    assert said in sentence
    assert not_said not in sentence
    for place in ("the far domain zero-shot", "the mean of the benchmarks fine-tuned"):
        assert place in sentence
    assert sentence.count("the close domain zero-shot") == 1


def test_places_stand_with_their_own_outcome(judged):
    declared, claims, params = judged
    third = next(claim for claim in claims if claim.name == "sspc-improves")
    findings = {"close": "above", "far": "below", "far-above-all": "below"}
    comparisons = tuple(replace(each, finding=findings[each.name]) for each in third.comparisons)
    others = found_everywhere((claim for claim in claims if claim is not third), "not run")
    sentence = against_contrastive(declared, [*others, replace(third, comparisons=comparisons)], params)
    assert "beats the contrastive loss alone in the close domain zero-shot;" in sentence
    assert "falls behind it in the far domain zero-shot;" in sentence
    assert "far domain minus" not in sentence
