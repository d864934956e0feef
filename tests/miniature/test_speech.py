"""The narrator's voice: repeatable, and different words sound different."""

import numpy as np
import pytest

from miniature.speech import RATE, Speaker, Utterance, Voice

VOICE = Voice("en-us+f2", 170, 50)


def _say(*texts: str, voice: Voice = VOICE) -> list[Utterance]:
    with Speaker(voice) as speaker:
        return [speaker.say(text) for text in texts]


def _spectrum(utterance: Utterance) -> np.ndarray:
    """Coarse spectrum over ten parts of the utterance: what makes words sound different."""
    parts = np.array_split(utterance.samples, 10)
    return np.array(
        [[band.sum() for band in np.array_split(np.abs(np.fft.rfft(part, 4096)), 32)] for part in parts]
    )


def test_the_same_sentences_give_the_same_samples() -> None:
    texts = ("okay so now we slice the red onion", "um stir it")
    first, _other, again = (
        _say(*texts),
        _say("something else before", voice=Voice("en", 150, 40)),
        _say(*texts),
    )
    for before, after in zip(first, again, strict=True):
        np.testing.assert_array_equal(before.samples, after.samples)
        assert before.starts == after.starts


def test_different_words_sound_different() -> None:
    onion, union, again = _say("onion", "tomato", "onion")
    apart = np.abs(_spectrum(onion) - _spectrum(union)).sum()
    repeated = np.abs(_spectrum(onion) - _spectrum(again)).sum()
    assert apart > 2 * repeated


def test_words_begin_in_order_within_the_utterance() -> None:
    text = "here i am slicing the red onion in the garden"
    (utterance,) = _say(text)
    assert utterance.words == tuple(text.split())
    assert utterance.samples.dtype == np.float32
    assert np.abs(utterance.samples).max() <= 1
    assert 1 < utterance.seconds < 5
    assert list(utterance.starts) == sorted(utterance.starts)
    assert utterance.starts[0] >= 0
    assert utterance.starts[-1] < utterance.seconds
    # The last word is heard where its event says: there is sound between it and the end.
    last = utterance.samples[round(utterance.starts[-1] * RATE) :]
    assert np.sqrt(np.mean(last**2)) > 0.01


def test_unknown_voices_are_a_mistake_of_the_project() -> None:
    with pytest.raises(AssertionError, match="no voice"), Speaker(Voice("no-such-voice", 170, 50)):
        pass
