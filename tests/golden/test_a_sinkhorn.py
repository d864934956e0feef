"""Multi-SK against recorded assignments."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.reference.slots import slot_assignments

from multisk import sinkhorn

TOLERANCE = {"rtol": 1e-4, "atol": 1e-5}


@pytest.fixture
def record(case: Path) -> dict[str, Any]:
    with np.load(case, allow_pickle=False) as arrays:
        return {
            key: array.item() if array.ndim == 0 else torch.from_numpy(array) for key, array in arrays.items()
        }


def settings(record: dict[str, Any]) -> dict[str, Any]:
    return {
        "fraction": record["required_fraction"],
        "epsilon": record["eps"],
        "iterations": record["niters"],
        "slots": "constant" if record["discrete"] else "ramp",
    }


def carries_information(record: dict[str, Any]) -> bool:
    """Whether some, and not all, of the slots are summed; otherwise the recorded result is rounding noise."""
    return 0 < record["required_properties"] < record["scores"].shape[1]


def left_float32(record: dict[str, Any]) -> bool:
    """Whether the recorded float32 run overflowed, or lost a whole sample below the smallest float32."""
    exponents = record["scores"] / record["eps"]
    log_sum = (torch.exp(exponents).sum() * record["scores"].shape[1]).log()
    faintest = exponents.amax(1).min() - log_sum
    return not faintest > math.log(torch.finfo(torch.float32).tiny)


@pytest.mark.recorded("A_sinkhorn", "*.npz")
def test_assignment(record: dict[str, Any]) -> None:
    if not carries_information(record):
        with pytest.raises(ValueError, match="fraction"):
            sinkhorn.multi_sinkhorn(record["scores"], **settings(record))
        return
    result = sinkhorn.multi_sinkhorn(record["scores"], **settings(record))
    assert result.assignment.dtype == torch.float32
    expected = record["final_assignment_f64"]
    torch.testing.assert_close(result.assignment.double(), expected, **TOLERANCE)
    if not left_float32(record):
        torch.testing.assert_close(result.assignment, record["final_assignment"], **TOLERANCE)


@pytest.mark.recorded("A_sinkhorn", "*.npz")
def test_assignment_in_double_precision(record: dict[str, Any]) -> None:
    if not carries_information(record):
        return
    result = sinkhorn.multi_sinkhorn(record["scores"].double(), **settings(record))
    torch.testing.assert_close(result.assignment, record["final_assignment_f64"], rtol=0, atol=1e-10)


@pytest.mark.recorded("A_sinkhorn", "*.npz")
def test_slots(record: dict[str, Any]) -> None:
    slots = slot_assignments(record["scores"], **settings(record))
    assert torch.isfinite(slots).all()
    if left_float32(record):
        return
    if "A" not in record:
        recorded = torch.stack([record["A_slice_first"], record["A_slice_last"]])
        torch.testing.assert_close(slots[[0, -1]], recorded, **TOLERANCE)
        return
    K = record["scores"].shape[1]
    copies = (
        [1] * K if len(slots) == K else [K - record["required_properties"], record["required_properties"]]
    )
    every_slot = (
        slots.expand(K, -1, -1) if len(slots) == 1 else slots.repeat_interleave(torch.tensor(copies), 0)
    )
    torch.testing.assert_close(every_slot, record["A"], **TOLERANCE)
