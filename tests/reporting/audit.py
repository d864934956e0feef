"""Checks a site against the files that it names: every number, from its cell to the run that made it.

What a cell says of itself (`data-file`, `data-key`, `data-made`; see `cells.Origin`) is looked up again,
apart from the code that wrote it.
"""

import csv
import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from statistics import fmean, stdev
from typing import Any
from urllib.parse import parse_qsl

from multisk.reporting.studies import interval

FACTS = ("table-datasets", "table-extractors")  # tables that describe and measure nothing
NUMBER = re.compile(r"[-+−]?\d[\d,]*\.?\d*(?:e[-+]?\d+)?")
VOID = {"meta", "link", "img", "br", "hr", "input"}


@dataclass
class Claimed:
    """Something that a page says with where it stands, and the runs that its row links to."""

    page: str
    table: str
    text: str = ""
    attributes: dict[str, str] = field(default_factory=dict)
    runs: list[str] = field(default_factory=list)  # shared by the cells of a row
    number: bool = False  # it is a cell of a column of numbers

    @property
    def is_traced(self) -> bool:
        """Tell whether it names its file."""
        return "data-file" in self.attributes


class _Reader(HTMLParser):
    """Collects the cells of tables and whatever else names a file."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.page, self.table = page, ""
        self.found: list[Claimed] = []
        self._runs: list[str] = []
        self._open: list[tuple[str, Claimed | None]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = {key: value or "" for key, value in attrs}
        if tag == "table":
            self.table = attributes.get("id", "")
        if tag in ("tr", "p"):
            self._runs = []
        if tag == "a" and attributes.get("href", "").startswith("runs.html#run-"):
            self._runs.append(attributes["href"].partition("#run-")[2])
        claimed = None
        if tag == "td" or "data-file" in attributes:
            number = tag == "td" and attributes.get("class") != "word"
            claimed = Claimed(self.page, self.table, "", attributes, self._runs, number)
            self.found.append(claimed)
        if tag not in VOID:
            self._open.append((tag, claimed))

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop()[0] != tag:
            pass
        self.table = "" if tag == "table" else self.table

    def handle_data(self, data: str) -> None:
        for _, claimed in self._open:
            if claimed is not None:
                claimed.text += data


def claimed_by(page: Path) -> list[Claimed]:
    """Return all cells of a page's tables, and what else on it names a file."""
    reader = _Reader(page.name)
    reader.feed(page.read_text(encoding="utf-8"))
    for claimed in reader.found:
        claimed.text = " ".join(claimed.text.split())
    return reader.found


def problems(root: Path) -> Iterator[str]:
    """Yield what is wrong with the numbers of the site in `root`, a line each."""
    for page in sorted((root / "reports" / "site").glob("*.html")):
        for claimed in claimed_by(page):
            place = f"{claimed.page}: {claimed.table}: {claimed.text!r}"
            if claimed.is_traced:
                wrong = _wrong(claimed, root)
                if wrong:
                    yield f"{place}: {wrong}"
            elif claimed.number and claimed.table not in FACTS and re.match(r"[-+−<]?\d", claimed.text):
                yield f"{place}: names no file"


def _wrong(claimed: Claimed, root: Path) -> str:
    """Return why a text is not what its file says, or nothing."""
    made = claimed.attributes.get("data-made", "value")
    try:
        found = found_values(root, claimed.attributes["data-file"], claimed.attributes["data-key"])
        expected = made_of(found, made)
    except (KeyError, ValueError, IndexError, OSError) as error:
        return f"cannot be looked up: {type(error).__name__}: {error}"
    if isinstance(expected, str):
        return "" if claimed.text == expected else f"the file says {expected!r}"
    if claimed.text.startswith("<"):
        return "" if expected[0] < _numbers(claimed.text)[0][0] else f"the file says {expected}"
    shown = _numbers(claimed.text)
    same = len(shown) == len(expected) and all(
        abs(value - number) <= unit / 2 + 1e-9 * abs(number) + 1e-12
        for (value, unit), number in zip(shown, expected, strict=True)
    )
    return "" if same else f"the files say {expected}"


def _numbers(text: str) -> list[tuple[float, float]]:
    """Return the numbers of a text, each with the unit of its last digit."""
    found = []
    for part in NUMBER.findall(text):
        plain = part.replace("−", "-").replace(",", "")
        digits, _, power = plain.partition("e")
        decimals = len(digits.partition(".")[2])
        found.append((float(plain), 10.0 ** (int(power or 0) - decimals)))
    return found


def made_of(found: list[list[Any]], made: str) -> list[float] | str:
    """Return the numbers that a cell shows, made of the values found for each pair of file and key."""
    values = [value for part in found for value in part]
    if made == "value":
        return str(values[0]) if isinstance(values[0], str) else [float(values[0])]
    if made == "values":
        return [float(value) for value in values]
    if made in ("mean", "largest"):
        return [float(fmean(values) if made == "mean" else max(values))]
    if made == "seconds":
        return [sum(float(value or 0) for value in values)]
    if made == "minutes":
        return [sum(float(value or 0) for value in values) / 60]
    if made == "mean ± sd":
        return [fmean(values), stdev(values)]
    if made == "mean [interval]":
        return [fmean(values), *interval(values)]
    gaps = [ours - theirs for ours, theirs in zip(*found, strict=True)]
    return gaps if made == "differences" else [fmean(gaps)]


def found_values(root: Path, files: str, keys: str) -> list[list[Any]]:
    """Return the values of each pair of file and key."""
    paths, names = files.split(" "), keys.split(" ")
    length = max(len(paths), len(names))
    pairs = zip(
        paths * (length if len(paths) == 1 else 1), names * (length if len(names) == 1 else 1), strict=True
    )
    return [
        [value for one in _alternatives(key) for value in _look_up(root / path, one)] for path, key in pairs
    ]


def _alternatives(key: str) -> list[str]:
    before, brace, rest = key.partition("{")
    if not brace:
        return [key]
    choices, _, after = rest.partition("}")
    return [before + choice + after for choice in choices.split(",")]


def _look_up(path: Path, key: str) -> list[Any]:
    if path.suffix in (".parquet", ".csv"):
        return _rows(path, key)
    value: Any = _nested(path, path.stat().st_mtime_ns)
    for part in key.split("/"):
        value = value[int(part)] if isinstance(value, list) else value[part]
    return [value]


def _rows(path: Path, key: str) -> list[Any]:
    name, _, query = key.partition("?")
    wanted = dict(parse_qsl(query))
    rows = _table(path, path.stat().st_mtime_ns)
    chosen = [row for row in rows if all(str(row[column]) == value for column, value in wanted.items())]
    if not chosen:
        raise KeyError(f"no row with {query}")
    values = [row[name] for row in chosen]
    kept = [value for value in values if not (isinstance(value, float) and math.isnan(value))]
    return [_number(value) for value in kept]


def _number(value: Any) -> Any:
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return value
    return value


@cache
def _table(path: Path, changed: int) -> list[dict[str, Any]]:
    if path.suffix == ".csv":
        with path.open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))
    import pyarrow.parquet as pq

    return pq.read_table(path).to_pylist()


@cache
def _nested(path: Path, changed: int) -> Any:
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".json":
        return json.loads(text)
    from ruamel.yaml import YAML

    return YAML(typ="safe", pure=True).load(text)
