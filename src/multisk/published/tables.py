"""Annotation files from elsewhere, read as text: what the values mean is for their readers to check."""

import csv
import json
import math
from itertools import chain
from pathlib import Path
from typing import Any

import pandas as pd

from multisk.errors import InputError, one_line

TEXTS = ("text", "sentence", "caption")  # columns in which a comma may be part of the value
END = "end of file"  # a last row of our own: within quotation marks that are never closed it is not seen


def read_csv(path: Path, columns: tuple[str, ...] = ()) -> pd.DataFrame:
    """Read a csv with all values as str; raise InputError when it cannot be, or lacks one of `columns`.

    Commas of a text that stands there without quotes belong to it. Where a row has more fields than the
    header and nothing tells which of them belong together, its values are empty, so that its reader names
    the line as one without content; what a shorter row lacks is empty too.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = list(filter(None, csv.reader(chain(file, [END]))))
    except (OSError, ValueError, csv.Error) as error:
        raise InputError(f"{path}: cannot be read as csv: {one_line(error)}") from None
    if rows.pop() != [END]:
        raise InputError(f"{path}: cannot be read as csv: a quotation mark is never closed")
    if not rows:
        raise InputError(f"{path}: cannot be read as csv: it is empty")
    header = rows.pop(0)
    texts = [place for place, name in enumerate(header) if name in TEXTS]
    fitting = [_fitted(row, len(header), texts) for row in rows]
    places = {name: header.index(name) for name in header}
    table = pd.DataFrame({name: [row[place] for row in fitting] for name, place in places.items()}, dtype=str)
    for column in columns:
        if column not in table:
            raise InputError(f"{path}: {column}: no such column; expected {', '.join(columns)}")
    return table


def _fitted(row: list[str], width: int, texts: list[int]) -> list[str]:
    """Return a row with `width` fields; `texts` are the places of those that may have commas in them."""
    while len(row) > width and not row[-1]:
        row = row[:-1]
    surplus = len(row) - width
    if surplus <= 0:
        return row + [""] * -surplus
    if len(texts) != 1:
        return [""] * width
    begin, stop = texts[0], texts[0] + surplus + 1
    return [*row[:begin], ",".join(row[begin:stop]), *row[stop:]]


def read_json(path: Path) -> Any:
    """Read JSON; raise InputError when it cannot be."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path}: cannot be read as JSON: {one_line(error)}") from None


def as_number(value: Any) -> float:
    """Return a value as float, NaN for what is no number."""
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return math.nan
