"""What losses see of a batch of all processes together.

Shapes: B samples of the batch, J joint features.
"""

from typing import Any, NamedTuple, Protocol, Self

from torch import Tensor

from multisk.models.anchors import Anchors
from multisk.models.embeddings import Embeddings

Terms = dict[str, Tensor]  # detached scalars to log, by name


class ClipOrigins(NamedTuple):
    """Where the clips of a batch come from."""

    video: Tensor  # int64 [B], equal for clips of the same video
    start: Tensor  # float [B], seconds in that video

    def same_video(self) -> Tensor:
        """Return which clips are of the same video, bool [B, B]."""
        return self.video[:, None] == self.video

    def close(self, seconds: float) -> Tensor:
        """Return which clips of the same video start within so many seconds of each other, bool [B, B]."""
        return self.same_video() & ((self.start[:, None] - self.start).abs() <= seconds)


class GlobalBatch(NamedTuple):
    """The embeddings of a batch, fp32, and what belongs to them."""

    embeddings: Embeddings
    anchors: Anchors | None = None  # of the model
    origins: ClipOrigins | None = None  # None: not known, as of a benchmark's clips


class MethodLoss(Protocol):
    """A loss that a method can have; what it keeps between steps are buffers."""

    @classmethod
    def of_model(cls, settings: Any, model: Any) -> Self:
        """Make the loss from its section of params.yaml for a model; raise InputError if it does not fit."""

    def of_batch(self, batch: GlobalBatch) -> tuple[Tensor, Terms]:
        """Return the loss of a batch, a scalar, and what to log of it."""
