"""A first-in-first-out memory of features."""

import torch
from torch import Tensor, nn


class FeatureQueue(nn.Module):
    """The last `length` features, newest last, in a buffer `features` [length, dimension].

    Until it has been filled once, it also holds uniform random rows (as released), which are not
    features. A queue of length 0 stays empty.
    """

    features: Tensor

    def __init__(self, length: int, dimension: int) -> None:
        super().__init__()
        self.register_buffer("features", torch.rand(length, dimension))

    @torch.no_grad()
    def push(self, batch_BD: Tensor) -> None:
        """Drop the B oldest rows and append `batch_BD`, which has no more rows than a queue that has some."""
        if not len(self.features):
            return
        # In place, so that whoever holds the buffer (DistributedDataParallel) keeps holding the right one.
        self.features.copy_(torch.cat([self.features[len(batch_BD) :], batch_BD.to(self.features)]))
