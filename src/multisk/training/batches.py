"""The order of training items: a function of seed, epoch and step alone, whatever ran before."""

import signal
from collections.abc import Callable, Iterator, Sized
from typing import Any, cast

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from multisk.errors import InputError
from multisk.stopping import TERMINATING

Batch = dict[str, Any]
Collate = Callable[[list[Any]], Batch]


class TrainingBatches:
    """The batches of a run, from any step on.

    Every epoch is a new permutation of the dataset, cut into whole batches; the rest is dropped. With N
    processes each takes its N-th of every batch, so that together they see what one process would see.

    Args:
        dataset: items by index; `set_epoch(epoch)`, if it has one, is called before each epoch.
        collate: makes a batch of a list of items.
        batch_size: items in a batch, over all processes.
        seed: decides the permutations.
        workers: loading processes; 0 loads in this one.
        rank: this process's number.
        processes: number of processes.
        pin_memory: copy batches to page-locked memory, for faster transfers to a GPU.

    Raises:
        InputError: a batch is larger than the dataset, or cannot be shared by the processes.
    """

    def __init__(
        self,
        dataset: Dataset[Any],
        collate: Collate,
        *,
        batch_size: int,
        seed: int,
        workers: int = 0,
        rank: int = 0,
        processes: int = 1,
        pin_memory: bool = False,
    ) -> None:
        self.dataset = dataset
        self.collate = collate
        self.items = len(cast(Sized, dataset))
        self.batch_size = batch_size
        self.seed = seed
        self.workers = workers
        self.rank = rank
        self.processes = processes
        self.pin_memory = pin_memory
        if batch_size > self.items:
            raise InputError(
                f"params.yaml: batch_size: {batch_size} is more than the {self.items} items there are to "
                "train on; lower it"
            )
        if batch_size % processes:
            raise InputError(
                f"params.yaml: batch_size: {batch_size} cannot be shared equally by {processes} processes; "
                f"set it to a multiple of {processes}"
            )

    @property
    def per_epoch(self) -> int:
        """Batches in an epoch."""
        return self.items // self.batch_size

    def between(self, first: int, last: int) -> Iterator[Batch]:
        """Yield the batches of steps `first` to `last` - 1; those before are not loaded."""
        while first < last:
            epoch, skipped = divmod(first, self.per_epoch)
            wanted = min(self.per_epoch - skipped, last - first)
            try:
                yield from self._loader(epoch, skipped, skipped + wanted)
            except InputError as error:
                # A loading process sends its whole traceback along; the last line is the message.
                message = str(error).strip().splitlines()[-1]
                raise InputError(message.removeprefix("multisk.errors.InputError: ")) from None
            first += wanted

    def indices(self, epoch: int) -> list[list[int]]:
        """Return the dataset indices of this process's part of each batch of an epoch."""
        order = np.random.RandomState((self.seed, epoch)).permutation(self.items)
        whole = order[: self.per_epoch * self.batch_size]
        parts = whole.reshape(self.per_epoch, self.processes, self.batch_size // self.processes)
        return parts[:, self.rank].tolist()

    def _loader(self, epoch: int, start: int, stop: int) -> DataLoader[Any]:
        if hasattr(self.dataset, "set_epoch"):
            self.dataset.set_epoch(epoch)
        # Workers are started anew each epoch: they hold copies of the dataset, which learn of the epoch
        # only at their start. The generator is the loader's own, because the loader would otherwise draw
        # from the global one, once more after a resume than without.
        return DataLoader(
            self.dataset,
            batch_sampler=self.indices(epoch)[start:stop],
            collate_fn=self.collate,
            num_workers=self.workers,
            pin_memory=self.pin_memory,
            worker_init_fn=_ignore_requests_to_stop,
            generator=torch.Generator().manual_seed(self.seed),
        )


def _ignore_requests_to_stop(_worker: int) -> None:
    """Leave signals that reach every process of a terminal or job to the process that trains."""
    for number in (signal.SIGINT, *TERMINATING):
        signal.signal(number, signal.SIG_IGN)
