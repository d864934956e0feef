"""The files of a run folder, and the names of what is in them."""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

RECORD, STEPS, METRICS, PATCH = "run.json", "steps.jsonl", "metrics.json", "uncommitted.patch"


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


def read_steps(path: Path) -> list[dict[str, float]]:
    """Read steps.jsonl; a last line that a kill cut short is left out."""
    if not path.exists():
        return []
    lines = path.read_text().splitlines(keepends=True)
    return [json.loads(line) for line in lines if line.endswith("}\n")]
