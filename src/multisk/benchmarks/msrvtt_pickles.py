"""MSR-VTT as released with features, and the lists of its 1k-A split.

Pickle: a list of dict with `id`, `2d` [n, 2048], `3d` [n, 2048], `audio` [40, T], and `eval_caption` str
(test) or `caption` list of str (training). The test pickle has 968 of the 1000 clips.
"""

from collections.abc import Iterable
from pathlib import Path

from multisk.benchmarks.pickles import PublishedClip, arrays_of, captions_of, read_items
from multisk.errors import InputError
from multisk.published.findings import Findings
from multisk.published.tables import read_csv

CAPTION = {"train": "caption", "test": "eval_caption"}


def read_msrvtt(path: Path, split: str, findings: Findings) -> list[PublishedClip]:
    """Read a pickle as the clips of a split, `train` or `test`; clips without a caption are left out.

    Raises InputError when none is left.
    """
    clips, key = [], CAPTION[split]
    for clip_id, item in read_items(path, findings).items():
        captions = captions_of(item.get(key))
        if captions:
            arrays = arrays_of(item, "2d", "3d")
            clips.append(
                PublishedClip(clip_id, split, captions if split == "train" else captions[:1], arrays)
            )
        else:
            findings.add("clips without captions", f"{path}: {clip_id}: no {key}; left out")
    if not clips:
        raise InputError(f"{path}: {key}: no clip has one; is it the pickle of the other split?")
    return clips


def read_test_list(path: Path, findings: Findings) -> dict[str, str]:
    """Return video id -> caption of a 1k-A list (csv with the columns video_id, sentence), in its order.

    Rows without either and repeated ids are noted and left out. Raises InputError for any other file.
    """
    table = read_csv(path, ("video_id", "sentence"))
    captions: dict[str, str] = {}
    rows = zip(table["video_id"], table["sentence"], strict=True)
    for line, (video_id, sentence) in enumerate(rows, start=2):
        if not video_id.strip() or not sentence.strip():
            findings.add("empty rows", f"{path}: line {line}: no video_id or no sentence; left out")
        elif video_id in captions:
            findings.add("repeated rows", f"{path}: line {line}: {video_id} stands there before; left out")
        else:
            captions[video_id] = sentence
    return captions


def read_train_list(path: Path) -> list[str]:
    """Return the ids of a training list (csv with the column video_id)."""
    return list(dict.fromkeys(read_csv(path, ("video_id",))["video_id"]))


def missing_clips(clips: Iterable[PublishedClip], listed: dict[str, str]) -> list[PublishedClip]:
    """Return the test clips that a 1k-A list has and `clips` lacks: without arrays, they count as errors."""
    present = {clip.clip_id for clip in clips}
    return [
        PublishedClip(video_id, "test", (caption,), {})
        for video_id, caption in listed.items()
        if video_id not in present
    ]
