"""What a method retrieved, as pictures: a random sample of queries with the five clips it ranks highest."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from markupsafe import Markup

from multisk.corpora.manifest import Corpus
from multisk.errors import InputError

WIDTH = 192  # of a thumbnail, at most, in pixels
QUALITY = 80
SAMPLE_SEED = 0


@dataclass(frozen=True)
class Picture:
    """A clip in the gallery; without `source` its middle frame could not be decoded."""

    clip_id: str
    caption: str
    place: str  # its rank among all clips
    right: bool
    source: Markup | None


@dataclass(frozen=True)
class Query:
    """A caption, what was retrieved for it, and where the right clip came."""

    clip_id: str
    text: str
    rank: float
    pictures: tuple[Picture, ...]
    found: bool  # the right clip is among the first five
    ranks: pd.DataFrame  # method, setting, rank


def sample_queries(clip_ids: Sequence[str], count: int, seed: int = SAMPLE_SEED) -> list[str]:
    """Return `count` of the ids, drawn without looking at any result."""
    ids = sorted(set(clip_ids))
    drawn = np.random.default_rng(seed).choice(len(ids), size=min(count, len(ids)), replace=False)
    return [ids[index] for index in drawn]


def queries(
    gallery: pd.DataFrame, corpus: Corpus, *, method: str, setting: str, seed: int, count: int
) -> list[Query]:
    """Return a sample of one method's queries on one benchmark.

    `gallery` holds that benchmark's rows of all methods and settings with the columns method, setting, seed,
    clip_id, rank and top; `corpus` has the clips' captions and videos.
    """
    assert corpus.clips is not None
    clips = corpus.clips.set_index("clip_id")
    of_seed = gallery[gallery["seed"] == seed]
    shown = of_seed[(of_seed["method"] == method) & (of_seed["setting"] == setting)].set_index("clip_id")
    chosen = sample_queries(list(shown.index), count)
    return [_query(clip_id, shown.loc[clip_id], of_seed, clips, corpus) for clip_id in chosen]


def _query(
    clip_id: str, row: pd.Series, of_seed: pd.DataFrame, clips: pd.DataFrame, corpus: Corpus
) -> Query:
    top, rank = list(row["top"]), float(row["rank"])
    places = [(other, str(place)) for place, other in enumerate(top, start=1)]
    if clip_id not in top:
        places.append((clip_id, f"{rank:g}"))
    pictures = tuple(_picture(other, place, other == clip_id, clips, corpus) for other, place in places)
    ranks = of_seed.loc[of_seed["clip_id"] == clip_id, ["method", "setting", "rank"]]
    return Query(clip_id, _caption(clip_id, clips), rank, pictures, clip_id in top, ranks)


def _picture(clip_id: str, place: str, right: bool, clips: pd.DataFrame, corpus: Corpus) -> Picture:
    caption, clip = _caption(clip_id, clips), clips.loc[clip_id]
    path = corpus.path(clip["video_id"])
    return Picture(clip_id, caption, place, right, thumbnail(path, (clip["start"] + clip["end"]) / 2))


def _caption(clip_id: str, clips: pd.DataFrame) -> str:
    if clip_id not in clips.index:
        raise InputError(f"gallery.parquet: top: clip {clip_id!r} is not in the corpus; run dvc repro evaluate")
    return str(clips.loc[clip_id, "captions"][0])


def thumbnail(path: Path, second: float) -> Markup | None:
    """Return the frame shown at `second` as a JPEG data URI, or None where nothing can be decoded."""
    import av

    try:
        with av.open(str(path)) as container:
            frame = _frame_at(container, second)
    except (OSError, IndexError, ValueError, av.FFmpegError):
        return None
    if frame is None:
        return None
    picture = frame.to_image()
    picture.thumbnail((WIDTH, WIDTH))
    buffer = io.BytesIO()
    picture.save(buffer, format="JPEG", quality=QUALITY)
    return Markup("data:image/jpeg;base64,") + base64.b64encode(buffer.getvalue()).decode()


def _frame_at(container, second: float):  # noqa: ANN001, ANN202
    stream = container.streams.video[0]
    first = stream.start_time or 0
    container.seek(first + int(second / stream.time_base), stream=stream)
    frame, end = None, first * stream.time_base + second
    for frame in container.decode(stream):  # noqa: B007
        if frame.time is not None and frame.time >= end - 1e-6:
            break
    return frame
