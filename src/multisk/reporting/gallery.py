"""What a method retrieved, as pictures: a random sample of queries with the five clips it ranks highest."""

import base64
import io
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from markupsafe import Markup

from multisk.corpora.manifest import Corpus
from multisk.errors import InputError
from multisk.features.thumbnail import QUALITY, thumbnail
from multisk.reporting import wording
from multisk.reporting.cells import Cell, at, column

if TYPE_CHECKING:
    from PIL.Image import Image

SAMPLE_SEED = 0

Clips = Mapping[str, Mapping[Hashable, Any]]  # rows of clips.parquet by clip_id


@dataclass(frozen=True)
class Picture:
    """A clip in the gallery; without `source` its middle frame could not be decoded."""

    clip_id: str
    caption: str
    place: str  # its rank among all clips
    right: bool
    source: Markup | None
    size: tuple[int, int]  # of the thumbnail


@dataclass(frozen=True)
class Query:
    """A caption, the clips ranked highest, and where the right one came; it is always among `pictures`."""

    clip_id: str
    text: str
    rank: Cell
    pictures: tuple[Picture, ...]
    ranks: dict[str, list[tuple[str, Cell]]]  # by setting, every method and its rank of the right clip


def sample_queries(clip_ids: Sequence[str], count: int, seed: int = SAMPLE_SEED) -> list[str]:
    """Return `count` of the ids, drawn without looking at any result."""
    ids = sorted(set(clip_ids))
    drawn = np.random.default_rng(seed).choice(len(ids), size=min(count, len(ids)), replace=False)
    return [ids[index] for index in drawn]


def queries(
    gallery: pd.DataFrame, corpus: Corpus, *, method: str, setting: str, seed: int, count: int
) -> list[Query]:
    """Return a sample of one method's queries on one benchmark.

    `gallery` holds that benchmark's rows of all methods and settings with the columns of
    results.GALLERY_COLUMNS, method and file; `corpus` has the clips' captions and videos.
    """
    assert corpus.clips is not None
    clips = {row["clip_id"]: row for row in corpus.clips.to_dict("records")}
    of_seed = gallery[gallery["seed"] == seed]
    shown = of_seed[(of_seed["method"] == method) & (of_seed["setting"] == setting)]
    rows = {row["clip_id"]: row for row in shown.to_dict("records")}
    return [_query(rows[clip_id], of_seed, clips, corpus) for clip_id in sample_queries(list(rows), count)]


def _query(row: Mapping[Hashable, Any], of_seed: pd.DataFrame, clips: Clips, corpus: Corpus) -> Query:
    clip_id, top, rank = row["clip_id"], list(row["top"]), float(row["rank"])
    places = [(other, str(place)) for place, other in enumerate(top, start=1)]
    if clip_id not in top:
        places.append((clip_id, f"{rank:g}"))
    pictures = tuple(_picture(other, place, other == clip_id, clips, corpus) for other, place in places)
    found = of_seed[of_seed["clip_id"] == clip_id]
    ranks = {setting: _by_method(found[found["setting"] == setting]) for setting in found["setting"].unique()}
    return Query(clip_id, _caption(clip_id, clips), _rank(row), pictures, ranks)


def _by_method(found: pd.DataFrame) -> list[tuple[str, Cell]]:
    return [(wording.method_name(row["method"]), _rank(row)) for row in found.to_dict("records")]


def _rank(row: Mapping[Hashable, Any]) -> Cell:
    rows = {name: row[name] for name in ("benchmark", "setting", "seed", "clip_id")}
    return Cell(f"{row['rank']:g}", at(row["file"], column("rank", **rows)))


def _picture(clip_id: str, place: str, right: bool, clips: Clips, corpus: Corpus) -> Picture:
    caption, clip = _caption(clip_id, clips), clips[clip_id]
    frame = thumbnail(corpus.path(clip["video_id"]), (clip["start"] + clip["end"]) / 2)
    source, size = (_data_uri(frame), frame.size) if frame else (None, (0, 0))
    return Picture(clip_id, caption, place, right, source, size)


def _caption(clip_id: str, clips: Clips) -> str:
    try:
        return str(clips[clip_id]["captions"][0])
    except KeyError:
        raise InputError(
            f"gallery.parquet: {clip_id!r} is no clip of the corpus; run dvc repro evaluate"
        ) from None


def _data_uri(picture: "Image") -> Markup:
    buffer = io.BytesIO()
    picture.save(buffer, format="JPEG", quality=QUALITY)
    return Markup("data:image/jpeg;base64,") + base64.b64encode(buffer.getvalue()).decode()
