"""Rebuild the tracker from the files."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from multisk.params import Tracking
from multisk.resumable import read_json
from multisk.tracking.files import RECORD
from multisk.tracking.mirror import Mirror

GIVE_UP = 3  # failures in a row: the tracker is gone, and each try takes its time


def run_folders(root: Path) -> list[Path]:
    """Return the run folders of a working copy, pipeline and sweeps, parents before their children."""
    places = (root / "runs", root / "sweeps")
    records = {path.parent: read_json(path) for place in places for path in sorted(place.rglob(RECORD))}
    by_key = {record["run_key"]: record for record in records.values()}
    return sorted(records, key=lambda folder: (_depth(records[folder], by_key), folder))


def mirror_all(tracking: Tracking, folders: Iterable[Path]) -> list[Path]:
    """Mirror run folders; return those that the tracker could not be given."""
    mirror, missed, failures = Mirror(tracking), [], 0
    for folder in folders:
        if failures < GIVE_UP and mirror.push(folder):
            failures = 0
        else:
            failures += 1
            missed.append(folder)
    return missed


def _depth(record: Mapping[str, Any], by_key: Mapping[str, Mapping[str, Any]]) -> int:
    depth = 0
    while depth < len(by_key) and record.get("parent") in by_key:
        depth, record = depth + 1, by_key[record["parent"]]
    return depth
