"""The narrator leads and lags, and the recogniser errs, as much as the settings say."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from miniature import howto
from miniature.film import Film
from miniature.narration import (
    Sentence,
    narrate,
    recognise,
    sound_alikes,
    speech_track,
    transcript,
    vocabulary,
)
from miniature.settings import HowtoWorld, Miniature
from miniature.speech import RATE, Utterance
from multisk.params import load_profile


@pytest.fixture(scope="module")
def miniature(repository: Path) -> Miniature:
    return load_profile("miniature", repository / "profiles").corpora


@pytest.fixture(scope="module")
def films(miniature: Miniature) -> tuple[Film, ...]:
    return howto.plan(miniature)[:12]


@pytest.fixture(scope="module")
def narrations(films: tuple[Film, ...], miniature: Miniature) -> list[list[Sentence]]:
    return [narrate(film, miniature.howto.lead_seconds, miniature.howto.chat) for film in films]


def test_sentences_stay_within_the_lead(
    films: tuple[Film, ...], narrations: list[list[Sentence]], miniature: Miniature
) -> None:
    lead = miniature.howto.lead_seconds
    early = late = 0
    for film, sentences in zip(films, narrations, strict=True):
        assert all(before.end < after.start for before, after in pairwise(sentences))
        for sentence in sentences:
            assert 0 <= sentence.start < sentence.end <= film.seconds
            if sentence.shot:
                assert sentence.start >= sentence.shot.start - lead
                assert sentence.end <= sentence.shot.end + lead
                early += sentence.start < sentence.shot.start
                late += sentence.end > sentence.shot.end
    assert early > 10
    assert late > 10


def test_share_of_chat_and_of_speech(
    films: tuple[Film, ...], narrations: list[list[Sentence]], miniature: Miniature
) -> None:
    sentences = [sentence for narration in narrations for sentence in narration]
    assert np.mean([sentence.shot is None for sentence in sentences]) == pytest.approx(
        miniature.howto.chat, abs=0.1
    )
    spoken = sum(sentence.utterance.seconds for sentence in sentences)
    assert spoken > 0.5 * sum(film.seconds for film in films)


def test_speech_track_says_everything_right(
    films: tuple[Film, ...], narrations: list[list[Sentence]]
) -> None:
    track = speech_track(films[0], narrations[0])
    assert len(track) == round(films[0].seconds * RATE)
    for sentence in narrations[0]:
        start = round(sentence.start * RATE)
        samples = sentence.utterance.samples
        np.testing.assert_array_equal(track[start : start + len(samples)], samples)


def _long_speech(count: int) -> list[Sentence]:
    words = ("now", "we", "slice", "the", "red", "onion") * (count // 6)
    utterance = Utterance(
        words, tuple(0.3 * i for i in range(len(words))), np.zeros(round(0.3 * len(words) * RATE))
    )
    return [Sentence(0.0, utterance, None)]


@settings(deadline=None, max_examples=10)
@given(dropped=st.floats(0, 0.4), misheard=st.floats(0, 0.4), seed=st.integers(0, 99))
def test_noise_has_the_shares_of_the_settings(dropped: float, misheard: float, seed: int) -> None:
    world = HowtoWorld(
        videos=1, seconds=(1, 2), lead_seconds=1, chat=0, dropped_words=dropped, misheard_words=misheard
    )
    film = Film("v", "train", "kitchen", 3000.0, (), (seed,))
    (sentence,) = _long_speech(6000)
    heard = {round(word.start, 3): word.text for word in recognise(film, [sentence], world)}
    said = dict(zip(np.round(sentence.utterance.starts, 3).tolist(), sentence.utterance.words, strict=True))
    assert 1 - len(heard) / len(said) == pytest.approx(dropped, abs=0.03)
    assert sum(text != said[start] for start, text in heard.items()) / len(said) == pytest.approx(
        misheard, abs=0.03
    )


def test_every_word_can_be_misheard_as_another() -> None:
    for word in vocabulary():
        assert sound_alikes(word)
        assert word not in sound_alikes(word)


def test_lines_are_short_and_overlap(
    films: tuple[Film, ...], narrations: list[list[Sentence]], miniature: Miniature
) -> None:
    overlaps = 0
    for film, sentences in zip(films, narrations, strict=True):
        words = recognise(film, sentences, miniature.howto)
        lines = transcript(film, words)
        assert " ".join(lines["text"]).split() == [word.text for word in words]
        assert lines["start"].is_monotonic_increasing
        assert ((lines["end"] - lines["start"]) <= 6.1).all()
        assert (lines["end"] > lines["start"]).all()
        assert lines["end"].max() <= film.seconds
        overlaps += int((lines["end"].to_numpy()[:-1] > lines["start"].to_numpy()[1:]).sum())
    assert overlaps > len(films)
