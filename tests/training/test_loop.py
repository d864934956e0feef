import json
import math
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from accelerate.optimizer import AcceleratedOptimizer
from safetensors.torch import load_file
from torch import nn

from multisk.errors import InputError

OUTPUTS = ("model.safetensors", "ema.safetensors")


def weights(directory: Path) -> dict[str, torch.Tensor]:
    return {f"{name}:{key}": value for name in OUTPUTS for key, value in load_file(directory / name).items()}


def assert_same(left: dict[str, torch.Tensor], right: dict[str, torch.Tensor]) -> None:
    assert left.keys() == right.keys()
    assert [key for key in left if not torch.equal(left[key], right[key])] == []


def checkpoint(directory: Path) -> dict[str, Any]:
    return torch.load(directory / "checkpoint.pt", weights_only=True)


def timeless(rows: list[dict[str, float]]) -> list[dict[str, float]]:
    return [{name: value for name, value in row.items() if name != "clips_per_second"} for row in rows]


def stopping_clips(tiny: ModuleType, step: int) -> Any:
    """Return clips that press Ctrl-C while the batch of `step` is loaded."""

    class Stopping(tiny.Clips):  # type: ignore[name-defined]
        def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
            if len(self.loaded) == step * 8 + 3:
                signal.raise_signal(signal.SIGINT)
            return super().__getitem__(index)

    return Stopping()


def stop_at(tiny: ModuleType, directory: Path, step: int, **changes: Any) -> Any:
    """Start a run, press Ctrl-C in a step, and return the log."""
    log = tiny.Log()
    with pytest.raises(KeyboardInterrupt):
        tiny.run(directory, log, dataset=stopping_clips(tiny, step), **changes)
    return log


@pytest.fixture(scope="module")
def whole(tiny: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """A run that nothing disturbed: its directory and log."""
    torch.set_num_threads(1)
    monkeypatch = pytest.MonkeyPatch()
    monkeypatch.setenv("ACCELERATE_USE_CPU", "1")
    directory = tmp_path_factory.mktemp("whole")
    log = tiny.Log(directory / "steps.jsonl")
    tiny.run(directory, log)
    monkeypatch.undo()
    return directory, log


def test_a_run_leaves_weights_average_and_record(whole: tuple[Path, Any]) -> None:
    directory, log = whole
    assert {path.name for path in directory.iterdir()} == {
        "model.safetensors", "ema.safetensors", "training.json", "steps.jsonl",
    }  # fmt: skip
    record = json.loads((directory / "training.json").read_text())
    assert (record["steps"], record["epochs"], record["clips"]) == (20, 4, 160)
    assert record["clips_per_second"] == pytest.approx(160 / record["seconds"])
    assert (record["device"], record["precision"], record["processes"]) == ("cpu", "no", 1)
    assert [row["step"] for row in log.rows] == list(range(20))


def test_every_term_is_logged(whole: tuple[Path, Any]) -> None:
    _, log = whole
    filling, full = log.rows[0], log.rows[-1]
    always = {"loss", "gradient_norm", "learning_rate", "clips_per_second"}
    assert always | {"contrastive/t-v", "contrastive/t-a", "contrastive/v-a"} <= set(filling)
    terms = {
        f"sspc/{side}/{m}-{n}" for side in ("input_to_joint", "joint_to_input") for m in "tva" for n in "tva"
    }
    assert terms <= set(full)
    assert not terms & set(filling)
    assert all(math.isfinite(value) for row in log.rows for value in row.values())


def test_learning_rate_decays_after_each_epoch(whole: tuple[Path, Any]) -> None:
    rates = [row["learning_rate"] for row in whole[1].rows]
    assert rates == pytest.approx([1e-3 * 0.9 ** (step // 5) for step in range(20)], rel=1e-12)


def test_weights_hold_anchors_and_statistics(whole: tuple[Path, Any]) -> None:
    names = set(load_file(whole[0] / "model.safetensors"))
    assert {"anchors.input.t", "anchors.joint.a"} <= names
    assert any(name.endswith("running_var") for name in names)


def test_the_average_differs_from_the_weights_and_follows_the_decay(tiny: ModuleType, tmp_path: Path) -> None:
    tiny.run(tmp_path / "zero", ema=0.0, epochs=1)
    zero = load_file(tmp_path / "zero" / "ema.safetensors")
    torch.testing.assert_close(zero, load_file(tmp_path / "zero" / "model.safetensors"))
    tiny.run(tmp_path / "one", ema=1.0, epochs=1)
    start = tiny.objective().model.state_dict()
    kept = load_file(tmp_path / "one" / "ema.safetensors")
    floats = [name for name in kept if kept[name].is_floating_point()]
    torch.testing.assert_close({n: kept[n] for n in floats}, {n: start[n] for n in floats}, rtol=0, atol=0)


def test_a_killed_run_ends_in_the_same_weights(
    tiny: ModuleType, tiny_program: Path, whole: tuple[Path, Any], tmp_path: Path
) -> None:
    directory = tmp_path / "killed"
    command = [sys.executable, str(tiny_program), str(directory)]
    process = started_until(directory, [*command, json.dumps({"wait_at": 9})])
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert checkpoint(directory)["step"] == 8
    assert len(tiny.Log(directory / "steps.jsonl").rows) == 10
    assert not (directory / "training.json").exists()

    subprocess.run([*command, "{}"], check=True, timeout=120)
    assert_same(weights(directory), weights(whole[0]))
    assert timeless(tiny.Log(directory / "steps.jsonl").rows) == timeless(whole[1].rows)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_a_terminated_run_saves_and_ends_in_the_same_weights(
    tiny_program: Path, whole: tuple[Path, Any], tmp_path: Path, number: signal.Signals
) -> None:
    """As SLURM does: the signal reaches the loading processes, too."""
    command = [sys.executable, str(tiny_program), str(tmp_path)]
    options = json.dumps({"wait_at": 9, "settings": {"workers": 1, "checkpoint_steps": 100}})
    process = started_until(tmp_path, [*command, options])
    os.killpg(process.pid, number)
    (tmp_path / "go").touch()
    _, error = process.communicate(timeout=120)
    assert (process.returncode, error) == (143, "")
    assert checkpoint(tmp_path)["step"] == 11  # the step after the one whose log it waited in

    subprocess.run([*command, "{}"], check=True, timeout=120)
    assert_same(weights(tmp_path), weights(whole[0]))
    assert not (tmp_path / "checkpoint.pt").exists()


def started_until(directory: Path, command: list[str]) -> "subprocess.Popen[str]":
    """Start a run in a process group of its own and return when it waits."""
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
    for _ in range(2400):
        if (directory / "waiting").exists():
            return process
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.05)
    process.kill()
    pytest.fail("the run did not come to the step at which it should wait")


def test_ctrl_c_in_a_terminal_ends_a_run_with_workers_cleanly(
    tiny_program: Path, whole: tuple[Path, Any], tmp_path: Path
) -> None:
    options = json.dumps({"wait_at": 2, "settings": {"workers": 2, "checkpoint_steps": 3}})
    process = started_until(tmp_path, [sys.executable, str(tiny_program), str(tmp_path), options])
    os.killpg(process.pid, signal.SIGINT)
    (tmp_path / "go").touch()
    _, error = process.communicate(timeout=120)
    assert (process.returncode, error) == (130, "")
    assert checkpoint(tmp_path)["step"] == 4


@pytest.mark.parametrize("step", [0, 6, 14, 19])
def test_ctrl_c_saves_and_the_run_goes_on_exactly(
    tiny: ModuleType, whole: tuple[Path, Any], tmp_path: Path, step: int
) -> None:
    before = signal.getsignal(signal.SIGINT)
    log = stop_at(tiny, tmp_path, step)
    assert checkpoint(tmp_path)["step"] == step + 1
    assert signal.getsignal(signal.SIGINT) is before
    data = tiny.Clips()
    again = tiny.Log()
    again.rows = log.rows
    tiny.run(tmp_path, again, dataset=data, objective=tiny.objective(seed=99))
    assert_same(weights(tmp_path), weights(whole[0]))
    assert timeless(again.rows) == timeless(whole[1].rows)
    assert len(data.loaded) == (20 - step - 1) * 8


def test_ctrl_c_in_the_last_moment_is_not_swallowed(
    tiny: ModuleType, whole: tuple[Path, Any], tmp_path: Path
) -> None:
    class Pressing(tiny.Log):  # type: ignore[name-defined]
        def __call__(self, step: int, metrics: dict[str, float]) -> None:
            super().__call__(step, metrics)
            if step == 19:
                signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        tiny.run(tmp_path, Pressing())
    assert checkpoint(tmp_path)["step"] == 20
    tiny.run(tmp_path)
    assert_same(weights(tmp_path), weights(whole[0]))


def test_a_second_ctrl_c_does_not_wait(tiny: ModuleType, tmp_path: Path) -> None:
    class Twice(tiny.Clips):  # type: ignore[name-defined]
        def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
            signal.raise_signal(signal.SIGINT)
            return super().__getitem__(index)

    with pytest.raises(KeyboardInterrupt):
        tiny.run(tmp_path, dataset=Twice())
    assert not (tmp_path / "checkpoint.pt").exists()


def test_a_run_outside_the_main_thread_works(tiny: ModuleType, tmp_path: Path) -> None:
    thread = threading.Thread(target=tiny.run, args=(tmp_path,), kwargs={"epochs": 1})
    thread.start()
    thread.join()
    assert (tmp_path / "training.json").exists()


def test_a_finished_run_is_left_alone(tiny: ModuleType, whole: tuple[Path, Any]) -> None:
    directory, _ = whole
    before = {path: path.stat().st_mtime_ns for path in directory.iterdir()}
    (directory / "checkpoint.pt").touch()  # the end came between the record and its removal
    data, log = tiny.Clips(), tiny.Log()
    result = tiny.run(directory, log, dataset=data)
    assert result.steps == 20
    assert (data.loaded, log.rewound) == ([], [])
    assert {path: path.stat().st_mtime_ns for path in directory.iterdir()} == before


@pytest.mark.parametrize("unfinished", [False, True])
def test_other_settings_are_refused(tiny: ModuleType, tmp_path: Path, unfinished: bool) -> None:
    if unfinished:
        stop_at(tiny, tmp_path, 3, epochs=1)
    else:
        tiny.run(tmp_path, epochs=1)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(InputError, match=r"was trained with learning_rate = 0\.001, .* now say 0\.002"):
        tiny.run(tmp_path, epochs=1, learning_rate=2e-3)
    with pytest.raises(InputError, match="was trained with seed = 3"):
        tiny.run(tmp_path, epochs=1, seed=4)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_settings_without_influence_may_change(
    tiny: ModuleType, whole: tuple[Path, Any], tmp_path: Path
) -> None:
    stop_at(tiny, tmp_path, 6, checkpoint_steps=7)
    tiny.run(tmp_path, workers=2, checkpoint_steps=100)
    assert_same(weights(tmp_path), weights(whole[0]))


def test_a_checkpoint_of_another_model_is_refused(tiny: ModuleType, tmp_path: Path) -> None:
    stop_at(tiny, tmp_path, 3)
    with pytest.raises(InputError, match=r"checkpoint\.pt: is of another model") as caught:
        tiny.run(tmp_path, objective=tiny.objective(joint_dimension=12))
    assert "\n" not in str(caught.value)


def test_a_damaged_checkpoint_is_refused(tiny: ModuleType, tmp_path: Path) -> None:
    stop_at(tiny, tmp_path, 3)
    path = tmp_path / "checkpoint.pt"
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(InputError, match=r"checkpoint\.pt: no whole checkpoint"):
        tiny.run(tmp_path)


def test_the_checkpoint_holds_queues_and_fill(tiny: ModuleType, tmp_path: Path) -> None:
    stop_at(tiny, tmp_path, 3)
    state = checkpoint(tmp_path)["objective"]
    fresh = tiny.objective().state_dict()
    queues = [name for name in state if name.startswith("sspc.") and state[name].dim() == 2]
    assert len(queues) == 6
    assert all(not torch.equal(state[name], fresh[name]) for name in queues)
    (filled,) = [state[name] for name in state if name.startswith("sspc.") and state[name].dim() == 0]
    assert filled >= 16


def test_a_loss_that_is_not_finite_keeps_the_last_checkpoint(tiny: ModuleType, tmp_path: Path) -> None:
    class Broken(tiny.Clips):  # type: ignore[name-defined]
        def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
            item = super().__getitem__(index)
            return {**item, "text": item["text"] * (math.nan if self.epoch == 1 else 1)}

    log = tiny.Log()
    with pytest.raises(InputError, match=r"step 5: not finite: loss nan, contrastive/t-v nan"):
        tiny.run(tmp_path, log, dataset=Broken())
    state = checkpoint(tmp_path)
    assert state["step"] == 4
    assert all(value.isfinite().all() for value in state["objective"].values())
    assert [row["step"] for row in log.rows] == list(range(5))
    assert not (tmp_path / "training.json").exists()


def test_frozen_batch_norm_keeps_its_statistics_and_learns_its_weights(
    tiny: ModuleType, tmp_path: Path
) -> None:
    module = tiny.objective()
    before = {name: tensor.clone() for name, tensor in module.model.state_dict().items()}
    tiny.run(tmp_path, objective=module, freeze_batch_norm=True, epochs=1)
    norms = [
        n for n, part in module.model.named_modules() if isinstance(part, nn.modules.batchnorm._BatchNorm)
    ]
    after = load_file(tmp_path / "model.safetensors")
    assert norms
    for name in norms:
        assert torch.equal(after[f"{name}.running_mean"], before[f"{name}.running_mean"])
        assert torch.equal(after[f"{name}.running_var"], before[f"{name}.running_var"])
    assert any(not torch.equal(after[f"{name}.weight"], before[f"{name}.weight"]) for name in norms)


def test_half_precision_needs_a_gpu(tiny: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"params\.yaml: mixed_precision: fp16 needs a GPU"):
        tiny.run(tmp_path, mixed_precision="fp16")


def test_precision_may_differ_between_runs_of_a_process(
    tiny: ModuleType, whole: tuple[Path, Any], tmp_path: Path
) -> None:
    log = tiny.Log()
    tiny.run(tmp_path / "half", log, mixed_precision="bf16", epochs=1)
    tiny.run(tmp_path / "full", epochs=4)
    assert_same(weights(tmp_path / "full"), weights(whole[0]))
    expected = [row["loss"] for row in whole[1].rows[:5]]
    half = [row["loss"] for row in log.rows]
    assert half != expected
    assert half == pytest.approx(expected, rel=0.1)


def test_contrastive_alone_trains(tiny: ModuleType, tmp_path: Path) -> None:
    log = tiny.Log()
    tiny.run(tmp_path, log, objective=tiny.objective(sspc=False), epochs=1)
    assert not any(name.startswith("sspc") for row in log.rows for name in row)


def test_a_full_disk_ends_the_run_and_keeps_the_last_checkpoint(
    tiny: ModuleType, whole: tuple[Path, Any], tmp_path: Path
) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

    class Filling(tiny.Log):  # type: ignore[name-defined]
        def __call__(self, step: int, metrics: dict[str, float]) -> None:
            super().__call__(step, metrics)
            if step == 5:
                resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))

    try:
        with pytest.raises(InputError, match=r"checkpoint\.pt: cannot be written"):
            tiny.run(tmp_path, Filling())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint.pt"]
    assert checkpoint(tmp_path)["step"] == 4
    tiny.run(tmp_path)
    assert_same(weights(tmp_path), weights(whole[0]))


def test_the_average_rests_when_the_optimizer_skips_a_step(
    tiny: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(AcceleratedOptimizer, "step_was_skipped", True)
    log = tiny.Log()
    tiny.run(tmp_path, log, epochs=1)
    average, start = load_file(tmp_path / "ema.safetensors"), tiny.objective().model.state_dict()
    torch.testing.assert_close(average, dict(start), rtol=0, atol=0)
    assert not any("gradient_norm" in row for row in log.rows)


@pytest.mark.usefixtures("gpu")
@pytest.mark.parametrize("precision", ["no", "bf16", "fp16"])
def test_a_gpu_trains_and_goes_on(tiny: ModuleType, tmp_path: Path, precision: str) -> None:
    stop_at(tiny, tmp_path, 6, mixed_precision=precision)
    assert bool(checkpoint(tmp_path)["scaler"]) == (precision == "fp16")
    log = tiny.Log()
    result = tiny.run(tmp_path, log, mixed_precision=precision)
    assert (result.steps, log.rewound) == (20, [7])
    assert result.device == torch.cuda.get_device_name()
