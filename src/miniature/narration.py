"""The narrator: what is said when, and what a speech recogniser makes of it."""

from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from functools import lru_cache

import numpy as np
import pandas as pd

from miniature.film import Film, Shot
from miniature.grammar import ACTIONS, COLOUR_SYNONYMS, PLACES, THINGS, pick
from miniature.language import CHAT, FILLERS, NARRATED, Wording
from miniature.settings import HowtoWorld
from miniature.speech import RATE, Speaker, Utterance, Voice

VOICES = (
    "en-us",
    "en-us+f1",
    "en-us+f2",
    "en-us+f4",
    "en-us+m1",
    "en-us+m3",
    "en-us+m7",
    "en",
    "en+f3",
    "en+m5",
)
PLAIN = 0.8  # share of usual words; the others are synonyms, so that word vectors know both
SENTENCE_SECONDS = 2.6  # about the length of a sentence
RETRY_SECONDS = 0.3  # the narrator's hesitation when a sentence would not fit
LINE_SECONDS = (2.0, 4.5)  # length of the recogniser's lines
LINE_OVERLAP = 1.5  # seconds by which a line may run into the next
SOUND_ALIKES = {
    "onion": "union",
    "slice": "lice",
    "pour": "four",
    "stir": "sir",
    "bread": "red",
    "red": "read",
    "white": "wide",
    "green": "grain",
    "roll": "role",
    "peel": "pill",
    "grate": "great",
    "carrot": "parrot",
    "beans": "means",
    "rice": "rise",
    "soup": "super",
    "dough": "though",
    "sauce": "source",
    "the": "a",
    "we": "he",
    "you": "new",
    "so": "sew",
    "to": "two",
}


@dataclass(frozen=True)
class Sentence:
    """Something said at some second of a film; `shot` is what it is about (None: about nothing)."""

    start: float
    utterance: Utterance
    shot: Shot | None

    @property
    def end(self) -> float:
        """The second at which the sentence is over."""
        return self.start + self.utterance.seconds


def narrate(film: Film, lead_seconds: float, chat: float) -> list[Sentence]:
    """Speak along a film: each sentence lies within `lead_seconds` of the shot that it is about.

    A share `chat` of the sentences is about nothing.
    """
    rng = film.generator(2)
    voice = Voice(pick(rng, VOICES), int(rng.integers(150, 186)), int(rng.integers(35, 65)))
    with Speaker(voice) as speaker:
        return list(_sentences(film, lead_seconds, chat, rng, speaker))


def _sentences(
    film: Film, lead_seconds: float, chat: float, rng: np.random.Generator, speaker: Speaker
) -> Iterator[Sentence]:
    wording = Wording(rng, PLAIN)
    time, chatty = rng.uniform(0.2, 1), rng.random() < chat
    while time < film.seconds:
        lead = rng.uniform(-1, 1) * lead_seconds
        shot = None if chatty else _topic(film, time + SENTENCE_SECONDS / 2 + lead)
        text = wording.narrated(shot.step, film.place) if shot else wording.chat()
        sentence = Sentence(time, speaker.say(text), shot)
        if sentence.end < film.seconds and _within(sentence, lead_seconds):
            yield sentence
            # Drawn once a sentence, not once an attempt: chat always fits, and would get more than its share.
            time, chatty = sentence.end + rng.uniform(0.15, 0.9), rng.random() < chat
        else:
            time += RETRY_SECONDS


def _topic(film: Film, time: float) -> Shot:
    shots = [shot for shot in film.shots if not shot.idle]
    return min(shots, key=lambda shot: max(shot.start - time, time - shot.end, 0))


def _within(sentence: Sentence, lead: float) -> bool:
    shot = sentence.shot
    return shot is None or (sentence.start >= shot.start - lead and sentence.end <= shot.end + lead)


def speech_track(film: Film, sentences: list[Sentence]) -> np.ndarray:
    """Return everything that is said, f32 [N] at RATE, as long as the film."""
    track = np.zeros(round(film.seconds * RATE), np.float32)
    for sentence in sentences:
        start = round(sentence.start * RATE)
        samples = sentence.utterance.samples[: len(track) - start]
        track[start : start + len(samples)] += samples
    return track


@dataclass(frozen=True)
class Word:
    """A word that the recogniser believes to have heard, with its span in seconds."""

    text: str
    start: float
    end: float


def recognise(film: Film, sentences: list[Sentence], world: HowtoWorld) -> list[Word]:
    """Return the words as a recogniser hears them: some are lost, some become others."""
    rng = film.generator(3)
    heard = []
    for sentence in sentences:
        utterance = sentence.utterance
        ends = (*utterance.starts[1:], utterance.seconds)
        for text, start, end in zip(utterance.words, utterance.starts, ends, strict=True):
            chance = rng.random()
            if chance < world.dropped_words:
                continue
            if chance < world.dropped_words + world.misheard_words:
                text = pick(rng, sound_alikes(text))
            heard.append(Word(text, sentence.start + start, sentence.start + end))
    return heard


def transcript(film: Film, words: list[Word]) -> pd.DataFrame:
    """Return recognised words as lines: start and end in seconds, text; they overlap as on YouTube."""
    rng = film.generator(4)
    lines: list[list[Word]] = []
    limit = 0.0
    for word in words:
        if not lines or word.end - lines[-1][0].start > limit:
            lines.append([])
            limit = rng.uniform(*LINE_SECONDS)
        lines[-1].append(word)
    rows = [
        (
            round(line[0].start, 2),
            round(min(line[-1].end + rng.uniform(0, LINE_OVERLAP), film.seconds), 2),
            " ".join(word.text for word in line),
        )
        for line in lines
    ]
    return pd.DataFrame(rows, columns=["start", "end", "text"])


@lru_cache(maxsize=1024)
def sound_alikes(word: str) -> tuple[str, ...]:
    """Return the words that `word` may be taken for, at least one and never itself."""
    if word in SOUND_ALIKES:
        return (SOUND_ALIKES[word],)
    others = sorted(vocabulary() - {word})
    return tuple(get_close_matches(word, others, n=3, cutoff=0.1))


@lru_cache(maxsize=1)
def vocabulary() -> set[str]:
    """Return every word that narrators may use."""
    verbs = [verb for action in ACTIONS.values() for verb in (action.verb, *action.synonyms)]
    texts = [*CHAT, *FILLERS, *NARRATED]
    texts += [f"{verb.base} {verb.gerund}" for verb in verbs]
    texts += [" ".join((name, *thing.synonyms)) for name, thing in THINGS.items()]
    texts += [" ".join((place.preposition, name, *place.synonyms)) for name, place in PLACES.items()]
    texts += [" ".join((name, *synonyms)) for name, synonyms in COLOUR_SYNONYMS.items()]
    return {word for text in texts for word in text.split() if "{" not in word}
