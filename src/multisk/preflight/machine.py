"""The machine: disk, memory and GPU, against what training takes."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import torch

from multisk.params import Params
from multisk.preflight.checks import Check
from multisk.preflight.effort import Effort

GIGABYTE = 10**9


def machine_checks(params: Params, root: Path, found: list[Effort]) -> Iterator[Check]:
    """Compare what there is with what is needed, as far as that is known."""
    yield _disk(root, sum(effort.disk for effort in found))
    largest = max((effort.memory for effort in found), default=0)
    yield _gpu(params, largest)
    yield _memory(0 if torch.cuda.is_available() else largest)


def _disk(root: Path, needed: int) -> Check:
    free = shutil.disk_usage(root).free
    said = f"{free / GIGABYTE:,.0f} GB free"
    if not needed:
        return Check("machine", "disk", "ok", said)
    detail = f"{said}, {needed / GIGABYTE:,.3g} GB needed for weights and checkpoints of unfinished training"
    if needed > free:
        return Check("machine", "disk", "missing", detail, f"free space below {root.resolve()}")
    return Check("machine", "disk", "ok", detail)


def _memory(needed: int) -> Check:
    size = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    said = f"{size / GIGABYTE:,.0f} GB"
    if not needed:
        return Check("machine", "memory", "ok", said)
    detail = f"{said}, at least {needed / GIGABYTE:,.3g} GB needed for weights, gradients and optimizer"
    if needed > size:
        return Check("machine", "memory", "missing", detail, "train on a machine with more, or with a GPU")
    return Check("machine", "memory", "ok", detail)


def _gpu(params: Params, needed: int) -> Check:
    half = [name for name, precision in _precisions(params).items() if precision == "fp16"]
    if not torch.cuda.is_available():
        if half:
            detail = f"none; {', '.join(half)} train with mixed_precision: fp16, which needs one"
            remedy = (
                "run on a machine with a GPU (the paper's authors used four); for a small trial on a CPU set "
                f"mixed_precision: no in params.yaml: {', '.join(half)}"
            )
            return Check("machine", "GPU", "missing", detail, remedy)
        return Check("machine", "GPU", "ok", "none; the settings need none")
    cards = [torch.cuda.get_device_properties(index) for index in range(torch.cuda.device_count())]
    said = ", ".join(f"{card.name} ({card.total_memory / GIGABYTE:.0f} GB)" for card in cards)
    if needed > max(card.total_memory for card in cards):
        detail = f"{said}; at least {needed / GIGABYTE:,.3g} GB needed, without activations"
        return Check("machine", "GPU", "missing", detail, "use a GPU with more memory")
    if not needed:
        return Check("machine", "GPU", "ok", said)
    detail = f"{said}; {needed / GIGABYTE:,.3g} GB needed, and more for activations: benchmarks/train_step.py"
    return Check("machine", "GPU", "ok", detail)


def _precisions(params: Params) -> dict[str, str]:
    entries = params.benchmarks.items()
    tuning = {f"benchmarks.{name}.finetune": entry.finetune for name, entry in entries if entry.finetune}
    return {
        name: training.mixed_precision for name, training in {"pretrain": params.pretrain, **tuning}.items()
    }
