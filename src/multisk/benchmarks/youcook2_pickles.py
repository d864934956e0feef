"""YouCook2 as released with features.

Pickle: a list of dict with `id`, `2d_full` [n, 2048], `3d_full` [n, 2048], `audio` [40, T], `caption` str.
Items without `2d_full` cannot be used; the validation split has 3350 clips, of which 3339 can.
"""

from pathlib import Path

from multisk.benchmarks.pickles import PublishedClip, arrays_of, captions_of, read_items
from multisk.errors import InputError
from multisk.published.findings import Findings


def read_youcook2(path: Path, split: str, findings: Findings) -> list[PublishedClip]:
    """Read a pickle as the clips of a split, `train` or `validation`.

    A clip without features is kept without arrays: it counts as an error. One without a caption is left out.
    Raises InputError when none is left.
    """
    clips = []
    for clip_id, item in read_items(path, findings).items():
        captions = captions_of(item.get("caption"))[:1]
        if not captions:
            findings.add("clips without captions", f"{path}: {clip_id}: no caption; left out")
            continue
        usable = item.get("2d_full") is not None
        if not usable:
            findings.add("clips without features", f"{path}: {clip_id}: no 2d_full; counts as missing")
        clips.append(
            PublishedClip(clip_id, split, captions, arrays_of(item, "2d_full", "3d_full") if usable else {})
        )
    if not clips:
        raise InputError(f"{path}: caption: no clip has one; is it the right file?")
    return clips
