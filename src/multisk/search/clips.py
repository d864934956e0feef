"""Own videos, cut into clips of equal length."""

from math import ceil

import pandas as pd

from multisk.corpora.manifest import CLIP_COLUMNS, Corpus
from multisk.corpora.own import write_own
from multisk.features.store import FeatureStore

SHORTEST = 1.0  # seconds; a shorter rest belongs to the clip before: nobody looks for a few frames


def cut_clips(corpus: Corpus, store: FeatureStore, seconds: float) -> Corpus:
    """Cut the videos that have features into clips of `seconds`, the last one shorter; list these.

    A rest shorter than a second (or than half a clip) makes the clip before it longer.
    """
    known = store.status.drop_duplicates("video_id").set_index("video_id")["seconds"]
    usable = set(store.videos())
    rows = []
    for video_id in corpus.videos["video_id"]:
        if video_id in usable:
            spans = _spans(float(known[video_id]), seconds)
            rows += [(f"{video_id}@{start:g}", video_id, start, end, "test", [""]) for start, end in spans]
    videos = corpus.videos.assign(seconds=corpus.videos["video_id"].map(known))
    clips = pd.DataFrame(rows, columns=list(CLIP_COLUMNS))
    return write_own(corpus.folder, corpus.name, videos, clips, corpus.source)


def _spans(length: float, seconds: float) -> list[tuple[float, float]]:
    count = max(1, ceil(length / seconds))
    if count > 1 and length - (count - 1) * seconds < min(SHORTEST, seconds / 2):
        count -= 1
    starts = [number * seconds for number in range(count)]
    return list(zip(starts, [*starts[1:], max(length, starts[-1] + 1e-3)], strict=True))
