"""Joint clustering: each modality of a sample close to the cluster of the sample as a whole.

Chen et al.: Multimodal Clustering Networks for Self-supervised Learning from Unlabeled Videos (ICCV 2021).
`recipes/mcn.yaml` says what of it is here.

Shapes: B samples of the batch, Q of the queue, N of both, K centroids, J joint features.
"""

from collections.abc import Mapping
from typing import Any, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from multisk.errors import InputError
from multisk.losses.batch import GlobalBatch, Terms
from multisk.losses.consistency import usage
from multisk.losses.contrastive import JointEmbeddings, normalized
from multisk.losses.queue import FeatureQueue
from multisk.settings.losses import Clustering


class ClusteringLoss(nn.Module):
    """Pulls every modality of a sample towards the sample's centroid and away from the other centroids.

    A sample's mean embedding is the mean of its modalities' L2-normalised joint embeddings, normalised
    again. Each call in training does a few steps of k-means on the mean embeddings of [queue; batch],
    without gradient, from the centroids c of the call before. With k(b) the centroid nearest to sample b

        L = weight · mean over m of mean over b of -log softmax_k(x_mb · c_k / temperature)[k(b)]

    over the samples b that have modality m. The queue holds the mean embeddings of earlier batches; the
    loss is zero until no random row is left in it. Queue, its count and the centroids are buffers: a
    restored state_dict goes on with identical numbers. In eval mode none of them changes.

    Args:
        clustering: settings as in params.yaml.
        modalities: the modalities that are clustered.
        joint_dimension: size J of the joint embeddings.
    """

    filled: Tensor
    centroids: Tensor
    started: Tensor

    def __init__(self, clustering: Clustering, modalities: tuple[str, ...], joint_dimension: int) -> None:
        super().__init__()
        self.settings = clustering
        self.modalities = modalities
        self.queue = FeatureQueue(clustering.queue, joint_dimension)
        self.register_buffer("filled", torch.zeros((), dtype=torch.long))
        self.register_buffer("centroids", torch.zeros(clustering.centroids, joint_dimension))
        self.register_buffer("started", torch.zeros((), dtype=torch.bool))

    @classmethod
    def of_model(cls, settings: Clustering, model: Any) -> Self:
        """Make the loss of a method for a model."""
        return cls(settings, model.modalities, model.joint_dimension)

    def of_batch(self, batch: GlobalBatch) -> tuple[Tensor, Terms]:
        """Return the loss of a batch and its terms, see `forward`."""
        return self(batch.embeddings)

    def forward(self, embeddings: JointEmbeddings) -> tuple[Tensor, Terms]:
        """Return the loss of a batch and, detached, what to log of it; then push the batch.

        The dictionary is empty while the queue is filling. Otherwise it holds `clustering/m` for each
        modality m, without the weight, and `clustering/usage`, the effective share (1/K to 1) of the
        centroids that are nearest to some sample.

        Raises InputError when the batch is larger than the queue.
        """
        x = {m: normalized(embeddings.joint[m]) for m in self.modalities}
        nonempty = {m: embeddings.nonempty[m] for m in self.modalities}
        mean_BJ = mean_embedding(x, nonempty)
        if len(mean_BJ) > self.settings.queue:
            raise InputError(
                f"clustering.queue: {self.settings.queue} is less than the batch of {len(mean_BJ)}; "
                "raise it to that"
            )
        loss = torch.zeros((), device=mean_BJ.device, requires_grad=True)
        terms: Terms = {}
        if self.settings.weight > 0 and self.filled >= self.settings.queue:
            loss, terms = self._clustered(x, nonempty, mean_BJ)
        if self.training:
            self.queue.push(mean_BJ)
            if self.filled < self.settings.queue:
                self.filled += len(mean_BJ)
        return loss, terms

    def _clustered(
        self, x: Mapping[str, Tensor], nonempty: Mapping[str, Tensor], mean_BJ: Tensor
    ) -> tuple[Tensor, Terms]:
        rows_NJ = torch.cat([self.queue.features, mean_BJ])
        begin_KJ = self.centroids if self.started else spread_rows(rows_NJ, self.settings.centroids)
        centroids_KJ = k_means(rows_NJ, begin_KJ, self.settings.iterations)
        if self.training:
            self.centroids.copy_(centroids_KJ)
            self.started.fill_(True)
        target_B = (mean_BJ @ centroids_KJ.T).argmax(1)
        terms = {}
        for m in self.modalities:
            if nonempty[m].any():
                logits = x[m][nonempty[m]] @ centroids_KJ.T / self.settings.temperature
                terms[f"clustering/{m}"] = F.cross_entropy(logits, target_B[nonempty[m]])
        if not terms:
            return torch.zeros((), device=mean_BJ.device, requires_grad=True), {}
        loss = self.settings.weight * torch.stack(list(terms.values())).mean()
        logged = {name: term.detach() for name, term in terms.items()}
        return loss, logged | {"clustering/usage": usage(rows_NJ @ centroids_KJ.T)}


@torch.no_grad()
def mean_embedding(x: Mapping[str, Tensor], nonempty: Mapping[str, Tensor]) -> Tensor:
    """Return the normalised mean over the modalities that a sample has, [B, J]; zero where it has none."""
    return normalized(torch.stack([x[m] * nonempty[m][:, None] for m in x]).sum(0))


def spread_rows(rows_NJ: Tensor, K: int) -> Tensor:
    """Return K of the rows, evenly spaced: what comes in is in random order already."""
    return rows_NJ[torch.arange(K, device=rows_NJ.device) * len(rows_NJ) // K]


@torch.no_grad()
def k_means(rows_NJ: Tensor, centroids_KJ: Tensor, iterations: int) -> Tensor:
    """Return the centroids [K, J] after some steps of Lloyd's algorithm on rows of unit length.

    Spherical k-means: a row belongs to the centroid of the highest cosine, and a centroid is the
    normalised mean of its rows. A centroid without rows moves to one of the rows that are farthest from
    their own centroids. Rows of zeros, samples without any modality, move nothing.
    """
    K = len(centroids_KJ)
    nothing_N = ~rows_NJ.any(1)
    for _ in range(iterations):
        similarity_N, nearest_N = (rows_NJ @ centroids_KJ.T).max(1)
        member_NK = F.one_hot(nearest_N, K).to(rows_NJ)
        empty_K = member_NK.sum(0) == 0
        # The i-th empty centroid takes the i-th farthest row.
        farthest_K = similarity_N.masked_fill(nothing_N, 2).topk(K, largest=False).indices
        farthest_K = farthest_K[(empty_K.cumsum(0) - 1).clamp(min=0)]
        centroids_KJ = torch.where(empty_K[:, None], rows_NJ[farthest_K], normalized(member_NK.T @ rows_NJ))
    return centroids_KJ
