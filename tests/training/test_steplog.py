from pathlib import Path
from types import ModuleType

import pytest
import torch

from multisk.errors import InputError
from multisk.training.steplog import StepBuffer


def test_steps_arrive_in_order_with_all_their_terms(tiny: ModuleType, tmp_path: Path) -> None:
    log = tiny.Log()
    buffer = StepBuffer(log, tmp_path)
    buffer.add(4, {"loss": torch.tensor(1.5), "learning_rate": 0.1}, clips=8)
    buffer.add(5, {"loss": torch.tensor(2.5), "sspc/x": torch.tensor([7.0]), "learning_rate": 0.2}, clips=8)
    assert log.rows == []
    latest, seconds = buffer.flush()
    speeds = [row.pop("clips_per_second") for row in log.rows]
    assert log.rows == [
        {"step": 4, "loss": 1.5, "learning_rate": 0.1},
        {"step": 5, "loss": 2.5, "sspc/x": 7.0, "learning_rate": 0.2},
    ]
    assert latest["loss"] == 2.5
    assert speeds == [pytest.approx(16 / seconds)] * 2


def test_nothing_is_logged_twice(tiny: ModuleType, tmp_path: Path) -> None:
    log = tiny.Log()
    buffer = StepBuffer(log, tmp_path)
    buffer.add(0, {"loss": torch.tensor(1.0)}, clips=1)
    buffer.flush()
    assert buffer.flush() == ({}, 0.0)
    assert [row["step"] for row in log.rows] == [0]


@pytest.mark.parametrize("name", ["loss", "gradient_norm"])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_step_that_is_not_finite_stops_the_run(
    tiny: ModuleType, tmp_path: Path, name: str, value: float
) -> None:
    log = tiny.Log()
    buffer = StepBuffer(log, tmp_path / "run")
    buffer.add(0, {"loss": torch.tensor(1.0), "gradient_norm": torch.tensor(1.0)}, clips=1)
    buffer.add(1, {"loss": torch.tensor(1.0), "gradient_norm": 1.0, name: torch.tensor(value)}, clips=1)
    with pytest.raises(
        InputError, match=rf"run: step 1: not finite: {name} {value};.*learning_rate"
    ) as caught:
        buffer.flush()
    assert "\n" not in str(caught.value)
    assert [row["step"] for row in log.rows] == [0]


def test_a_skipped_step_may_lack_a_gradient_norm(tiny: ModuleType, tmp_path: Path) -> None:
    log = tiny.Log()
    buffer = StepBuffer(log, tmp_path)
    buffer.add(0, {"loss": torch.tensor(1.0)}, clips=1)
    buffer.flush()
    assert "gradient_norm" not in log.rows[0]
