"""Joint clustering: an oracle from the equations, k-means against scikit-learn, queue and state."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.cluster import KMeans
from torch import Tensor

from multisk.errors import InputError
from multisk.losses import ClusteringLoss
from multisk.losses.clustering import k_means, mean_embedding, spread_rows
from multisk.settings.losses import Clustering

B, Q, J, K = 6, 15, 7, 4
MODALITIES = ("t", "v", "a")


@dataclass
class Batch:
    joint: dict[str, Tensor]
    nonempty: dict[str, Tensor]


def build(**changes: Any) -> ClusteringLoss:
    torch.manual_seed(3)
    given = {"weight": 1.0, "centroids": K, "queue": Q, "iterations": 2, "temperature": 0.1, **changes}
    return ClusteringLoss(Clustering.model_validate(given), MODALITIES, J)


def batch(seed: int, size: int = B) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    joint = {m: torch.randn(size, J, generator=generator).requires_grad_() for m in MODALITIES}
    nonempty = {m: torch.rand(size, generator=generator) < 0.7 for m in MODALITIES}
    return Batch(joint, nonempty)


def fill(loss: ClusteringLoss) -> int:
    """Push batches until the next call has a loss; return the next seed."""
    seed = 0
    while loss.filled < Q:
        loss(batch(seed))
        seed += 1
    return seed


def mean_by_hand(data: Batch) -> Tensor:
    rows = []
    for b in range(len(data.joint["t"])):
        present = [F.normalize(data.joint[m][b], dim=0) for m in MODALITIES if data.nonempty[m][b]]
        rows.append(F.normalize(sum(present), dim=0) if present else torch.zeros(J))  # type: ignore[arg-type]
    return torch.stack(rows).detach()


def lloyd(rows: Tensor, centroids: Tensor, iterations: int) -> Tensor:
    """Spherical k-means, sample by sample; the cases here leave no centroid without rows."""
    for _ in range(iterations):
        nearest = [int(torch.stack([row @ c for c in centroids]).argmax()) for row in rows]
        members = [
            [row for row, k in zip(rows, nearest, strict=True) if k == own] for own in range(len(centroids))
        ]
        assert all(members)
        centroids = torch.stack([F.normalize(torch.stack(m).sum(0), dim=0) for m in members])
    return centroids


def test_agrees_with_the_oracle() -> None:
    loss = build()
    earlier = [batch(seed) for seed in range(fill(loss))]
    queue = torch.cat([mean_by_hand(data) for data in earlier])[-Q:]
    centroids = None
    for seed in range(len(earlier), len(earlier) + 3):
        data = batch(seed)
        mean = mean_by_hand(data)
        rows = torch.cat([queue, mean])
        if centroids is None:
            centroids = rows[[0, 5, 10, 15]]
        centroids = lloyd(rows, centroids, 2)
        parts = []
        for m in MODALITIES:
            costs = []
            for b in torch.nonzero(data.nonempty[m])[:, 0]:
                own = int((centroids @ mean[b]).argmax())
                logits = centroids @ F.normalize(data.joint[m][b], dim=0) / 0.1
                costs.append(logits.logsumexp(0) - logits[own])
            parts.append(torch.stack(costs).mean())
        expected = torch.stack(parts).mean()
        total, terms = loss(data)
        torch.testing.assert_close(total, expected)
        for m, part in zip(MODALITIES, parts, strict=True):
            torch.testing.assert_close(terms[f"clustering/{m}"], part.detach())
        leaves = list(data.joint.values())
        gradients = zip(
            torch.autograd.grad(total, leaves), torch.autograd.grad(expected, leaves), strict=True
        )
        for gradient, other in gradients:
            torch.testing.assert_close(gradient, other, rtol=1e-4, atol=1e-6)
        queue = rows[-Q:]


@pytest.mark.parametrize("seed", range(3))
def test_k_means_ends_where_scikit_learns_does(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    centres = F.normalize(torch.randn(5, 8, generator=generator), dim=1)
    rows = F.normalize(centres.repeat(40, 1) + 0.05 * torch.randn(200, 8, generator=generator), dim=1)
    found = k_means(rows, rows[:5], 20)
    # Tight clusters of unit rows: the plain means point where the normalised ones do.
    expected = KMeans(5, init=rows[:5].numpy(), n_init=1).fit(rows.numpy()).cluster_centers_
    similarity = found @ F.normalize(torch.from_numpy(expected), dim=1).T
    torch.testing.assert_close(similarity.amax(1), torch.ones(5), rtol=0, atol=1e-5)
    assert sorted(similarity.argmax(1).tolist()) == list(range(5))


@settings(max_examples=50, deadline=None)
@given(st.integers(4, 40), st.integers(2, 4), st.integers(0, 2**20))
def test_a_step_of_k_means_never_makes_rows_less_similar_to_their_centroids(
    N: int, K: int, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    rows = F.normalize(torch.randn(N, 6, generator=generator).double(), dim=1)
    centroids = spread_rows(rows, K)
    for _ in range(5):
        following = k_means(rows, centroids, 1)
        torch.testing.assert_close(following.norm(dim=1), torch.ones(K).double())
        before, after = ((rows @ c.T).amax(1).sum() for c in (centroids, following))
        assert after >= before - 1e-9
        centroids = following


def test_centroids_without_rows_move_to_the_farthest_rows() -> None:
    rows = F.normalize(torch.tensor([[1.0, 0, 0], [1, 0.1, 0], [-0.1, 1, 0], [0.9, 0, 0.1]]), dim=1)
    lost = F.normalize(torch.tensor([[1.0, 1, 0], [-1, -1, 0], [0, 0, -1]]), dim=1)
    found = k_means(rows, lost, 1)
    similarity = rows @ lost[0]
    by_distance = similarity.argsort()
    torch.testing.assert_close(found[1:], rows[by_distance[:2]])


def test_samples_without_any_modality_move_no_centroid() -> None:
    rows = F.normalize(torch.randn(12, 5, generator=torch.Generator().manual_seed(0)), dim=1)
    begin = torch.cat([rows[:2], -rows.sum(0, keepdim=True)])
    with_nothing = torch.cat([rows, torch.zeros(3, 5)])
    torch.testing.assert_close(k_means(with_nothing, begin, 3), k_means(rows, begin, 3))


def test_the_mean_leaves_missing_modalities_out() -> None:
    data = batch(0)
    x = {m: F.normalize(value, dim=1) for m, value in data.joint.items()}
    torch.testing.assert_close(mean_embedding(x, data.nonempty), mean_by_hand(data))


def test_there_is_no_loss_before_the_queue_is_filled() -> None:
    loss = build()
    for call in range(5):
        total, terms = loss(batch(call))
        assert bool(terms) == (call >= 3)
        assert (total != 0) == (call >= 3)
        total.backward()


@pytest.mark.parametrize("calls", [1, 5])
def test_a_restored_state_goes_on_identically(calls: int, tmp_path: Path) -> None:
    loss = build()
    for seed in range(calls):
        loss(batch(seed))
    torch.save(loss.state_dict(), tmp_path / "state.pt")
    restored = build()
    restored.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    for seed in range(calls, calls + 4):
        (total, terms), (other, other_terms) = (each(batch(seed)) for each in (loss, restored))
        assert torch.equal(total, other)
        assert terms == other_terms
    assert all(torch.equal(value, restored.state_dict()[key]) for key, value in loss.state_dict().items())


def test_evaluation_changes_nothing() -> None:
    loss = build()
    seed = fill(loss)
    before = {key: value.clone() for key, value in loss.state_dict().items()}
    loss.eval()(batch(seed))
    assert all(torch.equal(value, before[key]) for key, value in loss.state_dict().items())


def test_the_weight_scales_the_loss_but_not_the_terms() -> None:
    (total, terms), (double, same) = (loss(batch(fill(loss))) for loss in (build(), build(weight=2.0)))
    torch.testing.assert_close(double, 2 * total)
    assert terms == same


def test_a_batch_larger_than_the_queue_is_refused() -> None:
    with pytest.raises(InputError, match=r"clustering\.queue: 15 .* 16"):
        build()(batch(0, Q + 1))


def test_a_queue_must_hold_the_centroids() -> None:
    with pytest.raises(ValueError, match=r"queue \(3\) must hold"):
        build(queue=3)


def test_a_batch_of_nothing_has_no_loss() -> None:
    loss = build()
    data = batch(fill(loss))
    data.nonempty = {m: torch.zeros(B, dtype=torch.bool) for m in MODALITIES}
    total, terms = loss(data)
    assert total == 0
    assert terms == {}
    total.backward()
