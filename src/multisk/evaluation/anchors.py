"""Do anchors mean something? Their assignments against what rendered clips are known to show.

Shapes: N clips, K anchors or clusters, D features.
"""

from collections.abc import Iterator
from typing import Literal, NamedTuple

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
SHUFFLES = 20
RESTARTS = 4


class AnchorTables(NamedTuple):
    """What anchors and labels share.

    nmi: modality, space, label, kind, nmi; `kind` is "anchors", "shuffled" (the anchors' assignments in
        random order: the level of no relation) or "k-means" (K clusters of the same features)
    counts: modality, space, label, anchor, value, count; only pairs that occur
    """

    nmi: pd.DataFrame
    counts: pd.DataFrame


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
    embedded: EmbeddedSet, labels: pd.DataFrame, anchors: Anchors | None, clusters: int, seed: int = 0
) -> AnchorTables:
    """Compare the assignments of clips to anchors, and to clusters, with labels.

    embedded: N clips; a clip counts in the modalities that it has
    labels: a row per clip of `embedded`, index clip_id (`label_clips`)
    anchors: the model's anchors, each clip being assigned to the most similar one of its own modality;
        None: a model without, of which only k-means is told
    clusters: number of clusters K for k-means, usually that of the anchors
    """
    labels = labels.loc[embedded.clip_ids]
    rng = np.random.default_rng(seed)
    nmi, counts = [], []
    for modality, space, features_ND, kept_N in _features(embedded):
        place, shown = (modality, space), labels[kept_N]
        clustered = cluster(features_ND, clusters, seed)
        nmi += [(*place, label, "k-means", _nmi(shown[label], clustered)) for label in LABELS]
        if anchors is not None:
            assigned = assign(anchors, space, modality, features_ND)
            nmi += [(*place, label, "anchors", _nmi(shown[label], assigned)) for label in LABELS]
            nmi += [(*place, label, "shuffled", _shuffled(shown[label], assigned, rng)) for label in LABELS]
            counts += [(*place, label, *row) for label in LABELS for row in _count(shown[label], assigned)]
    return AnchorTables(
        pd.DataFrame(nmi, columns=["modality", "space", "label", "kind", "nmi"]),
        pd.DataFrame(counts, columns=["modality", "space", "label", "anchor", "value", "count"]),
    )


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


def _nmi(labels: pd.Series, assigned: np.ndarray) -> float:
    from sklearn.metrics import normalized_mutual_info_score

    return float(normalized_mutual_info_score(labels, assigned))


def _shuffled(labels: pd.Series, assigned: np.ndarray, rng: np.random.Generator) -> float:
    return float(np.mean([_nmi(labels, rng.permutation(assigned)) for _ in range(SHUFFLES)]))


def _count(labels: pd.Series, assigned: np.ndarray) -> Iterator[tuple[int, str, int]]:
    pairs = pd.DataFrame({"anchor": assigned, "value": labels.to_numpy()}).value_counts(sort=False)
    return pairs.reset_index().itertuples(index=False, name=None)
