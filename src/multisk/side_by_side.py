"""Independent runs, several at once.

The models of the small profiles hardly gain from a second thread, so that on a CPU two runs of one thread
each are nearly twice as fast as one after the other. With a GPU, runs follow each other.
"""

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from multiprocessing import connection
from threading import Thread
from typing import Any, Self, TypeVar

from multisk.stopping import Terminated, raise_when_terminated

NAME = "side-by-side"  # of the processes that work here, with their number

Result = TypeVar("Result")


def side_by_side(
    function: Callable[..., Result], jobs: Sequence[tuple[Any, ...]], processes: int
) -> list[Result]:
    """Call `function(*job)` for each job, `processes` at a time; see `SideBySide`."""
    with SideBySide(processes) as together:
        return together(function, jobs)


class SideBySide:
    """Processes that work on independent jobs, and wait for further ones until the block ends.

    Each job has a process's share of the cores as threads, however many there are and wherever it is done:
    what it computes does not depend on its neighbours. A single job, all jobs with one process, and all with
    a GPU are done here, one by one.
    """

    def __init__(self, processes: int) -> None:
        self.processes = processes
        self._pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def __call__(self, function: Callable[..., Result], jobs: Sequence[tuple[Any, ...]]) -> list[Result]:
        """Call `function(*job)` for each job and return the results in their order.

        Function, jobs and results must be picklable, and a job must be able to go on where it was
        interrupted: at Ctrl-C or a scheduler's signal, or when a job fails, the others are interrupted, too.

        Raises what the first failing job raised.
        """
        import torch

        if self.processes == 1 or len(jobs) == 1 or torch.cuda.is_available():
            with _threads(self.threads):
                return [function(*job) for job in jobs]
        self._pool = self._pool or self._begun(len(jobs))
        futures = [self._pool.submit(function, *job) for job in jobs]
        try:
            wait(futures, return_when=FIRST_EXCEPTION)
            _raise_failure(futures)
        except BaseException as error:
            self._pool.shutdown(wait=False, cancel_futures=True)
            _pass_on(signal.SIGTERM if isinstance(error, Terminated) else signal.SIGINT, futures)
            self._end()
            raise
        return [future.result() for future in futures]

    @property
    def threads(self) -> int:
        """Threads of a job: as many as OMP_NUM_THREADS says, else its process's share of the cores."""
        import joblib

        if asked := os.environ.get("OMP_NUM_THREADS"):
            return int(asked.partition(",")[0])  # after a comma: of parallel regions inside of others
        # Of the cores that this process may use: a scheduler or a container lends some of the machine's.
        return max(1, joblib.cpu_count() // self.processes)

    def _begun(self, jobs: int) -> ProcessPoolExecutor:
        context = multiprocessing.get_context("spawn")
        shared = (self.threads, context.Value("i", 0))
        return ProcessPoolExecutor(min(self.processes, jobs), context, _begin, shared)

    def _end(self) -> None:
        if self._pool:
            self._pool.shutdown()
        self._pool = None


def end_with_parent() -> None:
    """End this process of `multiprocessing` when the one that started it is gone, be it by `kill -9`."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def follow() -> None:
        connection.wait([parent.sentinel])
        os._exit(1)

    Thread(target=follow, daemon=True).start()


def place() -> int | None:
    """Return which of several processes at work this is, from 0; None if it works alone."""
    kind, _, number = multiprocessing.current_process().name.partition(" ")
    return int(number) if kind == NAME else None


@contextmanager
def _threads(number: int) -> Iterator[None]:
    """Let torch compute with so many threads until the block ends."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _begin(threads: int, begun: Any) -> None:
    import torch

    with begun.get_lock():
        multiprocessing.current_process().name = f"{NAME} {begun.value}"
        begun.value += 1
    # A group of its own: Ctrl-C in a terminal reaches the parent alone, which passes it on, once.
    os.setpgrp()
    raise_when_terminated()
    end_with_parent()
    torch.set_num_threads(threads)


def _raise_failure(futures: Sequence[Future[Any]]) -> None:
    for future in futures:
        error = future.exception() if future.done() and not future.cancelled() else None
        if error is not None:
            raise error


def _pass_on(request: signal.Signals, futures: Sequence[Future[Any]]) -> None:
    if all(future.done() for future in futures):
        return
    for process in multiprocessing.active_children():
        if process.pid is not None:
            os.kill(process.pid, request)
