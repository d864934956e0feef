"""The global batch: embeddings of all processes, with gradients that reach each process's own part."""

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.nn.functional import all_gather

from multisk.models.embeddings import Embeddings


def gather_embeddings(embeddings: Embeddings) -> Embeddings:
    """Concatenate the embeddings of all processes in the order of ranks: [B, D] becomes [N * B, D].

    Every process must give the same number of rows B. Each then computes the same loss of the whole
    batch; the backward pass adds up the N equal gradients that come back for its own rows, and the mean
    over processes that DistributedDataParallel takes removes the factor N again. The parameters'
    gradients are therefore those of one process with the whole batch.
    """
    if not _distributed():
        return embeddings
    return Embeddings(
        joint={name: _gather(x_BD) for name, x_BD in embeddings.joint.items()},
        input={name: _gather(x_BD) for name, x_BD in embeddings.input.items()},
        nonempty={name: _gather(flag_B.byte()).bool() for name, flag_B in embeddings.nonempty.items()},
    )


def gather_rows(x_B: Tensor) -> Tensor:
    """Concatenate facts about the clips of all processes in the order of ranks, without gradient."""
    if not _distributed():
        return x_B
    parts = [torch.empty_like(x_B) for _ in range(dist.get_world_size())]
    dist.all_gather(parts, x_B.contiguous())
    return torch.cat(parts)


def _distributed() -> bool:
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1


def _gather(x: Tensor) -> Tensor:
    return torch.cat(all_gather(x))
