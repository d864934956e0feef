"""The settings of evaluation."""

from typing import Literal

from multisk.settings import Count, Section


class Segments(Section):
    """Into how many pieces the strategy `clips` cuts a clip."""

    youcook2: Count
    msrvtt: Count


Strategy = Literal["at-once", "clips", "nearest", "max-pool", "long-video"]


class Evaluate(Section):
    """Retrieval evaluation."""

    weights: Literal["raw", "ema"]  # as released: the raw weights
    batch_size: Count
    clusters: Count  # of k-means, beside methods that have no anchors to take the number from
    strategies: tuple[Strategy, ...]  # measured beside the settings of `clips`
    segments: Segments
