import os
import socket
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from multisk.training.loop import freeze_batch_norm

STEPS, BATCH = 4, 12


def run_together(commands: list[list[str]], environments: list[dict[str, str]]) -> None:
    """Run programs side by side and fail with what a failing one printed."""
    running = [
        subprocess.Popen(command, env={**os.environ, **more}, stderr=subprocess.PIPE, text=True)
        for command, more in zip(commands, environments, strict=True)
    ]
    try:
        for process in running:
            _, error = process.communicate(timeout=120)
            assert process.returncode == 0, error
    finally:
        for process in running:
            process.kill()


def alone(tiny: ModuleType, method: str) -> dict[str, Any]:
    """Loss, terms and gradients of the last of a few batches, computed by this process."""
    module = tiny.objective(other=method == "other")
    freeze_batch_norm(module.train())
    data = tiny.Clips()
    for step in range(STEPS):
        module.zero_grad()
        loss, terms = module(tiny.collate([data[i] for i in range(step * BATCH, (step + 1) * BATCH)]))
        loss.backward()
    gradients = {name: p.grad for name, p in module.named_parameters() if p.grad is not None}
    return {"loss": loss.detach(), "terms": terms, "gradients": gradients}


def without_key_biases(path: Path) -> dict[str, torch.Tensor]:
    """Leave out what no output depends on: its gradient is rounding, which Adam turns into whole steps."""
    return {name: x for name, x in load_file(path).items() if not name.endswith("qkv.bias")}


@pytest.mark.parametrize("method", ["sspc", "other"])
@pytest.mark.parametrize("processes", [3])
def test_processes_have_the_loss_and_gradients_of_one(
    tiny: ModuleType, tiny_program: Path, tmp_path: Path, processes: int, method: str
) -> None:
    program, result = str(tiny_program.with_name("two_processes.py")), tmp_path / "result.pt"
    ranks = [
        [str(rank), str(processes), str(tmp_path / "store"), str(result), method] for rank in range(processes)
    ]
    run_together([[sys.executable, program, *rank] for rank in ranks], [{}] * processes)
    together, expected = torch.load(result, weights_only=True), alone(tiny, method)
    parts = {name.partition("/")[0] for name in expected["terms"]}
    assert parts == {"contrastive"} | ({"sspc"} if method == "sspc" else {"clustering", "reconstruction"})
    learned = "anchors" if method == "sspc" else "decoders"
    assert any(learned in name for name in expected["gradients"])
    torch.testing.assert_close(together["loss"], expected["loss"])
    torch.testing.assert_close(together["terms"], expected["terms"], rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(together["gradients"], expected["gradients"], rtol=1e-4, atol=1e-5)


def test_two_processes_train_to_the_weights_of_one(
    tiny: ModuleType, tiny_program: Path, tmp_path: Path
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    base = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "ACCELERATE_USE_CPU": "1"}
    environments = [{**base, "RANK": rank, "LOCAL_RANK": rank} for rank in "01"]
    options = '{"settings": {"freeze_batch_norm": true, "epochs": 2}}'
    command = [sys.executable, str(tiny_program), str(tmp_path / "two"), options]
    run_together([command, command], environments)
    log = tiny.Log()
    tiny.run(tmp_path / "one", log, freeze_batch_norm=True, epochs=2)

    rows = tiny.Log(tmp_path / "two" / "steps.jsonl").rows
    assert [row["step"] for row in rows] == list(range(10))
    losses = [row["loss"] for row in rows]
    assert losses == pytest.approx([row["loss"] for row in log.rows], rel=1e-4)
    for name in ("model.safetensors", "ema.safetensors"):
        one, two = (without_key_biases(tmp_path / folder / name) for folder in ("one", "two"))
        torch.testing.assert_close(two, one, rtol=1e-3, atol=1e-4)
