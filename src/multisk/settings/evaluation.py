"""The settings of evaluation."""

from typing import Literal

from multisk.settings import Count, Section

Task = Literal["retrieval"]  # how embeddings become metrics: evaluation/tasks.py
Strategy = Literal["at-once", "clips", "nearest", "max-pool", "long-video"]


class Evaluate(Section):
    """Evaluation on every benchmark."""

    weights: Literal["raw", "ema"]  # as released: the raw weights
    batch_size: Count
    clusters: Count  # of k-means, beside methods that have no anchors to take the number from
    strategies: tuple[Strategy, ...]  # measured beside the settings of a benchmark's `clips`
