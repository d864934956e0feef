"""Items of a dataset -> a batch.

An item holds the clips of a video (or the segments of a clip) stacked along a first dimension;
a batch is all of them, one after the other.
"""

from collections.abc import Sequence
from typing import Any

import torch

Item = dict[str, Any]
Batch = dict[str, Any]


def collate_videos(items: Sequence[Item]) -> Batch:
    """Join items along their first dimension: tensors [n_i, ...] to [B, ...], lists to one list of B."""
    batch: Batch = {}
    for key, first in items[0].items():
        values = [item[key] for item in items]
        if isinstance(first, torch.Tensor):
            batch[key] = torch.cat(values)
        else:
            batch[key] = [entry for value in values for entry in value]
    return batch


collate_clips = collate_videos
