import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from multisk.sampling.narrations import (
    Narrations,
    caption_at,
    captioned_span,
    grow_caption,
    sample_span,
)

SPEECH = Narrations(np.array([2.0, 9.0, 11.0, 30.0]), np.array([6.0, 12.0, 13.0, 33.0]), ["a", "b", "c", "d"])
NOTHING = Narrations(np.zeros(0), np.zeros(0), [])


@st.composite
def narrations(draw: st.DrawFn) -> Narrations:
    starts = sorted(draw(st.lists(st.floats(0, 100), min_size=1, max_size=12)))
    lengths = draw(st.lists(st.floats(0.1, 12), min_size=len(starts), max_size=len(starts)))
    return Narrations(np.array(starts), np.array(starts) + lengths, [str(i) for i in range(len(starts))])


@pytest.mark.parametrize(
    ("times", "caption"),
    [((3.0,), 0), ((7.0,), None), ((7.0, 10.0), 1), ((11.5,), 2), ((0.0,), None), ((99.0,), None)],
)
def test_caption_at(times: tuple[float, ...], caption: int | None) -> None:
    assert caption_at(SPEECH, *times) == caption


def test_captions_grow_by_the_nearer_neighbour() -> None:
    assert grow_caption(SPEECH, 1, 8.0) == [1, 2, 0]
    assert grow_caption(SPEECH, 0, 8.0) == [0, 1]
    assert grow_caption(SPEECH, 3, 100.0) == [3, 2, 1, 0]


@settings(deadline=None, max_examples=100)
@given(narrations(), st.integers(0, 11), st.floats(1, 20))
def test_grown_captions_are_neighbours_and_no_more_than_needed(
    speech: Narrations, caption: int, seconds: float
) -> None:
    caption %= len(speech.starts)
    order = grow_caption(speech, caption, seconds)
    assert order[0] == caption
    assert sorted(order) == list(range(min(order), max(order) + 1))
    span = captioned_span(speech, caption, seconds, np.random.RandomState(0), shift_audio=False)
    assert span.end - span.start >= seconds or len(order) == len(speech.starts)
    if len(order) > 1:
        before = order[:-1]
        assert speech.ends[max(before)] - speech.starts[min(before)] < seconds


def test_words_stand_in_the_order_of_joining() -> None:
    span = captioned_span(SPEECH, 1, 8.0, np.random.RandomState(0), shift_audio=False)
    assert span.text == "b c a"
    assert (span.start, span.end) == (2.0, 13.0)
    assert (span.audio_start, span.audio_end) == (2.0, 13.0)


def test_the_shift_is_always_later_and_tosses_a_coin() -> None:
    for seed in range(10):
        rng, reference = np.random.RandomState(seed), np.random.RandomState(seed)
        span = captioned_span(SPEECH, 1, 8.0, rng, shift_audio=True)
        assert (span.audio_start, span.audio_end) == (6.0, 14.0)
        reference.rand()
        assert rng.rand() == reference.rand()


def test_windows_without_speech_are_clips_without_text() -> None:
    span = sample_span(NOTHING, 20.0, 8.0, np.random.RandomState(0), shift_audio=True)
    assert span.text == ""
    assert span.end - span.start == pytest.approx(8)
    assert (span.audio_start, span.audio_end) == (span.start, span.end)


def test_videos_shorter_than_a_clip_start_at_zero() -> None:
    assert sample_span(NOTHING, 5.0, 8.0, np.random.RandomState(0), shift_audio=True)[:2] == (0.0, 8.0)
