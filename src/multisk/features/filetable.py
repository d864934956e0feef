"""What became of each file of a corpus: files.csv beside its features.

video_id, file, seconds, status (ok, no audio, failed), reason (of a file that is fine: a note, that it ends
long before it should), and the number of features of each stream
"""

from collections import Counter

import numpy as np
import pandas as pd

from multisk.corpora.manifest import Corpus
from multisk.features.store import FeatureStore
from multisk.features.streams import AUDIO_STREAM
from multisk.files import write_text

FILES = "files.csv"
SHORTEST_PART, LONGEST_REST = 0.9, 1.0  # of what the header says; seconds; headers are often a little off


def short_note(decoded: float, promised: float) -> str:
    """Return a note about a file that is much shorter than its header says (NaN: it does not say)."""
    if decoded < SHORTEST_PART * promised and promised - decoded > LONGEST_REST:
        return f"ends after {decoded:.2f} s, its header says {promised:.2f} s: cut off?"
    return ""


def write_file_table(corpus: Corpus, store: FeatureStore) -> pd.DataFrame:
    """Write a row for each file of the corpus, in its order, to the store's folder; return the table."""
    rows = store.status
    lengths = rows.pivot_table(index="video_id", columns="stream", values="length", aggfunc="first")
    videos = rows.drop_duplicates("video_id").set_index("video_id")
    failed = _reasons(rows[rows["status"] == "failed"])
    notes = _reasons(rows[(rows["status"] == "ok") & (rows["reason"] != "")])
    silent = set(rows.loc[(rows["stream"] == AUDIO_STREAM) & (rows["status"] == "absent"), "video_id"])
    table = pd.DataFrame({"video_id": corpus.videos["video_id"]})
    table["file"] = [str(corpus.path(video)) for video in table["video_id"]]
    table["seconds"] = table["video_id"].map(videos["seconds"]).round(3)
    table["status"] = np.where(table["video_id"].isin(silent), "no audio", "ok")
    table.loc[table["video_id"].isin(failed), "status"] = "failed"
    reasons = {**notes, **failed}
    table["reason"] = [reasons.get(video, "") for video in table["video_id"]]
    table = table.join(lengths[store.streams()], on="video_id")
    write_text(store.folder / FILES, table.to_csv(index=False, lineterminator="\n"))
    return table


def read_file_table(store: FeatureStore) -> pd.DataFrame:
    """Read what `write_file_table` wrote."""
    return pd.read_csv(store.folder / FILES, keep_default_na=False)


def summary(table: pd.DataFrame) -> str:
    """Count the files that are fine, those without audio, those that failed by kind, and those too short."""
    counts = Counter(table["status"])
    kinds = Counter(_kind(reason) for reason in table.loc[table["status"] == "failed", "reason"])
    parts = [f"{counts['ok']} ok", f"{counts['no audio']} no audio", f"{counts['failed']} failed"]
    reasons = "; ".join(f"{count} x {kind}" for kind, count in kinds.most_common())
    noted = int(((table["status"] != "failed") & (table["reason"] != "")).sum())
    short = f", {noted} shorter than the header says" if noted else ""
    return ", ".join(parts) + (f" ({reasons})" if reasons else "") + short


def _reasons(rows: pd.DataFrame) -> dict[str, str]:
    first = rows.drop_duplicates("video_id")
    return dict(zip(first["video_id"], first["reason"], strict=True))


def _kind(reason: str) -> str:
    # Where a file is damaged differs from file to file; what the decoder said of it does not.
    return reason if "damaged after" not in reason else "damaged midway " + reason.partition(" s ")[2]
