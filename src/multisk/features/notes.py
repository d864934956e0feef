"""Notes in files.csv about files that are fine but for one thing: they end long before they should."""

import pandas as pd

from multisk.features.filetable import FILES
from multisk.features.store import FeatureStore
from multisk.files import write_text

SHORTEST_PART, LONGEST_REST = 0.9, 1.0  # of what the header says; seconds; headers are often a little off


def short_note(decoded: float, promised: float) -> str:
    """Return a note about a file that is much shorter than its header says (NaN: it does not say)."""
    if decoded < SHORTEST_PART * promised and promised - decoded > LONGEST_REST:
        return f"ends after {decoded:.2f} s, its header says {promised:.2f} s: cut off?"
    return ""


def write_notes(table: pd.DataFrame, store: FeatureStore) -> pd.DataFrame:
    """Put the notes of the store's streams into the column `reason` of files.csv; return the table."""
    rows = store.status
    notes = rows[(rows["status"] == "ok") & (rows["reason"] != "")].drop_duplicates("video_id")
    if notes.empty:
        return table
    known = dict(zip(notes["video_id"], notes["reason"], strict=True))
    reasons = [
        known.get(video, reason) if status != "failed" else reason
        for video, status, reason in zip(table["video_id"], table["status"], table["reason"], strict=True)
    ]
    table = table.assign(reason=reasons)
    write_text(store.folder / FILES, table.to_csv(index=False, lineterminator="\n"))
    return table


def count_notes(table: pd.DataFrame) -> str:
    """Say how many files have a note; nothing if none has."""
    count = int(((table["status"] != "failed") & (table["reason"] != "")).sum())
    return f", {count} shorter than the header says" if count else ""
