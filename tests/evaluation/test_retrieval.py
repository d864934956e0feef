import numpy as np
import pytest

from multisk.evaluation.embed import EmbeddedSet, merge
from multisk.evaluation.gallery import gallery
from multisk.evaluation.ranking import METRICS, metrics_of
from multisk.evaluation.retrieval import retrieve, similarity

SINGLES = ("t", "v", "a")
FUSED = ("tv", "ta", "va")


def embedded(modalities: tuple[str, ...], clips: int = 30) -> EmbeddedSet:
    """Embeddings that agree between modalities, up to noise."""
    rng = np.random.RandomState(0)
    common = rng.randn(clips, 8)
    joint = {m: (common + rng.randn(clips, 8)).astype(np.float32) for m in modalities}
    ids = [f"clip-{index}" for index in range(clips)]
    return merge(ids, ids, joint, {}, {m: np.ones(clips, bool) for m in SINGLES})


@pytest.mark.parametrize(("modalities", "count"), [(SINGLES, 12), (SINGLES + FUSED, 18), (("t", "v"), 2)])
def test_directions_follow_from_the_embeddings(modalities: tuple[str, ...], count: int) -> None:
    found = retrieve(embedded(modalities))
    assert len(found.metrics) == count
    assert set(found.ranks["direction"]) == set(found.metrics)
    assert len(found.ranks) == 30 * count
    for direction in found.metrics:
        query, _, answer = direction.partition("2")
        assert not set(query) & set(answer)


def test_metrics_are_those_of_the_ranks() -> None:
    found = retrieve(embedded(SINGLES), complete_size=40)
    for direction, rows in found.ranks.groupby("direction"):
        expected = metrics_of(rows["rank"].to_numpy(), 40)
        assert found.metrics[str(direction)] == expected
        assert tuple(expected) == METRICS
    assert found.metrics["t2v"]["R50"] == pytest.approx(75)


def test_the_way_back_ranks_by_the_same_similarities() -> None:
    clips = embedded(SINGLES)
    sims = similarity(clips.joint["t"], clips.joint["v"])
    ranks = retrieve(clips).ranks.set_index("direction")["rank"]
    assert ranks["t2v"].tolist() == [1 + (row > row[i]).sum() for i, row in enumerate(sims)]
    assert ranks["v2t"].tolist() == [1 + (column > column[i]).sum() for i, column in enumerate(sims.T)]


def test_similarity_is_the_cosine() -> None:
    x, y = np.array([[3.0, 4.0], [0.0, 0.0]]), np.array([[4.0, 3.0], [-6.0, -8.0]])
    np.testing.assert_allclose(similarity(x, y), [[0.96, -1.0], [0.0, 0.0]])


@pytest.mark.parametrize("modalities", [SINGLES, SINGLES + FUSED])
def test_gallery_shows_the_best_clips_of_text_to_video_and_audio(modalities: tuple[str, ...]) -> None:
    clips = embedded(modalities)
    shown = gallery(clips)
    direction = "t2va" if "va" in modalities else "t2v+a"
    ranks = retrieve(clips).ranks.set_index("direction").loc[direction]
    assert shown["rank"].tolist() == ranks["rank"].tolist()
    assert shown["clip_id"].tolist() == clips.clip_ids
    for clip_id, rank, top in shown.itertuples(index=False):
        assert len(set(top)) == 5
        assert (clip_id in top) == (rank <= 5)
        if rank <= 5:
            assert top.index(clip_id) == rank - 1


def test_gallery_of_few_clips_shows_all() -> None:
    shown = gallery(embedded(SINGLES, clips=3))
    assert [sorted(top) for top in shown["top"]] == [["clip-0", "clip-1", "clip-2"]] * 3
