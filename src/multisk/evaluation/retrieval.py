"""Retrieval between all modalities and their pairs (paper: evaluation)."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pandas as pd

from multisk.evaluation.embed import Arrays, EmbeddedSet
from multisk.evaluation.ranking import Metrics, metrics_of, query_ranks
from multisk.sampling.tokens import unit_length

# Disjoint modalities or pairs; each is searched both ways: 18 directions where pairs are fused, else 12.
PAIRS = (
    ("t", "v"), ("t", "a"), ("v", "a"),
    ("t", "va"), ("v", "ta"), ("a", "tv"),
    ("t", "v+a"), ("v", "t+a"), ("a", "t+v"),
)  # fmt: skip


class Retrieval(NamedTuple):
    """The outcome of all directions.

    metrics: by direction (`t2va`), then by name (`R1`)
    ranks: clip_id, direction, rank; a row per query and direction
    """

    metrics: dict[str, Metrics]
    ranks: pd.DataFrame


def retrieve(embedded: EmbeddedSet, complete_size: int | None = None) -> Retrieval:
    """Search each clip's counterpart among all clips, in every direction that the embeddings allow.

    complete_size: clips in the whole benchmark, of which missing ones count as errors (default: N)
    """
    metrics, frames = {}, []
    for direction, ranks in directions(embedded.joint):
        metrics[direction] = metrics_of(ranks, complete_size)
        frames.append(pd.DataFrame({"clip_id": embedded.clip_ids, "direction": direction, "rank": ranks}))
    return Retrieval(metrics, pd.concat(frames, ignore_index=True))


def directions(joint: Arrays) -> Iterator[tuple[str, np.ndarray]]:
    """Give each direction's name with the ranks of the right answers, f64 [N]."""
    for query, answer in PAIRS:
        if query in joint and answer in joint:
            sim_NN = similarity(joint[query], joint[answer])
            yield f"{query}2{answer}", query_ranks(sim_NN)
            yield f"{answer}2{query}", query_ranks(sim_NN.T)


def similarity(x_ND: np.ndarray, y_MD: np.ndarray) -> np.ndarray:
    """Return the cosine similarities [N, M] of rows."""
    return unit_length(x_ND) @ unit_length(y_MD).T
