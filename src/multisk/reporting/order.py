"""The order in which the site shows things."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import product
from typing import Any

import pandas as pd

from multisk.reporting import wording
from multisk.results import ordered
from multisk.settings.benchmarks import SETTINGS

PREFERRED: Mapping[str, Sequence[str]] = {
    "setting": SETTINGS,
    "stage": ("pretrain", "finetune"),
    "space": ("input", "joint"),
    "modality": tuple(wording.MODALITIES),
    "label": ("action", "thing", "place"),
    "method": ("sspc",),
    "kind": ("anchors", "k-means", "shuffled"),
}


def groups(
    data: pd.DataFrame, keys: Sequence[str], benchmarks: Iterable[str] = ()
) -> Iterator[tuple[tuple[Any, ...], pd.DataFrame]]:
    """Yield the groups in the page's order: pretraining before fine-tuning, zero-shot before fine-tuned.

    benchmarks: their order
    """
    preferred = {**PREFERRED, "benchmark": ("", *benchmarks)}
    values = [ordered(data[key], preferred.get(key, ())) for key in keys]
    for group in product(*values):
        rows = data
        for key, value in zip(keys, group, strict=True):
            rows = rows[rows[key] == value]
        if len(rows):
            yield group, rows
