"""Sounds: every action and place has its own, level and without seams."""

import numpy as np
import pytest

from miniature.grammar import ACTIONS, PLACES
from miniature.sounds import LOUDNESS, action_sound, looped, music, place_sound
from miniature.speech import RATE


def _profile(sound: np.ndarray) -> np.ndarray:
    """Spectrum in bands and its change over time, normalised."""
    size = 512
    frames = np.lib.stride_tricks.sliding_window_view(looped(sound, 4 * RATE), size)[::size] * np.hanning(
        size
    )
    power = np.log(1e-6 + np.abs(np.fft.rfft(frames))[:, :256].reshape(len(frames), 32, 8).mean(2))
    return np.concatenate([power.mean(0), 2 * power.std(0)])


@pytest.mark.parametrize("action", list(ACTIONS))
def test_action_sounds_repeat_with_the_motion(action: str) -> None:
    sound = action_sound(action)
    assert sound.dtype == np.float32
    assert np.isfinite(sound).all()
    assert np.sqrt(np.mean(sound**2)) == pytest.approx(LOUDNESS, rel=1e-3)
    periods = len(sound) / RATE * ACTIONS[action].hertz
    assert periods == pytest.approx(round(periods), abs=1e-3)


def test_all_sounds_differ() -> None:
    sounds = [*map(action_sound, ACTIONS), *map(place_sound, PLACES), music(0, 180, 0)]
    profiles = [_profile(sound) for sound in sounds]
    closest = min(np.linalg.norm(a - b) for i, a in enumerate(profiles) for b in profiles[:i])
    assert closest > 2


def test_loops_run_on() -> None:
    loop = np.arange(5, dtype=np.float32)
    np.testing.assert_array_equal(looped(loop, 7, 3), [3, 4, 0, 1, 2, 3, 4])
    np.testing.assert_array_equal(looped(loop, 3, 11), [1, 2, 3])
