"""Annotation files from elsewhere, read as text: what the values mean is for their readers to check."""

import json
import math
from pathlib import Path
from typing import Any

import pandas as pd

from multisk.errors import InputError, one_line


def read_csv(path: Path, columns: tuple[str, ...] = ()) -> pd.DataFrame:
    """Read a csv with all values as str; raise InputError when it cannot be, or lacks one of `columns`."""
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as csv: {one_line(error)}") from None
    for column in columns:
        if column not in table:
            raise InputError(f"{path}: {column}: no such column; expected {', '.join(columns)}")
    return table


def read_json(path: Path) -> Any:
    """Read JSON; raise InputError when it cannot be."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path}: cannot be read as JSON: {one_line(error)}") from None


def read_settings(path: Path) -> Any:
    """Read a settings file, JSON or YAML, as plain data; raise InputError when it cannot be."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        text = path.read_text(encoding="utf-8")
        # Indented with tabs, JSON is no YAML.
        return json.loads(text) if text.lstrip().startswith("{") else YAML(typ="safe", pure=True).load(text)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; check the path") from None
    except (OSError, ValueError, RecursionError, YAMLError) as error:
        reason = one_line(error)[:200]
        raise InputError(f"{path}: cannot be read as JSON or YAML ({reason}); check the file") from None


def as_number(value: Any) -> float:
    """Return a value as float, NaN for what is no number."""
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return math.nan
