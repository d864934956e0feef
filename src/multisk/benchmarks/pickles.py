"""Benchmark clips as the releases pickle them: a list of dicts with arrays and captions."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from multisk.corpora.manifest import CLIP_COLUMNS, VIDEO_COLUMNS
from multisk.errors import InputError
from multisk.features.audio import BANDS
from multisk.features.store import Stream
from multisk.features.streams import checked_stream, seconds_of
from multisk.published.findings import Findings
from multisk.published.unpickle import load_plain

UNKNOWN_SECONDS = 1.0  # of a clip that nobody has; its row needs an end, which is never read


@dataclass(frozen=True)
class PublishedClip:
    """A clip of a benchmark; each is a video of its own, and its features are all of the clip.

    arrays: appearance [n, D], motion [n, D], logmel [T, 40] as far as they are there, not checked yet;
        empty for a clip that the release lists but cannot use
    """

    clip_id: str
    split: str
    captions: tuple[str, ...]
    arrays: Mapping[str, Any]


def read_items(path: Path, findings: Findings) -> dict[str, dict[str, Any]]:
    """Return the items of a pickle by their `id`; those without one and repeated ones are left out.

    Raises InputError for a pickle that is not a list of items.
    """
    content = load_plain(path)
    if not isinstance(content, list | tuple) or not content:
        raise InputError(
            f"{path}: expected a list of clips, found {type(content).__name__}; is it the right file?"
        )
    items: dict[str, dict[str, Any]] = {}
    for number, item in enumerate(content):
        clip_id = item.get("id") if isinstance(item, dict) else None
        if not isinstance(clip_id, str) or not clip_id:
            findings.add("items without an id", f"{path}: item {number}: no id; left out")
        elif clip_id in items:
            findings.add("repeated clips", f"{path}: item {number}: {clip_id} stands there before; left out")
        else:
            items[clip_id] = item
    if not items:
        raise InputError(f"{path}: none of its {len(content)} items has an id; is it the right file?")
    return items


def captions_of(value: Any) -> tuple[str, ...]:
    """Return the captions that a field holds, one or many; those that are no text are dropped."""
    values = [value] if isinstance(value, str) else value
    if not isinstance(values, list | tuple | np.ndarray):
        return ()
    return tuple(str(caption) for caption in values if isinstance(caption, str) and caption.strip())


def arrays_of(item: Mapping[str, Any], appearance: str, motion: str) -> dict[str, Any]:
    """Return an item's arrays by stream, time first; `audio` is published with time last."""
    audio = item.get("audio")
    if isinstance(audio, np.ndarray) and audio.ndim == 2:
        audio = audio.T
    return {"appearance": item.get(appearance), "motion": item.get(motion), "logmel": audio}


def clip_dimensions(clips: list[PublishedClip]) -> dict[str, int]:
    """Return the widths that most clips have; raise InputError when no clip has features of a stream."""
    dimensions = {"logmel": BANDS}
    for stream in ("appearance", "motion"):
        arrays = (clip.arrays.get(stream) for clip in clips)
        widths = Counter(a.shape[1] for a in arrays if isinstance(a, np.ndarray) and a.ndim == 2)
        if not widths:
            raise InputError(
                f"none of {len(clips)} clips has {stream} features [n, D]; is it the right file?"
            )
        dimensions[stream] = widths.most_common(1)[0][0]
    return {name: dimensions[name] for name in ("appearance", "motion", "logmel")}


def clip_streams(clip: PublishedClip, dimensions: Mapping[str, int]) -> dict[str, Stream]:
    """Return a clip's streams, checked, as half precision."""
    return {name: checked_stream(name, clip.arrays.get(name), size) for name, size in dimensions.items()}


def clip_tables(clips: list[PublishedClip]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the rows of videos.parquet and clips.parquet.

    A clip starts at 0 and ends with the last of its features, so that all of them are read, as released.
    Its path is empty: there are features of it, but no file.
    """
    videos, rows = [], []
    for clip in clips:
        lengths = {name: len(a) for name, a in clip.arrays.items() if isinstance(a, np.ndarray) and a.ndim}
        seconds = seconds_of(lengths) or UNKNOWN_SECONDS
        rows.append((clip.clip_id, clip.clip_id, 0.0, seconds, clip.split, list(clip.captions)))
        if clip.arrays:
            videos.append((clip.clip_id, "", clip.split, seconds))
    return pd.DataFrame(videos, columns=list(VIDEO_COLUMNS)), pd.DataFrame(rows, columns=list(CLIP_COLUMNS))
