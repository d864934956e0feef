"""Reading ahead: slow disks answer many requests at once."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")
READERS = 16
WAITING = 64  # results held at most, done or not


def read_ahead(read: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[tuple[Item, Result]]:
    """Yield each item with what `read` returns for it, in order, while threads read the next ones."""
    waiting = iter(items)
    pool = ThreadPoolExecutor(READERS)
    begun: deque[tuple[Item, Future[Result]]] = deque()
    try:
        begun.extend((item, pool.submit(read, item)) for item in islice(waiting, WAITING))
        while begun:
            item, future = begun.popleft()
            yield item, future.result()
            begun.extend((item, pool.submit(read, item)) for item in islice(waiting, 1))
    finally:
        pool.shutdown(cancel_futures=True)
