"""One of several processes that compute the gradients of a batch together.

python two_processes.py RANK PROCESSES STORE RESULT METHOD
"""

import sys

import torch
import torch.distributed as dist
from tiny_run import Clips, collate, objective  # type: ignore[import-not-found]
from torch.nn.parallel import DistributedDataParallel

from multisk.training.loop import freeze_batch_norm

STEPS, BATCH = 4, 12


def main() -> None:
    rank, processes, store, result = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4]
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=processes)
    module = objective(other=sys.argv[5] == "other")
    freeze_batch_norm(module.train())
    parallel = DistributedDataParallel(module, find_unused_parameters=True, broadcast_buffers=False)
    data, part = Clips(), BATCH // processes
    for step in range(STEPS):
        first = step * BATCH + rank * part
        module.zero_grad()
        loss, terms = parallel(collate([data[i] for i in range(first, first + part)]))
        loss.backward()
    if rank == 0:
        gradients = {name: p.grad for name, p in module.named_parameters() if p.grad is not None}
        torch.save({"loss": loss.detach(), "terms": terms, "gradients": gradients}, result)
    dist.barrier()
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
