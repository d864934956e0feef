"""Checkpoints: one file that holds everything a step changes, whole at every moment."""

import os
import pickle
import random
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from torch import Tensor
from torch.amp.grad_scaler import GradScaler
from torch.optim.lr_scheduler import LRScheduler
from torch.optim.swa_utils import AveragedModel

from multisk.errors import InputError, one_line
from multisk.files import replacing
from multisk.training.objective import Objective

State = dict[str, Any]
UNREADABLE = (
    pickle.UnpicklingError,
    zipfile.BadZipFile,
    OSError,
    EOFError,
    KeyError,
    RuntimeError,
    TypeError,
    ValueError,
)


@dataclass
class TrainingState:
    """Everything that a training step changes.

    Attributes:
        objective: the model and the losses, whose queues are buffers.
        average: the moving average of the model.
        optimizer: anything with `state_dict` and `load_state_dict`.
        schedule: the learning rate's schedule.
        scaler: the gradient scaler of fp16, else None.
        step: steps done.
        clips: clips that they saw, over all processes.
        seconds: time that they took.
    """

    objective: Objective
    average: AveragedModel
    optimizer: Any
    schedule: LRScheduler
    scaler: GradScaler | None
    step: int = 0
    clips: int = 0
    seconds: float = 0.0

    def state_dict(self) -> State:
        """Return the state as containers of tensors and numbers."""
        return {
            "step": self.step,
            "clips": self.clips,
            "seconds": self.seconds,
            "objective": self.objective.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "scaler": self.scaler.state_dict() if self.scaler else None,
        }

    def load_state_dict(self, state: State) -> None:
        """Take over a state; raise RuntimeError or KeyError when it belongs to another objective."""
        self.objective.load_state_dict(state["objective"])
        self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])
        if self.scaler:
            self.scaler.load_state_dict(state["scaler"])
        self.step, self.clips, self.seconds = state["step"], state["clips"], state["seconds"]


def save_checkpoint(path: Path, state: State) -> None:
    """Write a checkpoint so that `path` is the old one or the new one, also after a kill or power loss.

    Raises InputError when it cannot be written, for want of space for example; `path` is then untouched.
    """
    with saving(path) as temporary, temporary.open("wb") as file:
        torch.save(state, file)


def load_checkpoint(path: Path) -> State:
    """Read a checkpoint onto the CPU; raise InputError when it is damaged or is no checkpoint."""
    try:
        # torch.load itself does not look at the checksums: a flipped bit would become a weight.
        with zipfile.ZipFile(path) as archive:
            if broken := archive.testzip():
                raise zipfile.BadZipFile(f"wrong checksum of {broken}")
        state = torch.load(path, map_location="cpu", weights_only=True)
        missing = {"step", "settings", "random", "objective"} - set(state)
    except UNREADABLE as error:
        raise _damaged(path, error) from None
    if missing:
        raise _damaged(path, KeyError(*sorted(missing)))
    return state


@contextmanager
def saving(path: Path) -> Iterator[Path]:
    """Give a temporary file beside `path`, which replaces it, safely on disk, when the block ends."""
    try:
        with replacing(path) as temporary:
            yield temporary
            _synchronize(temporary)
        _synchronize(path.parent)
    except (OSError, RuntimeError, SafetensorError) as error:
        raise InputError(
            f"{path}: cannot be written ({_one_line(error)}); what was there is unchanged: make room or "
            "mend the folder's permissions, and the same command goes on"
        ) from None


def refuse_other_settings(path: Path, then: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Raise InputError, naming the first key that differs, unless both settings are the same."""
    for key in sorted({*then, *now}):
        before, after = then.get(key, "absent"), now.get(key, "absent")
        if before != after:
            raise InputError(
                f"{path}: was trained with {key} = {before}, but the settings now say {after}; set it back, "
                f"or delete {path.parent} to train afresh"
            )


def flat_settings(nested: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return the leaves of nested settings under dotted names; sequences become lists."""
    flat: dict[str, Any] = {}
    for key, value in nested.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            flat |= flat_settings(value, f"{name}.")
        else:
            flat[name] = list(value) if isinstance(value, tuple) else value
    return flat


def random_state() -> State:
    """Return the states of the random generators of torch, its GPUs, numpy and Python."""
    name, keys, *rest = np.random.get_state(legacy=True)
    return {
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        "numpy": [name, torch.from_numpy(np.asarray(keys).astype(np.int64)), *rest],
        "python": random.getstate(),
    }


def set_random_state(state: State) -> None:
    """Set all random generators as `random_state` found them."""
    torch.set_rng_state(state["torch"])
    # On another machine the GPUs' generators have no counterpart.
    if len(state["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(state["cuda"])
    name, keys, *rest = state["numpy"]
    np.random.set_state((name, _words(keys), *rest))
    random.setstate(state["python"])


def _words(keys: Tensor) -> np.ndarray:
    return keys.numpy().astype(np.uint32)


def _synchronize(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _damaged(path: Path, error: Exception) -> InputError:
    return InputError(f"{path}: no whole checkpoint ({_one_line(error)}); delete it to start afresh")


def _one_line(error: Exception) -> str:
    reason = getattr(error, "strerror", None) or one_line(error)
    return reason[:200] or type(error).__name__
