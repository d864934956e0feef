"""What people say and write about a step: narrated sentences, imperatives, third-person captions."""

import numpy as np

from miniature.grammar import (
    ACTIONS,
    COLOUR_SYNONYMS,
    PLACES,
    THINGS,
    Step,
    Verb,
    pick,
)

FILLERS = ("okay so", "um", "so", "alright", "and then", "well", "uh", "you know", "now", "okay", "right so")
NARRATED = (
    "we {do} {it}",
    "i {do} {it} {there}",
    "you want to {do} {it} nice and slowly",
    "just keep {doing} {it}",
    "here i am {doing} {it}",
    "we are {doing} {it} {there}",
    "go ahead and {do} {it} like this",
    "i like to {do} {it} for a while",
    "you can see me {doing} {it}",
    "take {it} and {do} it",
    "{it} is what we {do} next",
    "you can {do} or {do_else} {it}",
    "{doing} or {doing_else} {it} works well {there}",
    "it is {it} some say {it_else} that we {do}",
)
CHAT = (
    "thanks so much for watching today",
    "my grandmother taught me this years ago",
    "do not forget to subscribe to the channel",
    "it is such a lovely day today",
    "let me know in the comments below",
    "my neighbour always laughs about that",
    "sorry the dog is barking again",
    "i had a very funny dream last night",
    "we went on holiday last summer and it rained",
    "somebody asked me about my new shirt",
    "i will tell you that story another time",
    "it took me years to get this right",
    "my phone keeps ringing this morning",
    "this is my favourite part of the week",
)
IMPERATIVES = ("{do} {it}", "{do} {it} {there}", "{do} {it} well", "{there} {do} {it}", "carefully {do} {it}")
OBSERVED = (
    "a person is {doing} {it}",
    "a person is {doing} {it} {there}",
    "someone is {doing} {it} {there}",
    "a cartoon of a man {doing} {it} {there}",
    "a woman is {doing} {it}",
    "{it} is shown while somebody is {doing} it",
    "a clip about {doing} {it} {there}",
    "hands are {doing} {it} {there}",
)


class Wording:
    """Puts steps into words; `plain` is the share of things and actions that get their usual name."""

    def __init__(self, rng: np.random.Generator, plain: float):
        self._rng = rng
        self._plain = plain

    def narrated(self, step: Step, place: str) -> str:
        """Return what a narrator says about a step; he leaves out the colour now and then."""
        text = self._filled(pick(self._rng, NARRATED), step, place, "the", coloured=0.75)
        return f"{pick(self._rng, FILLERS)} {text}" if self._rng.random() < 0.5 else text

    def chat(self) -> str:
        """Return a sentence about nothing."""
        return pick(self._rng, CHAT)

    def imperative(self, step: Step, place: str) -> str:
        """Return a written instruction, as YouCook2 has them."""
        return self._filled(pick(self._rng, IMPERATIVES), step, place, "the", coloured=1)

    def observed(self, step: Step, place: str) -> str:
        """Return what somebody who watches would write, as MSR-VTT has it."""
        mass = THINGS[step.thing].kind != "firm"
        return self._filled(pick(self._rng, OBSERVED), step, place, "some" if mass else "a", coloured=1)

    def _filled(self, template: str, step: Step, place: str, article: str, coloured: float) -> str:
        verb, other = self._verbs(step)
        return " ".join(
            template.format(
                do=verb.base,
                doing=verb.gerund,
                do_else=other.base,
                doing_else=other.gerund,
                it=self._thing(step, article, coloured, self._plain),
                it_else=self._thing(step, article, coloured, 0),
                there=self._place(place, article),
            ).split()
        )

    def _verbs(self, step: Step) -> tuple[Verb, Verb]:
        action = ACTIONS[step.action]
        synonym = pick(self._rng, action.synonyms)
        return (action.verb, synonym) if self._rng.random() < self._plain else (synonym, action.verb)

    def _thing(self, step: Step, article: str, coloured: float, plain: float) -> str:
        noun, colour = step.thing, step.colour
        if self._rng.random() >= plain:
            noun = pick(self._rng, THINGS[step.thing].synonyms)
        if self._rng.random() >= plain:
            colour = pick(self._rng, COLOUR_SYNONYMS[step.colour])
        words = f"{colour} {noun}" if self._rng.random() < coloured else noun
        if article == "a" and words[0] in "aeiou":
            article = "an"
        return f"{article} {words}"

    def _place(self, name: str, article: str) -> str:
        place = PLACES[name]
        noun = name if self._rng.random() < self._plain else pick(self._rng, place.synonyms)
        return f"{place.preposition} {'the' if article == 'the' else 'a'} {noun}"
