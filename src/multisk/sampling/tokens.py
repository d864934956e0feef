"""Slices of features -> a fixed number of tokens, with masks.

Shapes: T features of a slice, N tokens, D dimensions, F mel bands. Time comes first throughout.
"""

from collections.abc import Sequence

import numpy as np

from multisk.features.audio import HOP, SAMPLE_RATE, WINDOW
from multisk.settings.sampling import TokenSampling

SMALLEST_NORM = 1e-12


# --- which features belong to a span of time ---------------------------------------------------


def video_slice(start: float, end: float, rate: float) -> tuple[int, int]:
    """Return the features from `start` to `end` seconds, and the one after them (as released)."""
    return int(start * rate), int(end * rate) + 1


def audio_slice(start: float, end: float, frames: int) -> tuple[int, int]:
    """Return the log-mel frames whose windows begin within `start` to `end` seconds, of `frames` in all.

    As released, an `end` before the first window (0.0125 s) counts from the back, like any slice's.
    """
    first, stop, _ = slice(max(0, frame_at(start)), frame_at(end)).indices(frames)
    return first, max(first, stop)


def frame_at(seconds: float) -> int:
    """Return the log-mel frame at a time; negative in the first half window (as released)."""
    return (int(seconds * SAMPLE_RATE) - WINDOW // 2) // HOP


def duration_of(frames: int) -> int:
    """Return the whole seconds that so many log-mel frames span (as released)."""
    return int((frames * HOP + WINDOW // 2) / SAMPLE_RATE)


# --- tokens ------------------------------------------------------------------------------------


def video_tokens(
    streams: Sequence[np.ndarray], count: int, sampling: TokenSampling = "clip"
) -> tuple[np.ndarray, np.ndarray]:
    """Make `count` tokens of a clip's features.

    streams: f32 [T_i, D_i], appearance before motion; the last one sets the pace of the tokens
    sampling: what to do with a clip longer than `count`: keep its beginning (`clip`), or spread tokens
        over all of it, taking single features (`nearest`) or maxima of windows (`max_pool`)

    Returns tokens f32 [count, sum D_i], each stream's part with unit length, and the mask bool [count].
    If any stream is empty the clip is empty (as released). Released as well: `max_pool` takes single
    features unless each stream has two for each token.
    """
    tokens = np.zeros((count, sum(stream.shape[1] for stream in streams)), np.float32)
    mask = np.zeros(count, bool)
    if min(len(stream) for stream in streams) == 0:
        return tokens, mask
    pace = len(streams[-1])
    if sampling == "max_pool" and pace > count and all(len(stream) >= 2 * count for stream in streams):
        streams = [pool_windows(stream, len(stream) // count) for stream in streams]
    length = pace if sampling == "clip" else min(pace, count)
    filled = min(length, count)
    parts = [unit_length(resize(stream, length)[:filled]) for stream in streams]
    tokens[:filled] = np.concatenate(parts, axis=1)
    mask[:filled] = True
    return tokens, mask


def audio_tokens(logmel: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Cut or pad log-mel frames [T, F] to f32 [F, count]; also return the mask bool [count].

    Padding is 0 dB, the loudest value there is (as released); only the mask tells it from sound.
    """
    frames, bands = logmel.shape
    filled = min(frames, count)
    audio = np.zeros((bands, count), np.float32)
    audio[:, :filled] = logmel[:filled].T
    return audio, np.arange(count) < filled


def resize(features: np.ndarray, length: int) -> np.ndarray:
    """Resample features [T, D] to [length, D] by taking the nearest earlier one."""
    if len(features) == length:
        return features
    # In single precision, as torch's nearest interpolation: now and then this rounds to another feature.
    positions = np.arange(length, dtype=np.float32) * np.float32(len(features) / length)
    return features[np.minimum(positions.astype(np.int64), len(features) - 1)]


def pool_windows(features: np.ndarray, window: int) -> np.ndarray:
    """Take the maximum over each full window of features: [T, D] to [T // window, D]."""
    windows = len(features) // window
    return features[: windows * window].reshape(windows, window, -1).max(axis=1)


def unit_length(features: np.ndarray) -> np.ndarray:
    """Divide by the L2 norm along the last dimension; zero vectors stay zero."""
    norms = np.linalg.norm(features, axis=-1, keepdims=True)
    return features / np.maximum(norms, SMALLEST_NORM)


# --- segments ----------------------------------------------------------------------------------


def segment_is_sound(mask: np.ndarray, segments: int, enough: float = 0.7) -> np.ndarray:
    """Tell which of a clip's equal segments to embed: bool [segments], from the clip's mask bool [N].

    The first one always, a later one when more than `enough` of it is filled (as released, by audio).
    """
    filled = mask.reshape(segments, -1).mean(axis=1)
    return (filled > enough) | (np.arange(segments) == 0)
