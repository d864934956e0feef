"""Rebuild the tracker from the files."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from multisk.files import read_json, write_json
from multisk.settings.tracking import Tracking
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
    """Mirror run folders; return those that the tracker could not be given.

    A run that ended without a tracker is told the id that it has now; the id of an earlier tracker stays.
    """
    mirror, missed, failures = Mirror(tracking), [], 0
    for folder in folders:
        run_id = mirror.push(folder) if failures < GIVE_UP else None
        if run_id:
            failures = 0
            _keep_id(folder, run_id)
        else:
            failures += 1
            missed.append(folder)
    return missed


def _keep_id(folder: Path, run_id: str) -> None:
    record = read_json(folder / RECORD)
    if record["run_id"] is None and record["status"] != "running":  # else its own process writes the record
        write_json(folder / RECORD, {**record, "run_id": run_id})


def _depth(record: Mapping[str, Any], by_key: Mapping[str, Mapping[str, Any]]) -> int:
    depth = 0
    while depth < len(by_key) and record.get("parent") in by_key:
        depth, record = depth + 1, by_key[record["parent"]]
    return depth
