"""Ways to evaluate what is longer than the clips that a model was trained on.

`at-once`, `clips`, `nearest` and `max-pool` are the released ones, for clips:
- at-once: the clip's features as they come, cut where the benchmark's tokens end
- clips: the clip in equal pieces, embedded one by one and averaged
- nearest, max-pool: tokens spread over the whole clip, single features or maxima of windows

`long-video` searches whole videos. It is chosen here, for the paper describes none: a video is the mean of
its clips' embeddings, of unit length each, and its query is the mean of its captions' embeddings likewise.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from multisk.evaluation.embed import EmbeddedSet, average_rows
from multisk.evaluation.ranking import Metrics, chance_level
from multisk.sampling.tokens import unit_length
from multisk.settings.evaluation import Strategy
from multisk.settings.sampling import BenchmarkClips

LONG_VIDEO = "long-video"
READING: Mapping[str, dict[str, Any]] = {
    "at-once": {"sampling": "clip", "segments": 1},
    "clips": {"sampling": "clip"},
    "nearest": {"sampling": "nearest", "segments": 1},
    "max-pool": {"sampling": "max_pool", "segments": 1},
}
COLUMNS = ("strategy", "direction", "metric", "value", "chance")


def readings(
    strategies: Collection[Strategy], clips: BenchmarkClips, segments: int
) -> Iterator[tuple[str, BenchmarkClips]]:
    """Yield each chosen strategy for clips with how it reads them.

    segments: pieces into which the strategy `clips` cuts a clip
    """
    for strategy in strategies:
        if strategy in READING:
            yield strategy, clips.model_copy(update={"segments": segments, **READING[strategy]})


def long_videos(embedded: EmbeddedSet, video_ids: Sequence[str]) -> EmbeddedSet:
    """Return videos instead of clips: means of their clips' embeddings, of unit length each.

    video_ids: the video of each clip; captions are those of a video's first clip
    """
    row_of, ids = pd.factorize(np.array(video_ids, dtype=object))
    first = np.unique(row_of, return_index=True)[1]
    joint = average_rows({key: unit_length(rows) for key, rows in embedded.joint.items()}, row_of)
    nonempty = average_rows(embedded.nonempty, row_of)
    return EmbeddedSet(
        clip_ids=list(ids),
        captions=[embedded.captions[index] for index in first],
        joint=joint,
        input={},
        nonempty={key: rows > 0 for key, rows in nonempty.items()},
    )


def strategy_table(
    strategy: str, metrics: Mapping[str, Metrics], present: int, complete: int
) -> pd.DataFrame:
    """Return strategy, direction, metric, value, and what random rankings would score (`chance`)."""
    chance = chance_level(present, complete)
    rows = [
        (strategy, direction, metric, value, chance[metric])
        for direction, found in metrics.items()
        for metric, value in found.items()
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS))
