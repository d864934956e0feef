"""The csv that lists the videos of HowTo100M."""

from pathlib import Path, PurePosixPath

from multisk.errors import InputError
from multisk.published.findings import Findings
from multisk.published.tables import read_csv

COLUMNS = ("path", "video_path", "video_id")


def read_listing(path: Path, findings: Findings) -> dict[str, str]:
    """Return id -> path of the videos that a csv lists, in its order; the release's `None/` is removed.

    Rows that leave the folder and repeated ids are noted and left out.
    Raises InputError when the file cannot be read or lists nothing.
    """
    table = read_csv(path)
    column = next((name for name in COLUMNS if name in table), None)
    if column is None:
        raise InputError(f"{path}: {COLUMNS[0]}: no such column; the csv lists one video a row in it")
    listed: dict[str, str] = {}
    for row, entry in enumerate(table[column], start=2):
        place = PurePosixPath(entry.strip().removeprefix("None/"))
        video_id = place.stem if column == "video_path" else place.name
        if place.is_absolute() or ".." in place.parts or "\0" in entry or not video_id:
            problem = f"{entry!r} leaves the folder" if entry else "no path, or more fields than columns"
            findings.add("unusable paths", f"{path}: line {row}: {problem}; left out")
        elif video_id in listed:
            findings.add("repeated videos", f"{path}: line {row}: {video_id} stands there before; left out")
        else:
            listed[video_id] = str(place)
    if not listed:
        raise InputError(f"{path}: {column}: lists no video")
    return listed
