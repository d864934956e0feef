"""HowTo100M's captions in the three layouts that are about: pickle, JSON, one csv a video.

Pickle and JSON: id -> {"start": [...], "end": [...], "text": [...]}, seconds; csv: start,end,text.
"""

import json
import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
import pandas as pd
from tqdm import tqdm

from multisk.corpora.manifest import CAPTION_COLUMNS
from multisk.errors import InputError, one_line
from multisk.files import write_text
from multisk.published.findings import Findings
from multisk.published.tables import as_number, read_csv
from multisk.published.unpickle import load_plain

CHUNK = 2**22  # characters
BEGIN, NEXT = re.compile(r'\s*\{\s*(\}|(?="))'), re.compile(r'\s*(\}|,\s*(?="))')  # around entries
COLON = re.compile(r"\s*:\s*")
DECODER = json.JSONDecoder()
PICKLES = (".pickle", ".pkl")
Parsed = tuple[list[tuple[str, Any]], int, bool]  # entries, where they end, and whether the object does


class CaptionFiles(Mapping[str, pd.DataFrame]):
    """The captions that `write_captions` wrote, read from their files when asked for."""

    def __init__(self, folder: Path, video_ids: list[str]) -> None:
        self._folder, self._ids = folder, dict.fromkeys(video_ids)

    def __getitem__(self, video_id: str) -> pd.DataFrame:
        if video_id not in self._ids:
            raise KeyError(video_id)
        path = self._folder / f"{video_id}.csv"
        return pd.read_csv(path, dtype={"start": float, "end": float, "text": str}, keep_default_na=False)

    def __contains__(self, video_id: object) -> bool:
        return video_id in self._ids

    def __iter__(self) -> Iterator[str]:
        return iter(self._ids)

    def __len__(self) -> int:
        return len(self._ids)


def write_captions(source: Path, wanted: list[str], folder: Path, findings: Findings) -> CaptionFiles:
    """Write the captions of the `wanted` videos that have usable ones to `folder`, a csv each.

    source: caption.pickle, caption.json or a folder of <video_id>.csv
    Rows without a length or with times that are no numbers, and repeated rows, are noted and left out.
    Raises InputError when the source cannot be read at all.
    """
    left = dict.fromkeys(wanted)
    written = []
    with tqdm(total=len(wanted), desc="captions", unit="video", disable=None) as bar:
        for video_id, entry in _entries(source, left):
            if video_id not in left:
                findings.add("captions of unlisted videos", f"{source}: {video_id}: not among the videos")
                continue
            table = _tidy(entry, f"{source}: {video_id}", findings)
            if table is not None:
                del left[video_id]
                write_text(folder / f"{video_id}.csv", table.to_csv(index=False, lineterminator="\n"))
                written.append(video_id)
            bar.update()
    for video_id in left:
        findings.add("videos without captions", f"{source}: {video_id}: no usable captions; video left out")
    return CaptionFiles(folder, sorted(written))


def _entries(source: Path, wanted: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    if source.is_dir():
        yield from _csv_entries(source, list(wanted))
    elif source.suffix == ".json":
        yield from stream_object(source)
    elif source.suffix in PICKLES:
        content = load_plain(source)
        if not isinstance(content, dict):
            raise InputError(f"{source}: expected video ids with captions, found {type(content).__name__}")
        yield from ((str(key), value) for key, value in content.items())
    else:
        raise InputError(f"{source}: no captions; name a .pickle, a .json or a folder of <video_id>.csv")


def _csv_entries(folder: Path, wanted: list[str]) -> Iterator[tuple[str, Any]]:
    for video_id in wanted:
        path = folder / f"{video_id}.csv"
        if path.is_file():
            try:
                yield video_id, read_csv(path, CAPTION_COLUMNS).to_dict("list")
            except InputError as error:
                yield video_id, str(error)


def _tidy(entry: Any, where: str, findings: Findings) -> pd.DataFrame | None:
    """Make start, end, text of an entry; None when nothing of it is usable."""
    columns = [_listed(entry.get(key)) for key in CAPTION_COLUMNS] if isinstance(entry, dict) else [None]
    if None in columns or len({len(column) for column in columns if column is not None}) != 1:
        what = entry if isinstance(entry, str) else "no equally long start, end and text"
        findings.add("unreadable captions", f"{where}: {what}; left out")
        return None
    rows: dict[tuple[float, float, str], None] = {}
    for number, (start, end, text) in enumerate(zip(*filter(None, columns), strict=True), start=1):
        row = (as_number(start), as_number(end), _one_line(text) if isinstance(text, str) else "")
        if not 0 <= row[0] < row[1] < math.inf:
            findings.add("impossible times", f"{where}: row {number}: from {start} to {end}; left out")
        elif row in rows:
            findings.add("repeated rows", f"{where}: row {number}: stands there before; left out")
        else:
            rows[row] = None
    return pd.DataFrame(list(rows), columns=list(CAPTION_COLUMNS)) if rows else None


def _one_line(text: str) -> str:
    """Return a text as a csv keeps it: on one line, without halves of characters."""
    return " ".join(text.encode("utf-8", "replace").decode().replace("\0", " ").split())


def _listed(values: Any) -> list[Any] | None:
    if isinstance(values, np.ndarray):
        return values.tolist() if values.ndim == 1 else None
    return list(values) if isinstance(values, list | tuple) else None


# --- JSON that is larger than memory -----------------------------------------------------------


def stream_object(path: Path) -> Iterator[tuple[str, Any]]:
    """Yield the entries of the one object in a JSON file, holding little more than one of them.

    Raises InputError for a file that is not one object, or is damaged.
    """
    try:
        with path.open(encoding="utf-8") as file:
            yield from _stream(file)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: no complete JSON object ({one_line(error)})") from None


def _stream(file: IO[str]) -> Iterator[tuple[str, Any]]:
    # By hand: what else streams JSON takes a NaN for damage, which Python itself writes.
    text, place, closed, parse = "", 0, False, _opening
    while not closed:
        try:
            entries, end, closed = parse(text, place)
        except ValueError:
            more = file.read(max(CHUNK, len(text) - place))
            if not more:
                raise
            text, place = text[place:] + more, 0
        else:
            yield from entries
            place, parse = end, _entry


def _opening(text: str, place: int) -> Parsed:
    found = _match(BEGIN, text, place)
    return [], found.end(), found[1] == "}"


def _entry(text: str, place: int) -> Parsed:
    key, end = DECODER.raw_decode(text, place)
    value, end = DECODER.raw_decode(text, _match(COLON, text, end).end())
    # A number may go on behind what has been read; what follows a value tells that it is whole.
    found = _match(NEXT, text, end)
    return [(key, value)], found.end(), found[1] == "}"


def _match(pattern: re.Pattern[str], text: str, place: int) -> re.Match[str]:
    found = pattern.match(text, place)
    if found is None:
        raise ValueError("it ends too early, or something is missing between two values")
    return found
