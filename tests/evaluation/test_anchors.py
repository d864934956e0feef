import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.metrics import adjusted_mutual_info_score, normalized_mutual_info_score

from multisk.errors import InputError
from multisk.evaluation.anchors import (
    ALL_CLIPS,
    assign,
    cluster,
    compare_with_labels,
    information,
    label_clips,
)
from multisk.evaluation.embed import EmbeddedSet
from multisk.models.anchors import Anchors

THINGS = ("carrot", "onion", "bread")
VIDEOS = [f"video-{index // 2}" for index in range(60)]


def sorted_set(clips: int = 60) -> tuple[EmbeddedSet, pd.DataFrame, Anchors]:
    """Features are noisy one-hot codes of the thing; action and place are noise.

    Anchors are the codes, in another order for text than for the others.
    """
    rng = np.random.RandomState(0)
    things = rng.randint(len(THINGS), size=clips)
    codes = (np.eye(3)[things] + 0.05 * rng.randn(clips, 3)).astype(np.float32)
    ids = [f"clip-{index}" for index in range(clips)]
    labels = pd.DataFrame({"thing": [THINGS[thing] for thing in things]}, index=ids)
    labels["action"], labels["place"] = rng.choice(["cut", "stir"], clips), rng.choice(["in", "out"], clips)
    anchors = Anchors(3, 3, 3)
    for group in (anchors.input, anchors.joint):
        for modality, parameter in group.items():
            parameter.data = 5 * torch.eye(3).roll(int(modality == "t"), dims=0)
    nonempty = {"t": np.arange(clips) >= 10, "v": np.ones(clips, bool), "a": np.zeros(clips, bool)}
    features = {"t": codes, "v": codes, "a": codes}
    joint = {**features, "va": codes, "v+a": codes}
    return EmbeddedSet(ids, ids, joint, features, nonempty), labels, anchors


def test_anchors_that_know_things_say_so() -> None:
    embedded, labels, anchors = sorted_set()
    nmi, counts, _ = compare_with_labels(embedded, labels, anchors, clusters=3, videos=VIDEOS)
    table = nmi.set_index(["modality", "space", "label", "kind"])["nmi"]
    assert set(nmi["modality"]) == {"t", "v"}
    assert set(nmi["space"]) == {"input", "joint"}
    for modality in ("t", "v"):
        assert table[modality, "joint", "thing", "anchors"] == pytest.approx(1)
        assert table[modality, "joint", "thing", "k-means"] == pytest.approx(1)
        assert table[modality, "joint", "thing", "shuffled"] < 0.15
        assert table[modality, "joint", "place", "anchors"] < 0.15
    shown = counts.query("modality == 'v' and space == 'input' and label == 'thing'")
    assert dict(zip(shown["anchor"], shown["value"], strict=True)) == dict(enumerate(THINGS))
    assert shown["count"].sum() == 60
    said = counts.query("modality == 't' and space == 'joint' and label == 'thing'")
    assert dict(zip(said["anchor"], said["value"], strict=True)) == {0: "bread", 1: "carrot", 2: "onion"}


@pytest.mark.parametrize("clusters", [1, 2, 5, 40])
def test_information_is_that_of_scikit_learn(clusters: int) -> None:
    rng = np.random.default_rng(clusters)
    labels = rng.choice(THINGS, 120)
    assigned = (rng.integers(clusters, size=120) + (labels == "onion")) % clusters
    found = information(labels, assigned)
    assert found.nmi == pytest.approx(normalized_mutual_info_score(labels, assigned))
    assert found.ami == pytest.approx(adjusted_mutual_info_score(labels, assigned))
    shuffled = [normalized_mutual_info_score(labels, rng.permutation(assigned)) for _ in range(300)]
    error = np.std(shuffled) / np.sqrt(300)
    assert found.expected_nmi == pytest.approx(np.mean(shuffled), abs=5 * error + 1e-9)


def test_clusters_of_one_kind_of_clips_share_everything() -> None:
    assert information(["onion"] * 3, np.zeros(3, int)) == (1.0, 1.0, 1.0)


def test_random_order_shares_nothing_beyond_chance() -> None:
    embedded, labels, anchors = sorted_set()
    nmi = compare_with_labels(embedded, labels, anchors, clusters=3, videos=VIDEOS).nmi
    assert (nmi.query("kind == 'shuffled'")["ami"] == 0).all()
    assert (nmi.query("kind == 'shuffled'")["nmi"] > 0).all()


def test_the_jackknife_leaves_out_whole_videos() -> None:
    embedded, labels, anchors = sorted_set()
    nmi, _, jackknife = compare_with_labels(embedded, labels, anchors, clusters=3, videos=VIDEOS)
    everything = jackknife.query("group == @ALL_CLIPS").drop(columns="group").reset_index(drop=True)
    pd.testing.assert_frame_equal(everything, nmi)
    assert set(jackknife["group"]) == {ALL_CLIPS, *range(20)}
    # Thirty videos in twenty groups: group 3 is videos 3 and 23, in the order of their names.
    gone = {sorted(set(VIDEOS))[index] for index in (3, 23)}
    kept = np.array([video not in gone for video in VIDEOS])
    expected = information(labels["action"][kept], assign(anchors, "joint", "v", embedded.joint["v"][kept]))
    row = jackknife.query(
        "group == 3 and modality == 'v' and space == 'joint' and label == 'action' and kind == 'anchors'"
    ).iloc[0]
    assert (row["nmi"], row["ami"]) == pytest.approx((expected.nmi, expected.ami))


def test_few_videos_make_few_groups() -> None:
    embedded, labels, anchors = sorted_set()
    videos = ["a"] * 30 + ["b"] * 30
    jackknife = compare_with_labels(embedded, labels, anchors, clusters=3, videos=videos).jackknife
    assert set(jackknife["group"]) == {ALL_CLIPS, 0, 1}


def test_clips_without_the_modality_are_left_out() -> None:
    embedded, labels, anchors = sorted_set()
    counts = compare_with_labels(embedded, labels, anchors, clusters=3, videos=VIDEOS).counts
    assert counts.query("modality == 't' and space == 'joint' and label == 'place'")["count"].sum() == 50


def test_labels_are_matched_by_clip() -> None:
    embedded, labels, anchors = sorted_set()
    ordered = compare_with_labels(embedded, labels, anchors, clusters=3, videos=VIDEOS)
    mixed = compare_with_labels(
        embedded, labels.sample(frac=1, random_state=0), anchors, clusters=3, videos=VIDEOS
    )
    pd.testing.assert_frame_equal(ordered.nmi, mixed.nmi)


def test_methods_without_anchors_have_clusters_alone() -> None:
    embedded, labels, _ = sorted_set()
    nmi, counts, _ = compare_with_labels(embedded, labels, None, clusters=3, videos=VIDEOS)
    assert set(nmi["kind"]) == {"k-means"}
    assert list(counts.columns) == ["modality", "space", "label", "anchor", "value", "count"]
    assert counts.empty


def test_assignment_is_by_cosine() -> None:
    _, _, anchors = sorted_set()
    anchors.joint["v"].data = torch.tensor([[100.0, 0, 0], [0, 0.1, 0], [0, 0, 1]])
    assert assign(anchors, "joint", "v", np.array([[0.4, 0.5, 0]], np.float32)).tolist() == [1]


def test_clusters_are_at_most_as_many_as_different_rows() -> None:
    assert len(set(cluster(np.array([[0.0], [0.0], [1.0]]), clusters=8, seed=0))) == 2


TRUTH = pd.DataFrame(
    {
        "video_id": "film",
        "second": range(6),
        "action": ["cut", "cut", "stir", "stir", "stir", "cut"],
        "thing": ["onion"] * 3 + ["bread"] * 3,
        "place": "kitchen",
    }
)


def test_a_clip_shows_what_most_of_its_seconds_show() -> None:
    rows = pd.DataFrame(
        {
            "clip_id": ["b", "a", "c"],
            "video_id": "film",
            "start": [0.0, 2.6, 2.4],
            "end": [3.0, 6.0, 3.4],
            "split": "test",
        }
    )
    labels = label_clips(rows, TRUTH)
    assert labels.index.tolist() == ["b", "a", "c"]
    assert labels["action"].tolist() == ["cut", "stir", "stir"]
    assert labels["thing"].tolist() == ["onion", "bread", "onion"]


def test_a_clip_that_is_not_described_is_an_error() -> None:
    rows = pd.DataFrame({"clip_id": ["x"], "video_id": ["other"], "start": [0.0], "end": [3.0]})
    with pytest.raises(InputError, match="clip 'x' of 'other' is not described"):
        label_clips(rows, TRUTH)
