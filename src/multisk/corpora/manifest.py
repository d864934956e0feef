"""A corpus on disk: a folder with media files and the manifests that describe them.

    corpus.json              name, role, description, source (what it was made from), digest
    videos.parquet           video_id, path (relative to the folder), split, seconds
    captions/<video_id>.csv  narrated: start, end, text in seconds, as HowTo100M publishes them
    clips.parquet            captioned: clip_id, video_id, start, end, split, captions
    truth.parquet            rendered corpora: video_id, second, action, thing, place

A clip that a benchmark lists but that has no file is a row of clips.parquet whose video_id
videos.parquet lacks.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any, Literal, Self, get_args

import pandas as pd

from multisk.errors import InputError, one_line
from multisk.files import replacing, write_text
from multisk.settings.corpora import Split

Role = Literal["narrated", "captioned"]
SPLITS = get_args(Split)
VIDEO_COLUMNS = ("video_id", "path", "split", "seconds")
CLIP_COLUMNS = ("clip_id", "video_id", "start", "end", "split", "captions")
CAPTION_COLUMNS = ("start", "end", "text")
TRUTH_COLUMNS = ("video_id", "second", "action", "thing", "place")


@dataclass(frozen=True)
class Corpus:
    """The manifests of one corpus, checked.

    `videos` has a row per media file, `clips` (captioned corpora only) a row per listed clip with
    `captions` as list[str]; `digest` is the SHA-256 over all that the manifests say.
    """

    folder: Path
    name: str
    role: Role
    description: str
    digest: str
    videos: pd.DataFrame
    clips: pd.DataFrame | None
    source: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def open(cls, folder: Path | str) -> Self:
        """Read the manifests in `folder`; raise InputError where one is missing or malformed."""
        folder = Path(folder)
        head = _read_head(folder / "corpus.json")
        videos = _read_table(folder / "videos.parquet", VIDEO_COLUMNS)
        clips = None
        if head["role"] == "captioned":
            clips = _read_table(folder / "clips.parquet", CLIP_COLUMNS)
            clips["captions"] = [list(captions) for captions in clips["captions"]]
        _check(folder, videos, clips)
        return cls(folder=folder, videos=videos, clips=clips, **head)

    def path(self, video_id: str) -> Path:
        """Return the media file of a video; raise InputError for an id that the corpus lacks."""
        try:
            return self.folder / self._paths[video_id]
        except KeyError:
            raise InputError(f"{self.folder / 'videos.parquet'}: video_id: no video {video_id!r}") from None

    def captions(self, video_id: str) -> pd.DataFrame:
        """Return what is said in a narrated video: start and end in seconds, text; sorted by start."""
        path = self.folder / "captions" / f"{video_id}.csv"
        try:
            table = pd.read_csv(path, dtype={"text": str}, keep_default_na=False)
            table = table.astype({"start": float, "end": float})
        except FileNotFoundError:
            raise InputError(f"{path}: no such captions; each narrated video needs a file") from None
        except (OSError, ValueError, KeyError) as error:
            raise InputError(f"{path}: cannot be read as start,end,text: {one_line(error)}") from None
        _need_columns(path, table, CAPTION_COLUMNS)
        return table[list(CAPTION_COLUMNS)].sort_values("start", kind="stable", ignore_index=True)

    def of_split(self, split: str) -> pd.DataFrame:
        """Return the clips of a split of a captioned corpus, missing ones included."""
        if self.clips is None:
            raise InputError(f"{self.folder / 'corpus.json'}: role: {self.role} corpora have no clips")
        return self.clips[self.clips["split"] == split].reset_index(drop=True)

    @cached_property
    def truth(self) -> pd.DataFrame:
        """What a rendered corpus shows in each second; for analysing anchors, never for training."""
        return _read_table(self.folder / "truth.parquet", TRUTH_COLUMNS)

    @cached_property
    def _paths(self) -> dict[str, str]:
        return dict(zip(self.videos["video_id"], self.videos["path"], strict=True))


def write_corpus(
    folder: Path,
    *,
    name: str,
    role: Role,
    description: str,
    videos: pd.DataFrame,
    clips: pd.DataFrame | None = None,
    captions: Mapping[str, pd.DataFrame] | None = None,
    truth: pd.DataFrame | None = None,
    source: Mapping[str, Any] | None = None,
) -> Corpus:
    """Write the manifests of a corpus whose media files are in place; corpus.json comes last.

    `source` is whatever the media files were made from (settings, versions): it enters the digest,
    so that features of other pictures are never taken for features of these.
    Raises InputError for tables that `Corpus.open` would refuse.
    """
    assert (role == "captioned") == (clips is not None)
    _need_columns(folder / "videos.parquet", videos, VIDEO_COLUMNS)
    if clips is not None:
        _need_columns(folder / "clips.parquet", clips, CLIP_COLUMNS)
    _check(folder, videos, clips)
    captions, source = captions or {}, dict(source or {})
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "corpus.json").unlink(missing_ok=True)
    for table_name, table in {"videos": videos, "clips": clips, "truth": truth}.items():
        if table is not None:
            with replacing(folder / f"{table_name}.parquet") as temporary:
                table.to_parquet(temporary, index=False)
    for video_id, table in captions.items():
        write_text(folder / "captions" / f"{video_id}.csv", table.to_csv(index=False, lineterminator="\n"))
    head = {"name": name, "role": role, "description": description, "source": source}
    head["digest"] = _digest(head, videos, clips, captions)
    write_text(folder / "corpus.json", json.dumps(head, indent=2) + "\n")
    return Corpus.open(folder)


def _digest(
    head: Mapping[str, Any],
    videos: pd.DataFrame,
    clips: pd.DataFrame | None,
    captions: Mapping[str, pd.DataFrame],
) -> str:
    # Over the content, not over the parquet files: those change with the version of their writer.
    digest = hashlib.sha256(json.dumps(head, sort_keys=True).encode())
    # One table of captions at a time: a published corpus has a million of them.
    said = ((f"captions/{key}", captions[key]) for key in sorted(captions))
    for name, table in chain([("videos", videos), ("clips", clips)], said):
        if table is not None:
            digest.update(f"{name}\n{table.to_json(orient='values', double_precision=6)}\n".encode())
    return digest.hexdigest()


def _read_head(path: Path) -> dict[str, Any]:
    try:
        head = json.loads(path.read_text())
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; render or import the corpus first") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as JSON: {one_line(error)}") from None
    for key in ("name", "role", "digest"):
        if not isinstance(head, dict) or not isinstance(head.get(key), str):
            raise InputError(f"{path}: {key}: missing; write the corpus again")
    if head["role"] not in get_args(Role):
        raise InputError(f"{path}: role: expected narrated or captioned, found {head['role']!r}")
    known = ("name", "role", "digest", "description", "source")
    return {"description": "", **{key: head[key] for key in known if key in head}}


def _read_table(path: Path, columns: tuple[str, ...]) -> pd.DataFrame:
    try:
        table = pd.read_parquet(path)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; render or import the corpus again") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as parquet: {one_line(error)}") from None
    _need_columns(path, table, columns)
    return table


def _need_columns(path: Path, table: pd.DataFrame, columns: tuple[str, ...]) -> None:
    for column in columns:
        if column not in table:
            raise InputError(f"{path}: {column}: no such column; expected {', '.join(columns)}")


def _check(folder: Path, videos: pd.DataFrame, clips: pd.DataFrame | None) -> None:
    _check_rows(folder / "videos.parquet", videos, "video_id")
    if clips is None:
        return
    path = folder / "clips.parquet"
    _check_rows(path, clips, "clip_id")
    keys = ("clip_id", "start", "end", "split", "captions")
    for clip_id, start, end, split, captions in zip(*(clips[key] for key in keys), strict=True):
        if not start < end:
            raise InputError(f"{path}: end: clip {clip_id!r} ends at {end}, its start is {start}")
        count = len(captions)
        if count < 1 or (count > 1 and split != "train"):
            wanted = "at least one" if split == "train" else "exactly one"
            raise InputError(f"{path}: captions: {split} clip {clip_id!r} needs {wanted}, has {count}")


def _check_rows(path: Path, table: pd.DataFrame, key: str) -> None:
    repeated = table[key][table[key].duplicated()]
    if len(repeated):
        raise InputError(f"{path}: {key}: {repeated.iloc[0]!r} stands there twice; ids must be unique")
    unknown = table["split"][~table["split"].isin(SPLITS)]
    if len(unknown):
        raise InputError(f"{path}: split: expected {', '.join(SPLITS)}, found {unknown.iloc[0]!r}")
