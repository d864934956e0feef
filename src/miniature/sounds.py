"""What the miniature world sounds like: actions, places and music, as loops of samples.

All loops are f32 [N] at speech.RATE with root mean square 0.1; action sounds repeat with the period of the
action's motion.
"""

from collections.abc import Callable
from functools import lru_cache

import numpy as np

from miniature.grammar import ACTIONS
from miniature.speech import RATE

LOOP_SECONDS = 4
LOUDNESS = 0.1
Maker = Callable[[np.random.Generator, np.ndarray, float], np.ndarray]


@lru_cache(maxsize=32)
def action_sound(action: str) -> np.ndarray:
    """Return the sound of an action; it begins where the motion begins."""
    hertz = ACTIONS[action].hertz
    periods = max(round(LOOP_SECONDS * hertz), 1)
    time = np.arange(round(periods / hertz * RATE)) / RATE
    return _levelled(ACTION_SOUNDS[action](np.random.default_rng(len(action)), time, hertz))


@lru_cache(maxsize=16)
def place_sound(place: str) -> np.ndarray:
    """Return the ambience of a place."""
    time = np.arange(2 * LOOP_SECONDS * RATE) / RATE
    return _levelled(PLACE_SOUNDS[place](np.random.default_rng(len(place)), time, 0.0))


@lru_cache(maxsize=64)
def music(key: int, tempo: int, tune: int) -> np.ndarray:
    """Return four bars of plucked chords; `key` in semitones, `tempo` in notes per minute."""
    rng = np.random.default_rng([key, tempo, tune])
    length = round(60 / tempo * RATE)
    out = np.zeros(32 * length + RATE, np.float32)
    for bar in range(4):
        root = key + int(rng.choice([0, 5, 7, 9]))
        for beat in range(8):
            pitch = root + int(rng.choice([0, 4, 7, 12, 16]))
            at = (8 * bar + beat) * length
            note = _pluck(220 * 2 ** (pitch / 12))
            out[at : at + len(note)] += note
        bass = 1.6 * _pluck(55 * 2 ** (root / 12))
        out[8 * bar * length : 8 * bar * length + len(bass)] += bass
    tail = out[32 * length :]
    out[: len(tail)] += tail
    return _levelled(out[: 32 * length])


def looped(loop: np.ndarray, count: int, offset: int = 0) -> np.ndarray:
    """Return `count` samples of a loop, from sample `offset` on."""
    repeats = -(-(offset % len(loop) + count) // len(loop))
    return np.tile(loop, repeats)[offset % len(loop) :][:count]


def _levelled(samples: np.ndarray) -> np.ndarray:
    return (samples * (LOUDNESS / np.sqrt(np.mean(samples**2)))).astype(np.float32)


def _pluck(hertz: float) -> np.ndarray:
    time = np.arange(round(0.9 * RATE)) / RATE
    tone = sum(np.sin(2 * np.pi * k * hertz * time) * np.exp(-3 * k * time) / k for k in (1, 2, 3, 4))
    return np.asarray(tone * np.minimum(time / 0.005, 1) * np.minimum((0.9 - time) / 0.05, 1))


def _noise(rng: np.random.Generator, count: int, low: float, high: float) -> np.ndarray:
    """Return noise of a frequency band; its end runs on into its beginning."""
    spectrum = np.zeros(count // 2 + 1, complex)
    band = slice(int(low * count / RATE), int(min(high, RATE / 2) * count / RATE))
    size = spectrum[band].shape
    spectrum[band] = rng.standard_normal(size) + 1j * rng.standard_normal(size)
    noise = np.fft.irfft(spectrum, count)
    return noise / np.sqrt(np.mean(noise**2))


def _since(time: np.ndarray, hertz: float) -> np.ndarray:
    """Return the seconds since the latest beat."""
    return (time % (1 / hertz)).astype(float)


def _swing(time: np.ndarray, hertz: float, sharpness: float = 1) -> np.ndarray:
    """Return a level between 0 and 1 that swings with the motion."""
    return (0.5 - 0.5 * np.cos(2 * np.pi * hertz * time)) ** sharpness


def _grains(
    rng: np.random.Generator, count: int, per_second: float, decay: float, level: np.ndarray
) -> np.ndarray:
    """Return an envelope of decaying grains at random times; `level` [count] in [0, 1] thins them out."""
    hits = (rng.random(count) < per_second / RATE * level) * rng.uniform(0.3, 1, count)
    kernel = np.exp(-np.arange(round(5 * decay * RATE)) / (decay * RATE))
    size = 1 << (count + len(kernel) - 1).bit_length()
    return np.fft.irfft(np.fft.rfft(hits, size) * np.fft.rfft(kernel, size), size)[:count]


def _tone(time: np.ndarray, hertz: float | np.ndarray) -> np.ndarray:
    return np.sin(2 * np.pi * np.cumsum(np.broadcast_to(hertz, time.shape)) / RATE)


# --- actions -----------------------------------------------------------------------------------


def _wash(rng: np.random.Generator, time: np.ndarray, hertz: float) -> np.ndarray:
    drops = _grains(rng, len(time), 14, 0.02, np.ones(len(time)))
    return _noise(rng, len(time), 900, 6500) * (1 + 0.3 * _swing(time, hertz)) + drops * _tone(time, 1300)


def _peel(rng: np.random.Generator, time: np.ndarray, hertz: float) -> np.ndarray:
    return _noise(rng, len(time), 1800, 4200) * (_since(time, hertz) * hertz) ** 1.5


def _chop(rng: np.random.Generator, time: np.ndarray, hertz: float) -> np.ndarray:
    since = _since(time, hertz)
    knock = np.exp(-since / 0.035) * (_tone(time, 420) + 0.6 * _tone(time, 930))
    return knock + 0.5 * np.exp(-since / 0.006) * _noise(rng, len(time), 1000, 9000)


def _slice(rng: np.random.Generator, time: np.ndarray, hertz: float) -> np.ndarray:
    strokes = np.abs(np.cos(2 * np.pi * hertz * time)) ** 2
    return strokes * (_noise(rng, len(time), 3500, 8500) + 0.15 * _tone(time, 3100))


def _grate(rng: np.random.Generator, time: np.ndarray, hertz: float) -> np.ndarray:
    teeth = _swing(time, 64, 3)
    return np.abs(np.cos(2 * np.pi * hertz * time)) * teeth * _noise(rng, len(time), 1300, 3600)


def _pound(rng: np.random.Generator, time: np.ndarray, hertz: float) -> np.ndarray:
    since = _since(time, hertz)
    thud = np.exp(-since / 0.12) * np.sin(2 * np.pi * 85 * since * (1 - 0.5 * since))
    return thud + 0.3 * np.exp(-since / 0.02) * _noise(rng, len(time), 200, 900)


def _roll(rng: np.random.Generator, time: np.ndarray, hertz: float) -> np.ndarray:
    level = np.abs(np.cos(2 * np.pi * hertz * time))
    return level * (_noise(rng, len(time), 60, 260) + 0.08 * _tone(time, 700 + 150 * level))


def _squeeze(rng: np.random.Generator, time: np.ndarray, hertz: float) -> np.ndarray:
    press = _swing(time, hertz)
    squeak = _tone(time, 260 + 420 * press) * (1 + 0.8 * _tone(time, 31))
    return press * squeak + 0.3 * press**2 * _noise(rng, len(time), 400, 1600)


def _fold(rng: np.random.Generator, time: np.ndarray, hertz: float) -> np.ndarray:
    crackle = _grains(rng, len(time), 130, 0.008, _swing(time, 2 * hertz, 2))
    return crackle * _noise(rng, len(time), 2500, 9500)


def _pour(rng: np.random.Generator, time: np.ndarray, hertz: float) -> np.ndarray:
    bubbles = _grains(rng, len(time), 26, 0.025, np.ones(len(time)))
    glide = 480 + 500 * _since(time, hertz) * hertz
    return 0.5 * _noise(rng, len(time), 350, 2200) + bubbles * _tone(time, glide)


def _stir(rng: np.random.Generator, time: np.ndarray, hertz: float) -> np.ndarray:
    since = _since(time, 2 * hertz)
    clink = np.exp(-since / 0.07) * (_tone(time, 2650) + 0.7 * _tone(time, 4170))
    return clink + 0.25 * _swing(time, hertz) * _noise(rng, len(time), 150, 600)


def _shake(rng: np.random.Generator, time: np.ndarray, hertz: float) -> np.ndarray:
    return np.exp(-_since(time, 2 * hertz) / 0.03) * _noise(rng, len(time), 4800, 9500)


def _blend(rng: np.random.Generator, time: np.ndarray, hertz: float) -> np.ndarray:
    motor = sum(_tone(time, 145 * k) / k for k in range(1, 12))
    return motor * (1 + 0.3 * _swing(time, hertz)) + 0.4 * _noise(rng, len(time), 700, 5000)


def _fry(rng: np.random.Generator, time: np.ndarray, hertz: float) -> np.ndarray:
    pops = _grains(rng, len(time), 60, 0.004, np.ones(len(time)))
    return (0.5 + 0.1 * _swing(time, hertz) + 2 * pops) * _noise(rng, len(time), 4000, 10500)


def _season(rng: np.random.Generator, time: np.ndarray, hertz: float) -> np.ndarray:
    return _grains(rng, len(time), 90, 0.002, _swing(time, hertz)) * _noise(rng, len(time), 6000, 10500)


def _brush(rng: np.random.Generator, time: np.ndarray, hertz: float) -> np.ndarray:
    return np.abs(np.sin(2 * np.pi * hertz * time)) ** 1.5 * _noise(rng, len(time), 350, 1300)


# --- places ------------------------------------------------------------------------------------


def _kitchen(rng: np.random.Generator, time: np.ndarray, _hertz: float) -> np.ndarray:
    return _tone(time, 100) + 0.5 * _tone(time, 200) + 0.4 * _noise(rng, len(time), 80, 500)


def _garden(rng: np.random.Generator, time: np.ndarray, _hertz: float) -> np.ndarray:
    songs = _grains(rng, len(time), 3, 0.05, np.ones(len(time)))
    return songs * _tone(time, 3300 + 600 * np.sin(2 * np.pi * 9 * time)) + 0.02 * _noise(
        rng, len(time), 200, 3000
    )


def _workshop(rng: np.random.Generator, time: np.ndarray, _hertz: float) -> np.ndarray:
    ticks = np.exp(-_since(time, 2) / 0.01) * _noise(rng, len(time), 1500, 4000)
    return sum(_tone(time, 50 * k) / k for k in (1, 3, 5, 7)) + 0.6 * ticks


def _campsite(rng: np.random.Generator, time: np.ndarray, _hertz: float) -> np.ndarray:
    crickets = _swing(time, 22) * (_since(time, 1.25) < 0.4) * _tone(time, 4300)
    fire = _grains(rng, len(time), 12, 0.006, np.ones(len(time))) * _noise(rng, len(time), 500, 4000)
    return crickets + 2 * fire


def _beach(rng: np.random.Generator, time: np.ndarray, _hertz: float) -> np.ndarray:
    return (0.15 + _swing(time, 0.25, 2)) * _noise(rng, len(time), 250, 3500)


def _market(rng: np.random.Generator, time: np.ndarray, _hertz: float) -> np.ndarray:
    voices = [
        (0.3 + _swing(time, hertz)) * _tone(time, tone) for hertz, tone in ((3, 180), (4.25, 230), (2.5, 310))
    ]
    return sum(voices) + _noise(rng, len(time), 250, 1100) * (0.5 + _swing(time, 3.5))


ACTION_SOUNDS: dict[str, Maker] = {
    "wash": _wash,
    "peel": _peel,
    "chop": _chop,
    "slice": _slice,
    "grate": _grate,
    "pound": _pound,
    "roll": _roll,
    "squeeze": _squeeze,
    "fold": _fold,
    "pour": _pour,
    "stir": _stir,
    "shake": _shake,
    "blend": _blend,
    "fry": _fry,
    "season": _season,
    "brush": _brush,
}
PLACE_SOUNDS: dict[str, Maker] = {
    "kitchen": _kitchen,
    "garden": _garden,
    "workshop": _workshop,
    "campsite": _campsite,
    "beach": _beach,
    "market": _market,
}
