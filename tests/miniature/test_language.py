"""Sentences and captions: they name what is seen, in usual words or in synonyms."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from miniature.grammar import ACTIONS, COLOUR_SYNONYMS, PLACES, THINGS, Step, possible_steps
from miniature.language import Wording
from miniature.narration import vocabulary

STEPS = st.sampled_from(possible_steps())


def _names_step(text: str, step: Step) -> bool:
    verbs = [ACTIONS[step.action].verb, *ACTIONS[step.action].synonyms]
    forms = {form for verb in verbs for form in (verb.base, verb.gerund)}
    nouns = {step.thing, *THINGS[step.thing].synonyms}
    words = set(text.split())
    return bool(words & forms) and bool(words & nouns)


@settings(deadline=None, max_examples=60)
@given(step=STEPS, place=st.sampled_from(list(PLACES)), seed=st.integers(0, 9999), plain=st.floats(0, 1))
def test_all_texts_name_action_and_thing(step: Step, place: str, seed: int, plain: float) -> None:
    wording = Wording(np.random.default_rng(seed), plain)
    texts = [wording.narrated(step, place), wording.imperative(step, place), wording.observed(step, place)]
    assert all(_names_step(text, step) for text in texts)
    colours = {step.colour, *COLOUR_SYNONYMS[step.colour]}
    assert all(set(text.split()) & colours for text in texts[1:])
    assert not any(set("{}  ") - {" "} & set(text) for text in texts)
    assert all(text == text.lower() and "  " not in text for text in texts)


def test_shares_of_usual_words_are_as_asked() -> None:
    step = Step("slice", "onion", "red")
    for plain in (0.0, 1.0):
        wording = Wording(np.random.default_rng(0), plain)
        texts = [wording.observed(step, "kitchen") for _ in range(50)]
        assert all(("onion" in text and "red" in text) == bool(plain) for text in texts)


def test_articles_agree() -> None:
    rng = np.random.default_rng(0)
    firm = " ".join(Wording(rng, 1).observed(Step("peel", "carrot", "orange"), "beach") for _ in range(20))
    mass = " ".join(Wording(rng, 1).observed(Step("pour", "rice", "white"), "beach") for _ in range(20))
    assert "an orange carrot" in firm
    assert "a orange" not in firm
    assert "some white rice" in mass
    assert "a white rice" not in mass


def test_those_who_watch_use_words_that_narrators_use() -> None:
    wording = Wording(np.random.default_rng(0), plain=0.5)
    captions = [wording.observed(step, place) for step in possible_steps() for place in PLACES]
    unknown = {word for caption in captions for word in caption.split()} - vocabulary()
    # What remains unknown to word vectors says who is seen, never what is done, to what, or where.
    assert unknown <= {"an", "cartoon", "clip", "hands", "man", "person", "shown", "someone", "woman"}
