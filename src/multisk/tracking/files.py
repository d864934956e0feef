"""The files of a run folder, and the names of what is in them."""

import json
import re
import time
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

RECORD, STEPS, METRICS = "run.json", "steps.jsonl", "metrics.json"
SYSTEM, PATCH = "system.jsonl", "uncommitted.patch"


def metric_name(name: str) -> str:
    """Return a name as MLflow allows it: `t2v+a` becomes `t2v_a`."""
    return re.sub(r"[^\w\-. :/]", "_", name)


def flatten(nested: Mapping[str, Any], separator: str = "/") -> Iterator[tuple[str, Any]]:
    """Yield (path, value) for each leaf of nested mappings; lists are leaves."""
    for key, value in nested.items():
        if isinstance(value, Mapping):
            yield from ((f"{key}{separator}{path}", leaf) for path, leaf in flatten(value, separator))
        else:
            yield str(key), value


def numbers(nested: Mapping[str, Any]) -> dict[str, float]:
    """Return the leaves of nested mappings that are numbers, by path."""
    return {
        name: value
        for name, value in flatten(nested)
        if isinstance(value, int | float) and not isinstance(value, bool)
    }


def moments(record: Mapping[str, Any]) -> tuple[float, float]:
    """Return when a run began and ended, in seconds since 1970; one that goes on ends now.

    A record without its end is of a run that nothing interrupted, as far as it tells.
    """
    began = datetime.fromisoformat(record["started"]).timestamp()
    if record["status"] == "running":
        return began, time.time()
    if record.get("ended"):
        return began, datetime.fromisoformat(record["ended"]).timestamp()
    return began, began + record["seconds"]


def read_steps(path: Path) -> list[dict[str, float]]:
    """Read steps.jsonl; a last line that a kill cut short is left out."""
    return Tail(path).rows()


class Tail:
    """Reads a file of JSON lines that grows: each call returns the rows since the last one."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._place = 0

    def rows(self) -> list[dict[str, float]]:
        """Return the new rows; a line that a kill cut short is left out."""
        if not self.path.exists():
            return []
        with self.path.open("rb") as file:
            file.seek(self._place)
            content = file.read()
        whole = content[: content.rfind(b"\n") + 1]
        self._place += len(whole)
        return [json.loads(line) for line in whole.splitlines() if line.endswith(b"}")]
