"""Metrics of steps: who takes them, and how they leave the device without holding up the steps."""

import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from multisk.errors import DivergedError

Scalars = dict[str, float]


class StepLog(Protocol):
    """Takes one step's metrics; steps count from 0.

    What a call was given must be with the operating system when the call returns: a checkpoint that
    follows relies on it, whatever becomes of the process.
    """

    def __call__(self, step: int, metrics: Mapping[str, float]) -> None:
        """Log the metrics of a step."""

    def rewind(self, step: int) -> None:
        """Forget what was logged at and after `step`: the run goes on from there."""


class StepBuffer:
    """Metrics of the latest steps, kept on the device and moved to the log together.

    A transfer waits for the device, so that one per term and step would cost more than the loss.
    """

    def __init__(self, log: StepLog | None, directory: Path) -> None:
        self.log = log
        self.directory = directory
        self._steps: list[tuple[int, dict[str, Tensor | float]]] = []
        self._clips = 0
        self._began = time.perf_counter()

    def add(self, step: int, metrics: Mapping[str, Tensor | float], clips: int) -> None:
        """Keep a step's metrics: numbers, or tensors of one element on the device."""
        self._steps.append((step, dict(metrics)))
        self._clips += clips

    def restart_clock(self) -> None:
        """Leave the time since the last flush out of the throughput."""
        self._began = time.perf_counter()

    def flush(self) -> tuple[Scalars, float]:
        """Hand the steps to the log; return the last one's metrics and the seconds that the steps took.

        Raises DivergedError for a step whose loss or gradient is not finite; it is not logged.
        """
        if not self._steps:
            return {}, 0.0
        rows = _fetch([metrics for _, metrics in self._steps])
        seconds = time.perf_counter() - self._began
        for (step, _), row in zip(self._steps, rows, strict=True):
            self._refuse_non_finite(step, row)
            row["clips_per_second"] = self._clips / seconds
            if self.log is not None:
                self.log(step, row)
        self._steps, self._clips = [], 0
        self.restart_clock()
        return rows[-1], seconds

    def _refuse_non_finite(self, step: int, row: Scalars) -> None:
        if math.isfinite(row["loss"]) and math.isfinite(row.get("gradient_norm", 0.0)):
            return
        culprits = ", ".join(f"{name} {value}" for name, value in row.items() if not math.isfinite(value))
        raise DivergedError(
            f"{self.directory}: step {step}: not finite: {culprits}; the last checkpoint is kept: lower "
            "learning_rate in params.yaml, or set mixed_precision to bf16 or no, and start afresh"
        )


def _fetch(rows: list[dict[str, Tensor | float]]) -> list[Scalars]:
    tensors = [value for row in rows for value in row.values() if isinstance(value, Tensor)]
    numbers = iter(torch.stack([x.detach().float().reshape(()) for x in tensors]).tolist() if tensors else [])
    return [
        {name: next(numbers) if isinstance(value, Tensor) else value for name, value in row.items()}
        for row in rows
    ]
