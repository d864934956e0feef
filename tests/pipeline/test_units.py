"""The unit of work: (method, seed), then (method, benchmark, seed); what is finished is never done again."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from multisk.files import file_digest, read_json

pytestmark = pytest.mark.slow
WEIGHTS = "model.safetensors"


def test_a_third_seed_trains_once_and_leaves_the_others_bit_for_bit(world, stage, settings, write_settings):
    folder = world / "runs/pretrain/contrastive"
    settings["pretrain"]["seeds"] = [0]
    write_settings(world, settings)
    assert stage(world, "pretrain", "contrastive").returncode == 0
    before = {name: (folder / "seed-0" / name).stat().st_mtime_ns for name in (WEIGHTS, "run.json")}
    digest = file_digest(folder / "seed-0" / WEIGHTS)

    settings["pretrain"]["seeds"] = [0, 1, 2]
    write_settings(world, settings)
    assert stage(world, "pretrain", "contrastive").returncode == 0
    after = {name: (folder / "seed-0" / name).stat().st_mtime_ns for name in before}
    assert after == before
    assert len({file_digest(folder / f"seed-{seed}" / WEIGHTS) for seed in (0, 1, 2)}) == 3

    # What a unit becomes does not depend on its neighbours: among three seeds the first is the same.
    shutil.rmtree(folder)
    assert stage(world, "pretrain", "contrastive").returncode == 0
    assert file_digest(folder / "seed-0" / WEIGHTS) == digest


def test_the_clips_of_one_benchmark_leave_the_other_as_it_is(world, stage, settings, write_settings):
    assert stage(world, "pretrain", "sspc").returncode == 0
    assert stage(world, "finetune", "sspc").returncode == 0
    runs = {name: world / f"runs/finetune/sspc/{name}/seed-0/run.json" for name in ("msrvtt", "youcook2")}
    keys = {name: read_json(path)["run_key"] for name, path in runs.items()}
    settings["benchmarks"]["msrvtt"]["clips"]["words"] = 10
    write_settings(world, settings)
    assert stage(world, "finetune", "sspc").returncode == 0
    again = {name: read_json(path)["run_key"] for name, path in runs.items()}
    assert again["youcook2"] == keys["youcook2"]
    assert again["msrvtt"] != keys["msrvtt"]


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    """A copy of the sources that a test may edit."""
    repository = Path(__file__).parents[2]
    for name in ("src", "stages"):
        shutil.copytree(
            repository / name, tmp_path / "copy" / name, ignore=shutil.ignore_patterns("__pycache__")
        )
    return tmp_path / "copy"


def run(sources: Path, world: Path, *command: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, *command],
        cwd=world,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(sources / "src")},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def test_a_comment_in_a_loss_after_a_kill_keeps_the_training_and_says_what_to_do(sources, world):
    script = str(sources / "stages" / "pretrain.py")
    started = run(sources, world, script, "sspc")
    checkpoints = "runs/pretrain/.sspc.unfinished/seed-0/*/checkpoint.pt"
    end = time.monotonic() + 240
    while not list(world.glob(checkpoints)):
        assert started.poll() is None
        assert time.monotonic() < end
        time.sleep(0.02)
    os.killpg(started.pid, signal.SIGKILL)
    started.wait()

    loss = sources / "src/multisk/losses/consistency.py"
    loss.write_text(loss.read_text() + "\n# a comment\n")
    again = run(sources, world, script, "sspc")
    said, _ = again.communicate(timeout=240)
    assert again.returncode == 2
    (line,) = (line for line in said.splitlines() if line.startswith("error:"))
    assert "multisk/losses/consistency.py changed" in line
    assert "multisk unfinished --continue" in line
    assert "multisk unfinished --discard" in line
    assert list(world.glob(checkpoints))

    listed, _ = run(sources, world, "-m", "multisk", "unfinished", "--continue").communicate(timeout=120)
    assert "runs/pretrain/.sspc.unfinished/seed-0/" in listed
    last = run(sources, world, script, "sspc")
    assert last.communicate(timeout=240)[0] is not None
    assert last.returncode == 0
    record = read_json(world / "runs/pretrain/sspc/seed-0/run.json")
    assert len({version["digest"] for version in record["code"]}) == 2
