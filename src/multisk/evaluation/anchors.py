"""Do anchors mean something? Their assignments against what rendered clips are known to show.

Shapes: N clips, K anchors or clusters, D features.
"""

from collections.abc import Iterator, Sequence
from itertools import product
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd
import torch

from multisk.errors import InputError
from multisk.evaluation.embed import EmbeddedSet
from multisk.models.anchors import Anchors
from multisk.sampling.tokens import unit_length

LABELS = ("action", "thing", "place")
MODALITIES = ("t", "v", "a")
SPACES: tuple[Literal["input", "joint"], ...] = ("input", "joint")
GROUPS = 20  # of videos, left out one at a time by the jackknife
ALL_CLIPS = -1
RESTARTS = 4


class AnchorTables(NamedTuple):
    """What anchors and labels share.

    nmi: modality, space, label, kind, nmi, ami; `kind` is "anchors", "shuffled" (what the assignments to
        anchors would share in random order, in expectation) or "k-means" (K clusters of the same features)
    counts: modality, space, label, anchor, value, count; only pairs that occur
    jackknife: group, and as nmi: the same without the videos of one group; ALL_CLIPS leaves none out
    """

    nmi: pd.DataFrame
    counts: pd.DataFrame
    jackknife: pd.DataFrame


class Information(NamedTuple):
    """What two partitions share, from 0 to 1: as it is, expected of random order, and corrected for that."""

    nmi: float
    expected_nmi: float
    ami: float


def label_clips(rows: pd.DataFrame, truth: pd.DataFrame) -> pd.DataFrame:
    """Return what each clip shows in most of its seconds: action, thing, place, one row per clip.

    rows: clip_id, video_id, start, end (seconds) of clips; the result has their order and clip_id as index
    truth: video_id, second, action, thing, place

    Raises InputError for a clip of which nothing is known.
    """
    seconds = dict(iter(truth.groupby("video_id")))
    labels = []
    for clip_id, video_id, start, end in rows[["clip_id", "video_id", "start", "end"]].itertuples(
        index=False
    ):
        table = seconds.get(video_id, truth.iloc[:0])
        middle = table["second"] + 0.5
        shown = table[(middle >= start) & (middle < end)]
        if shown.empty:
            raise InputError(f"truth.parquet: video_id: clip {clip_id!r} of {video_id!r} is not described")
        labels.append(shown[list(LABELS)].mode().iloc[0])
    return pd.DataFrame(labels).set_index(pd.Index(rows["clip_id"], name="clip_id"))


def compare_with_labels(
    embedded: EmbeddedSet,
    labels: pd.DataFrame,
    anchors: Anchors | None,
    clusters: int,
    videos: Sequence[str],
    seed: int = 0,
) -> AnchorTables:
    """Compare the assignments of clips to anchors, and to clusters, with labels.

    embedded: N clips; a clip counts in the modalities that it has
    labels: a row per clip of `embedded`, index clip_id (`label_clips`)
    anchors: the model's anchors, each clip being assigned to the most similar one of its own modality;
        None: a model without, of which only k-means is told
    clusters: number of clusters K for k-means, usually that of the anchors
    videos: the video of each clip; the jackknife leaves out whole videos
    """
    labels = labels.loc[embedded.clip_ids]
    group_N = pd.factorize(np.array(videos, dtype=object), sort=True)[0] % GROUPS
    groups = int(group_N.max()) + 1
    shared, counts = [], []
    for modality, space, features_ND, kept_N in _features(embedded):
        assigned = {"k-means": cluster(features_ND, clusters, seed)}
        if anchors is not None:
            assigned["anchors"] = assign(anchors, space, modality, features_ND)
        for label, kind in product(LABELS, assigned):
            shown = labels[kept_N][label]
            place = (modality, space, label)
            pieces = _shared(shown, assigned[kind], group_N[kept_N], groups, kind)
            shared += [(group, *place, *row) for group, row in pieces]
            if kind == "anchors":
                counts += [(*place, *row) for row in _count(shown, assigned[kind])]
    jackknife = pd.DataFrame(shared, columns=["group", "modality", "space", "label", "kind", "nmi", "ami"])
    complete = jackknife[jackknife["group"] == ALL_CLIPS]
    return AnchorTables(
        complete.drop(columns="group").reset_index(drop=True),
        pd.DataFrame(counts, columns=["modality", "space", "label", "anchor", "value", "count"]),
        jackknife,
    )


def information(labels: Sequence[Any] | pd.Series, assigned: np.ndarray) -> Information:
    """Return the mutual information of labels and assignments, divided by the mean of their entropies.

    AMI is NMI corrected for chance (Vinh et al., JMLR 2010); its expectation in random order is exact.
    """
    from sklearn.metrics.cluster import expected_mutual_information

    values, kinds = pd.factorize(np.asarray(labels, dtype=object))[0], pd.factorize(assigned)[0]
    table_VK = np.zeros((values.max() + 1, kinds.max() + 1), np.int64)
    np.add.at(table_VK, (values, kinds), 1)
    count = len(values)
    entropy_V, entropy_K = _entropy(table_VK.sum(axis=1)), _entropy(table_VK.sum(axis=0))
    mutual = entropy_V + entropy_K - _entropy(table_VK.ravel())
    expected = expected_mutual_information(table_VK, count)
    mean = (entropy_V + entropy_K) / 2
    if table_VK.shape in ((1, 1), (count, count)):  # all the same, or all apart: no other order is possible
        return Information(1.0, 1.0, 1.0)
    return Information(mutual / mean, expected / mean, (mutual - expected) / (mean - expected))


def assign(
    anchors: Anchors, space: Literal["input", "joint"], modality: str, features_ND: np.ndarray
) -> np.ndarray:
    """Return the most similar anchor of each row, int [N]."""
    with torch.inference_mode():
        features = torch.from_numpy(features_ND).to(anchors.input[modality].device)
        return anchors.similarity(space, modality, features).argmax(dim=1).cpu().numpy()


def cluster(features_ND: np.ndarray, clusters: int, seed: int) -> np.ndarray:
    """Return the k-means cluster of each row, int [N]; as many clusters as rows at most."""
    from sklearn.cluster import KMeans

    count = min(clusters, len(np.unique(features_ND, axis=0)))
    return KMeans(count, n_init=RESTARTS, random_state=seed).fit_predict(features_ND)


def _features(
    embedded: EmbeddedSet,
) -> Iterator[tuple[str, Literal["input", "joint"], np.ndarray, np.ndarray]]:
    for modality in MODALITIES:
        for space in SPACES:
            features = getattr(embedded, space)
            kept_N = embedded.nonempty.get(modality)
            if modality in features and kept_N is not None and kept_N.any():
                yield modality, space, unit_length(features[modality][kept_N]), kept_N


def _shared(
    labels: pd.Series, assigned: np.ndarray, group_N: np.ndarray, groups: int, kind: str
) -> Iterator[tuple[int, tuple[str, float, float]]]:
    """Yield (group, (kind, nmi, ami)) for all clips and without each group of videos."""
    shown = labels.to_numpy()
    for group in (ALL_CLIPS, *range(groups)):
        kept = group_N != group
        if not kept.any():
            continue
        found = information(shown[kept], assigned[kept])
        yield group, (kind, found.nmi, found.ami)
        if kind == "anchors":
            yield group, ("shuffled", found.expected_nmi, 0.0)


def _entropy(counts: np.ndarray) -> float:
    shares = counts[counts > 0] / counts.sum()
    return float(-(shares * np.log(shares)).sum())


def _count(labels: pd.Series, assigned: np.ndarray) -> Iterator[tuple[int, str, int]]:
    pairs = pd.DataFrame({"anchor": assigned, "value": labels.to_numpy()}).value_counts(sort=False)
    return pairs.reset_index().itertuples(index=False, name=None)
