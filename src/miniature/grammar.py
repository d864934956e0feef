"""What can happen in the miniature world: actions, things, places, and recipes made of them.

An action is a motion (motions.py) and a sound (sounds.py); a thing is a shape and its colours
(things.py); a place is a background (places.py) and an ambience (sounds.py). A recipe is a sequence of
steps in one place: each action suits its thing, and what comes first in a kitchen comes first here.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

import numpy as np

Kind = Literal["firm", "leaf", "soft", "grain", "liquid"]
T = TypeVar("T")

SENSELESS = {
    "wash": ("cheese",),
    "peel": ("cheese", "mushroom"),
    "squeeze": ("carrot", "potato"),
    "fry": ("clay", "butter"),
    "season": ("clay", "butter"),
    "blend": ("paint", "potato"),
    "brush": ("lemon", "butter"),
}


@dataclass(frozen=True)
class Verb:
    """The forms of a verb that captions and narrations need."""

    base: str
    gerund: str


@dataclass(frozen=True)
class Action:
    """Something done to a thing; `order` says how early in a recipe it comes."""

    verb: Verb
    synonyms: tuple[Verb, ...]
    order: int
    hertz: float  # how often the motion, and the sound with it, repeats
    kinds: tuple[Kind, ...]

    @property
    def name(self) -> str:
        """The plain verb."""
        return self.verb.base


@dataclass(frozen=True)
class Thing:
    """Something to work on, in one of its colours."""

    name: str
    synonyms: tuple[str, ...]
    kind: Kind
    shape: str
    colours: tuple[str, ...]


@dataclass(frozen=True)
class Place:
    """Where a recipe is carried out."""

    name: str
    preposition: str
    synonyms: tuple[str, ...]


@dataclass(frozen=True)
class Step:
    """One action on one coloured thing."""

    action: str
    thing: str
    colour: str


@dataclass(frozen=True)
class Recipe:
    """Steps in one place, in the order in which they are carried out."""

    place: str
    steps: tuple[Step, ...]


def _verb(forms: str) -> Verb:
    return Verb(*forms.split())


def _action(order: int, hertz: float, kinds: str, plain: str, *synonyms: str) -> Action:
    return Action(_verb(plain), tuple(map(_verb, synonyms)), order, hertz, tuple(kinds.split()))  # type: ignore[arg-type]


def _thing(kind: Kind, shape: str, colours: str, *names: str) -> Thing:
    return Thing(names[0], names[1:], kind, shape, tuple(colours.split()))


ACTIONS = {
    action.name: action
    for action in (
        _action(0, 1.0, "firm leaf", "wash washing", "rinse rinsing", "clean cleaning"),
        _action(1, 1.2, "firm", "peel peeling", "skin skinning", "strip stripping"),
        _action(2, 2.2, "firm leaf", "chop chopping", "dice dicing", "mince mincing"),
        _action(2, 1.4, "firm soft", "slice slicing", "cut cutting", "carve carving"),
        _action(2, 2.0, "firm", "grate grating", "shred shredding"),
        _action(2, 1.2, "soft grain", "pound pounding", "hammer hammering", "bash bashing"),
        _action(2, 0.8, "soft", "roll rolling", "flatten flattening"),
        _action(3, 1.0, "firm soft", "squeeze squeezing", "press pressing"),
        _action(3, 0.5, "soft leaf", "fold folding", "crease creasing"),
        _action(3, 1.0, "liquid grain", "pour pouring", "tip tipping", "empty emptying"),
        _action(4, 0.9, "liquid grain leaf", "stir stirring", "mix mixing", "whisk whisking"),
        _action(4, 3.6, "liquid grain", "shake shaking", "rattle rattling"),
        _action(4, 3.0, "liquid leaf firm", "blend blending", "puree pureeing"),
        _action(5, 4.0, "firm leaf soft", "fry frying", "sizzle sizzling"),
        _action(6, 2.0, "firm soft leaf", "season seasoning", "sprinkle sprinkling"),
        _action(6, 0.7, "firm soft", "brush brushing", "coat coating", "glaze glazing"),
    )
}

THINGS = {
    thing.name: thing
    for thing in (
        _thing("firm", "onion", "red white yellow", "onion", "shallot"),
        _thing("firm", "carrot", "orange purple", "carrot", "root"),
        _thing("firm", "potato", "brown red", "potato", "spud"),
        _thing("firm", "tomato", "red green", "tomato", "pomodoro"),
        _thing("firm", "cucumber", "green", "cucumber", "gherkin"),
        _thing("firm", "aubergine", "purple white", "aubergine", "eggplant"),
        _thing("firm", "lemon", "yellow", "lemon", "citrus"),
        _thing("firm", "apple", "red green yellow", "apple", "fruit"),
        _thing("firm", "pumpkin", "orange green", "pumpkin", "squash"),
        _thing("firm", "mushroom", "brown white", "mushroom", "champignon"),
        _thing("firm", "pepper", "red green yellow", "pepper", "capsicum"),
        _thing("firm", "cheese", "yellow white", "cheese", "cheddar"),
        _thing("leaf", "cabbage", "green purple", "cabbage", "kale"),
        _thing("leaf", "spinach", "green red", "spinach", "greens"),
        _thing("soft", "dough", "white brown", "dough", "pastry"),
        _thing("soft", "clay", "blue red grey", "clay", "putty"),
        _thing("soft", "butter", "yellow pink", "butter", "margarine"),
        _thing("soft", "bread", "brown white", "bread", "loaf"),
        _thing("grain", "rice", "white brown", "rice", "kernels"),
        _thing("grain", "beans", "red black green", "beans", "legumes"),
        _thing("grain", "berries", "blue red", "berries", "currants"),
        _thing("liquid", "soup", "red green orange", "soup", "broth"),
        _thing("liquid", "milk", "white pink", "milk", "cream"),
        _thing("liquid", "sauce", "brown orange", "sauce", "gravy"),
        _thing("liquid", "juice", "orange purple", "juice", "nectar"),
        _thing("liquid", "paint", "blue pink", "paint", "dye"),
    )
}

PLACES = {
    place.name: place
    for place in (
        Place("kitchen", "in", ("galley",)),
        Place("garden", "in", ("yard",)),
        Place("workshop", "in", ("shed",)),
        Place("campsite", "at", ("camp",)),
        Place("beach", "on", ("seaside",)),
        Place("market", "at", ("bazaar",)),
    )
}

COLOUR_SYNONYMS = {
    "red": ("crimson", "scarlet"),
    "orange": ("amber",),
    "yellow": ("golden",),
    "green": ("emerald",),
    "purple": ("violet",),
    "brown": ("chestnut",),
    "white": ("ivory", "pale"),
    "pink": ("rosy",),
    "blue": ("azure",),
    "black": ("dark",),
    "grey": ("silver",),
}


def pick(rng: np.random.Generator, items: Sequence[T]) -> T:
    """Return one of `items`, each as likely as the others."""
    return items[int(rng.integers(len(items)))]


def possible_steps() -> list[Step]:
    """Return every step that makes sense: each action with each coloured thing that it suits."""
    return [
        Step(action.name, thing.name, colour)
        for action in ACTIONS.values()
        for thing in THINGS.values()
        if thing.kind in action.kinds and thing.name not in SENSELESS.get(action.name, ())
        for colour in thing.colours
    ]


class Cook:
    """Draws recipes, and prefers steps and places that it has used least.

    Evenly spread steps make galleries in which captions are rarely the same.
    """

    def __init__(self, rng: np.random.Generator):
        self._rng = rng
        self._steps = possible_steps()
        self._used: Counter[object] = Counter()

    def recipe(self, count: int) -> Recipe:
        """Return a recipe of `count` steps on few things, in a sensible order."""
        place = self._least_used(list(PLACES))
        things: list[tuple[str, str]] = []
        steps: list[Step] = []
        while len(steps) < count:
            # Two steps a thing make a story; a new thing when the present ones allow no more.
            fresh = len(things) < (count + 1) // 2 or not self._allowed(things, steps)
            step = self._least_used(self._allowed([] if fresh else things, steps))
            steps.append(step)
            if (step.thing, step.colour) not in things:
                things.append((step.thing, step.colour))
        steps.sort(key=lambda step: ACTIONS[step.action].order)
        return Recipe(place, tuple(steps))

    def _allowed(self, things: list[tuple[str, str]], steps: list[Step]) -> list[Step]:
        """Return the steps that may join `steps`: on `things`, or on new things where that is empty."""
        orders = {(step.thing, ACTIONS[step.action].order) for step in steps}
        names = {step.thing for step in steps}
        return [
            step
            for step in self._steps
            if (step.thing, ACTIONS[step.action].order) not in orders
            and ((step.thing, step.colour) in things if things else step.thing not in names)
        ]

    def _least_used(self, items: list[T]) -> T:
        def uses(item: T) -> int:
            # A step's action and thing count too, or common kinds of thing would crowd out the others.
            parts = (item.action, item.thing) if isinstance(item, Step) else ()
            return 4 * self._used[item] + sum(self._used[part] // 3 for part in parts)

        fewest = min(map(uses, items))
        item = pick(self._rng, [item for item in items if uses(item) == fewest])
        self._used.update([item, *((item.action, item.thing) if isinstance(item, Step) else ())])
        return item
