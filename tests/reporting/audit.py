"""Checks a site against the files that it names: every number, from its cell to the run that made it.

What a cell says of itself (`data-file`, `data-key`, `data-made`; see `cells.Origin`) is looked up again,
apart from the code that wrote it.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from statistics import fmean, stdev
from typing import Any
from urllib.parse import parse_qsl

import pandas as pd
from tests.reporting.markup import Element, parse

from multisk.reporting.studies import interval

FACTS = ("table-datasets", "table-extractors")  # tables that describe and measure nothing
NUMBER = re.compile(r"[-+−]?\d[\d,]*\.?\d*(?:e[-+]?\d+)?")


@dataclass(frozen=True)
class Claimed:
    """Something that a page says with where it stands, and the runs that its row links to."""

    page: str
    table: str
    text: str
    attributes: dict[str, str]
    runs: list[str]
    number: bool  # it is a cell of a column of numbers

    @property
    def is_traced(self) -> bool:
        """Tell whether it names its file."""
        return "data-file" in self.attributes


def claimed_by(page: Path) -> list[Claimed]:
    """Return all cells of a page's tables, and what else on it names a file."""
    return list(_claimed(parse(page.read_text(encoding="utf-8")), page.name, "", []))


def _claimed(element: Element, page: str, table: str, runs: list[str]) -> Iterator[Claimed]:
    if element.tag == "table":
        table = element.attributes["id"]
    if element.tag in ("tr", "p"):
        targets = (link.attributes["href"].partition("#run-") for link in element.all("a"))
        runs = [run for file, _, run in targets if file == "runs.html" and run]
    if element.tag == "td" or "data-file" in element.attributes:
        number = element.tag == "td" and element.attributes.get("class") != "word"
        yield Claimed(page, table, element.text, element.attributes, runs, number)
    for child in element.elements:
        yield from _claimed(child, page, table, runs)


def problems(root: Path) -> Iterator[str]:
    """Yield what is wrong with the numbers of the site in `root`, a line each."""
    for page in sorted((root / "reports" / "site").glob("*.html")):
        for claimed in claimed_by(page):
            wrong = problem(claimed, root)
            if wrong:
                yield f"{claimed.page}: {claimed.table}: {claimed.text!r}: {wrong}"


def problem(claimed: Claimed, root: Path) -> str:
    """Return why something is not what its file says, or nothing."""
    if claimed.is_traced:
        return _wrong(claimed, root)
    untraced = claimed.number and claimed.table not in FACTS and re.match(r"[-+−<]?\d", claimed.text)
    return "names no file" if untraced else ""


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
    rows = _table(path, path.stat().st_mtime_ns)
    for column, value in parse_qsl(query):
        rows = rows[rows[column].astype(str) == value]
    if rows.empty:
        raise KeyError(f"no row with {query}")
    return rows[name].dropna().tolist()


@cache
def _table(path: Path, changed: int) -> pd.DataFrame:
    if path.suffix == ".csv":
        return pd.read_csv(path, dtype_backend="numpy_nullable")
    return pd.read_parquet(path)


@cache
def _nested(path: Path, changed: int) -> Any:
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".json":
        return json.loads(text)
    from ruamel.yaml import YAML

    return YAML(typ="safe", pure=True).load(text)
