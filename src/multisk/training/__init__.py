"""Training: objective, loop, moving average, checkpoints."""

from multisk.training.loop import OnEpoch, Result, train
from multisk.training.objective import Objective
from multisk.training.steplog import StepLog

__all__ = ["Objective", "OnEpoch", "Result", "StepLog", "train"]
