"""Semantic-Structure-Preserving Consistency (SSPC) between the input space and the joint space.

Paper: *Preserving Modality Structure Improves Multi-Modal Learning*, ICCV 2023, arXiv 2308.13077.

Shapes in tensor names: B samples of the batch, Q of the queue, N of both, K anchors, D features.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from itertools import product
from typing import Any, NamedTuple, Self, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from multisk.errors import InputError
from multisk.losses.batch import GlobalBatch, Terms
from multisk.losses.contrastive import normalized
from multisk.losses.queue import FeatureQueue
from multisk.models.anchors import Anchors, Space
from multisk.settings.losses import Sspc, sspc_settings
from multisk.sinkhorn import multi_sinkhorn

SPACES: tuple[Space, Space] = ("input", "joint")
Features = dict[Space, dict[str, Tensor]]  # by space, by modality


class Problem(NamedTuple):
    """Similarities of the features of one modality to the anchors of one modality, in one space."""

    space: Space
    anchor: str
    data: str


class Term(NamedTuple):
    """One of the 18 terms: the similarities of `prediction` learn the assignments of `target`."""

    name: str
    prediction: Problem
    target: Problem
    weight: float


class SSPCLoss(nn.Module):
    """Each space predicts, from its own similarities to anchors, the other space's assignments.

    With sim(x, z) = x · z/|z|, anchors z_m (input space) and z^_m (joint space) of modality m, features n
    (input) and n^ (joint) of modality n, M = Multi-SK and l(s, q) = `assignment_loss`:

        A[m, n] = l(sim(m, z_m),   M(sim(n^, z^_m)))     terms `sspc/input_to_joint/m-n`
        B[m, n] = l(sim(n^, z^_m), M(sim(m, z_m)))       terms `sspc/joint_to_input/m-n`
        L = beta · Σ_mn (w_A[m, n] A[m, n] + w_B[m, n] B[m, n])

    M sees the rows [queue; batch], so that few samples can use many anchors equally, and the batch's rows
    are the targets, without gradient. The queues hold the features of earlier batches; the loss is zero
    until no random row is left in them, from call number ceil(queue/B) + 1 on. Queues and their count are
    buffers: a restored state_dict goes on with identical numbers. In eval mode nothing is pushed. Without
    queues (`queue: 0`) M sees the batch alone, and there is a loss from the first call on.

    A sample that lacks a modality takes part with whatever features the model gives it (as released).

    Args:
        sspc: settings as in params.yaml, or a mapping with any of its keys; the paper's values (64
            anchors, queue 5500, temperature 0.1, weights 1 and 0.1 with audio) stand in for the rest.
            Terms of weight 0 are not computed.
        input_dimension: size of the input features, one for all or one per modality; the modalities
            of a mapping are those of the loss.
        joint_dimension: size of the joint features.
    """

    filled: Tensor

    def __init__(
        self,
        sspc: Sspc | Mapping[str, Any],
        input_dimension: int | Mapping[str, int],
        joint_dimension: int,
    ) -> None:
        super().__init__()
        self.settings = sspc_settings(sspc)
        dimensions = (
            input_dimension if isinstance(input_dimension, Mapping) else dict.fromkeys("tva", input_dimension)
        )
        self.modalities = tuple(dimensions)
        self.terms = _terms(self.settings, self.modalities)
        self.problems = sorted({p for term in self.terms for p in (term.prediction, term.target)})
        length = self.settings.queue
        self.queues = nn.ModuleDict(
            {
                "input": nn.ModuleDict({m: FeatureQueue(length, dimensions[m]) for m in dimensions}),
                "joint": nn.ModuleDict({m: FeatureQueue(length, joint_dimension) for m in dimensions}),
            }
        )
        self.register_buffer("filled", torch.zeros((), dtype=torch.long))

    @classmethod
    def of_model(cls, settings: Sspc, model: Any) -> Self:
        """Make the loss of a method for a model; raise InputError if it has no anchors."""
        anchors = getattr(model, "anchors", None)
        if anchors is None:
            raise InputError("params.yaml: methods: sspc needs a model with anchors; set model: per_modality")
        dimensions = {m: anchors.input[m].shape[1] for m in anchors.modalities}
        return cls(settings, dimensions, anchors.joint[anchors.modalities[0]].shape[1])

    def of_batch(self, batch: GlobalBatch) -> tuple[Tensor, Terms]:
        """Return the loss of a batch and its terms, see `forward`; NaN for what is not finite."""
        embeddings, anchors = batch.embeddings, cast(Anchors, batch.anchors)
        # Multi-SK refuses NaN; a loss that is NaN, beside its terms, lets the caller say where it began.
        if not _all_finite([*embeddings.joint.values(), *embeddings.input.values(), *anchors.parameters()]):
            return torch.tensor(torch.nan), {}
        return self(anchors, embeddings.input, embeddings.joint)

    def forward(
        self, anchors: Anchors, input: Mapping[str, Tensor], joint: Mapping[str, Tensor]
    ) -> tuple[Tensor, Terms]:
        """Return the loss of a batch and, detached, what to log of it; then push the batch.

        Args:
            anchors: the anchors of both spaces; their number may differ between modalities.
            input: input features [B, D] by modality (t, v, a), of any length and floating dtype. They are
                normalised here and computed in float32 or wider, also under autocast: logits reach e^10.
            joint: joint features likewise.

        Returns:
            The loss, a scalar, and a dictionary that is empty while the queue is filling. Otherwise it
            holds each term without its weight; `sspc/usage/SPACE/m`, the effective share (1/K to 1) of
            the anchors that are nearest to some sample of their modality; `sspc/marginal_error` and
            `sspc/flat`, Multi-SK's largest marginal error and share of flat rows.

        Raises:
            InputError: the batch is larger than the queue.
        """
        batch = joint[self.modalities[0]]
        if len(batch) > self.settings.queue > 0:
            raise InputError(
                f"sspc.queue: {self.settings.queue} is less than the batch of {len(batch)}; raise it to that"
            )
        with torch.autocast(batch.device.type, enabled=False):
            features: Features = {
                "input": {m: normalized(input[m]) for m in self.modalities},
                "joint": {m: normalized(joint[m]) for m in self.modalities},
            }
            loss = torch.zeros((), device=batch.device, requires_grad=True)
            terms: dict[str, Tensor] = {}
            # Random rows of a queue that is not full would take anchors from the samples.
            if self.terms and self.filled >= self.settings.queue:
                loss, terms = self._consistency(anchors, features)
        if self.training:
            self._push(features)
        return loss, terms

    def _consistency(self, anchors: Anchors, features: Features) -> tuple[Tensor, dict[str, Tensor]]:
        similarity_BK = _similarities(anchors, features, self.problems)
        scores_NK = self._scores(anchors, similarity_BK)
        targets_BK, diagnostics = self._targets(scores_NK, len(features["joint"][self.modalities[0]]))
        losses = {
            term: assignment_loss(
                similarity_BK[term.prediction], targets_BK[term.target], self.settings.temperature
            )
            for term in self.terms
        }
        total = torch.stack([term.weight * loss for term, loss in losses.items()]).sum()
        logged = {term.name: loss.detach() for term, loss in losses.items()}
        logged |= {
            f"sspc/usage/{p.space}/{p.data}": usage(scores_NK[p]) for p in self.problems if p.anchor == p.data
        }
        return self.settings.beta * total, logged | diagnostics

    @torch.no_grad()
    def _scores(self, anchors: Anchors, similarity_BK: Mapping[Problem, Tensor]) -> dict[Problem, Tensor]:
        """Return the similarities of the rows [queue; batch], N = Q + B."""
        # Anchors move at each step: features are what can be kept, their similarities are made anew.
        queued: Features = {
            space: {m: self._queue(space, m).features for m in self.modalities} for space in SPACES
        }
        queue_QK = _similarities(anchors, queued, self.problems)
        return {p: torch.cat([queue_QK[p], similarity_BK[p]]) for p in self.problems}

    def _targets(
        self, scores_NK: Mapping[Problem, Tensor], B: int
    ) -> tuple[dict[Problem, Tensor], dict[str, Tensor]]:
        """Return the assignments of the last B rows, from one Multi-SK for all problems of K anchors."""
        wanted = sorted({term.target for term in self.terms})
        targets_BK: dict[Problem, Tensor] = {}
        errors, flat = [], []
        for K in sorted({scores_NK[p].shape[1] for p in wanted}):
            group = [p for p in wanted if scores_NK[p].shape[1] == K]
            # One call for up to 12 problems: each iteration is a few small steps that a GPU would wait for.
            result = multi_sinkhorn(
                torch.stack([scores_NK[p] for p in group]), **self.settings.sinkhorn.model_dump()
            )
            # The queue's rows were there to make the use of anchors equal; no gradient would reach them.
            targets_BK |= dict(zip(group, result.assignment[:, -B:], strict=True))
            errors.append(result.marginal_error)
            flat.append(result.flat / result.assignment.shape[1])
        diagnostics = {"sspc/marginal_error": torch.cat(errors).max(), "sspc/flat": torch.cat(flat).mean()}
        return targets_BK, diagnostics

    def _queue(self, space: Space, modality: str) -> FeatureQueue:
        return cast(FeatureQueue, cast(nn.ModuleDict, self.queues[space])[modality])

    def _push(self, features: Features) -> None:
        for space in SPACES:
            for m in self.modalities:
                self._queue(space, m).push(features[space][m])
        if self.filled < self.settings.queue:
            self.filled += len(features["joint"][self.modalities[0]])


def assignment_loss(similarity: Tensor, target: Tensor, temperature: float = 0.1) -> Tensor:
    """Return l(s, q) = BCE-with-logits(exp(s / temperature), q), mean over all elements.

    Args:
        similarity: s, cosine similarities [B, K].
        target: q, assignments [B, K] in [0, 1].
        temperature: 0.1 in the paper.

    The logit is never negative (as released): a similarity of 1 with target 0 costs e^10 = 22026 at
    temperature 0.1, one of -1 with target 1 only log 2. High similarities to unassigned anchors dominate.
    """
    return F.binary_cross_entropy_with_logits(torch.exp(similarity / temperature), target.to(similarity))


def _all_finite(tensors: list[Tensor]) -> bool:
    return bool(torch.stack([x.isfinite().all() for x in tensors]).all())


def usage(similarity_NK: Tensor) -> Tensor:
    """Return the effective share of anchors in use, a scalar from 1/K (one anchor) to 1 (all equally).

    It is the perplexity of the nearest anchors' distribution over the N samples, divided by K.
    """
    N, K = similarity_NK.shape
    share_K = F.one_hot(similarity_NK.argmax(1), K).sum(0) / N
    return torch.special.entr(share_K).sum().exp() / K


def _terms(settings: Sspc, modalities: Iterable[str]) -> list[Term]:
    """Return the terms that weigh something."""
    terms = []
    for m, n in product(modalities, repeat=2):
        inner, outer = Problem("input", m, m), Problem("joint", m, n)
        weight = getattr(getattr(settings.input_to_joint, m), n)
        terms.append(Term(f"sspc/input_to_joint/{m}-{n}", inner, outer, weight))
        weight = getattr(getattr(settings.joint_to_input, m), n)
        terms.append(Term(f"sspc/joint_to_input/{m}-{n}", outer, inner, weight))
    return [term for term in terms if term.weight * settings.beta > 0]


def _similarities(anchors: Anchors, features: Features, problems: list[Problem]) -> dict[Problem, Tensor]:
    """Return x · z/|z|, [rows, K], of each problem; one product serves all anchors that meet the same x."""
    meetings: dict[tuple[Space, str], list[Problem]] = defaultdict(list)
    for problem in problems:
        meetings[problem.space, problem.data].append(problem)
    unit_KD = {key: anchors.normalized(*key) for key in dict.fromkeys((p.space, p.anchor) for p in problems)}
    similarities: dict[Problem, Tensor] = {}
    for (space, data), group in meetings.items():
        parts_KD = [unit_KD[space, problem.anchor] for problem in group]
        x = features[space][data].to(parts_KD[0].dtype)
        rows = F.linear(x, torch.cat(parts_KD)).split([len(part) for part in parts_KD], dim=1)
        similarities |= dict(zip(group, rows, strict=True))
    return similarities
