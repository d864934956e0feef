"""The grammar: rich enough, sensible, and spread evenly."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from miniature.grammar import ACTIONS, COLOUR_SYNONYMS, PLACES, THINGS, Cook, possible_steps
from miniature.motions import MOTIONS
from miniature.places import PLACES as BACKGROUNDS
from miniature.sounds import ACTION_SOUNDS, PLACE_SOUNDS
from miniature.things import COLOURS, MARKS, SHAPES


def test_every_word_has_a_picture_and_a_sound() -> None:
    assert len(ACTIONS) >= 12
    assert len(THINGS) >= 20
    assert len(PLACES) >= 6
    assert set(ACTIONS) == set(MOTIONS) == set(ACTION_SOUNDS)
    assert set(PLACES) == set(BACKGROUNDS) == set(PLACE_SOUNDS)
    assert {thing.shape for thing in THINGS.values()} == set(SHAPES)
    assert {thing.shape for thing in THINGS.values() if thing.kind in ("grain", "liquid")} == set(MARKS)
    assert (
        {colour for thing in THINGS.values() for colour in thing.colours}
        == set(COLOURS)
        == set(COLOUR_SYNONYMS)
    )


def test_names_and_synonyms_are_unambiguous() -> None:
    verbs = [verb.base for action in ACTIONS.values() for verb in (action.verb, *action.synonyms)]
    nouns = [name for thing in THINGS.values() for name in (thing.name, *thing.synonyms)]
    colours = [name for colour, synonyms in COLOUR_SYNONYMS.items() for name in (colour, *synonyms)]
    for words in (verbs, nouns, colours):
        assert len(words) == len(set(words))
    assert all(action.synonyms for action in ACTIONS.values())
    assert all(thing.synonyms for thing in THINGS.values())


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 2**32 - 1), count=st.integers(1, 9))
def test_recipes_make_sense(seed: int, count: int) -> None:
    recipe = Cook(np.random.default_rng(seed)).recipe(count)
    assert len(recipe.steps) == count
    orders = [ACTIONS[step.action].order for step in recipe.steps]
    assert all(before <= after for before, after in pairwise(orders))
    assert set(recipe.steps) <= set(possible_steps())
    # One colour a thing, and nothing that is done twice or in two ways at the same stage.
    assert len({(step.thing, step.colour) for step in recipe.steps}) == len(
        {step.thing for step in recipe.steps}
    )
    assert len({(step.thing, ACTIONS[step.action].order) for step in recipe.steps}) == count


@pytest.mark.parametrize(("recipes", "steps"), [(40, 5), (200, 1)])
def test_a_gallery_of_two_hundred_rarely_repeats(recipes: int, steps: int) -> None:
    cook = Cook(np.random.default_rng(0))
    drawn = [step for _ in range(recipes) for step in cook.recipe(steps).steps]
    assert len(set(drawn)) >= 190
    per_action = [sum(step.action == action for step in drawn) for action in ACTIONS]
    assert min(per_action) >= 6
    assert max(per_action) <= 25
