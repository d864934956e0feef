"""Requests to stop: Ctrl-C, and the signals by which a scheduler says that a job's time is up."""

import signal
import threading
from types import FrameType, TracebackType
from typing import Any, Self

TERMINATING = (signal.SIGTERM, signal.SIGUSR1)  # SIGUSR1: what SLURM's --signal is usually set to


class Terminated(KeyboardInterrupt):
    """A scheduler asked this process to end. Whoever cleans up after Ctrl-C does so after this as well."""


def raise_when_terminated() -> None:
    """From now on raise Terminated at SIGTERM and SIGUSR1, as Python raises KeyboardInterrupt at Ctrl-C."""
    for number in TERMINATING:
        signal.signal(number, _raise)


def _raise(_number: int, _frame: FrameType | None) -> None:
    _ignore_further_ones()
    raise Terminated


def _ignore_further_ones() -> None:
    # A scheduler tells every process of a job, and a parent tells its children once more: the second signal
    # must not disturb the end that the first one began.
    for number in TERMINATING:
        signal.signal(number, signal.SIG_IGN)


class Interrupt:
    """While it is entered, a request to stop sets `asked`; a second Ctrl-C interrupts as usual.

    Outside the main thread Python allows no signal handlers: requests then act as usual.

    Attributes:
        asked: what to raise once everything is safe; None: nobody asked.
    """

    def __init__(self) -> None:
        self.asked: KeyboardInterrupt | None = None
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self._before = {signal.SIGINT: signal.signal(signal.SIGINT, self._interrupted)}
            self._before |= {number: signal.signal(number, self._terminated) for number in TERMINATING}
        return self

    def _interrupted(self, _number: int, _frame: FrameType | None) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = KeyboardInterrupt()

    def _terminated(self, _number: int, _frame: FrameType | None) -> None:
        self.asked = Terminated()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, before in self._before.items():
            signal.signal(number, before)
        if self._before and isinstance(self.asked, Terminated):
            _ignore_further_ones()
