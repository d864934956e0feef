"""A tiny world, made once by the real stages in a folder of its own, and how to run a stage in it."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock
from ruamel.yaml import YAML

from multisk.params.profiles import compose

REPOSITORY = Path(__file__).parents[2]
Done = subprocess.CompletedProcess[str]


def tiny_settings() -> dict[str, Any]:
    """The smoke profile, smaller still."""
    settings = compose("smoke", REPOSITORY / "profiles")
    settings["profile"] = "tiny"
    worlds = settings["corpora"]
    worlds["howto"] |= {"videos": 4, "seconds": [12, 14]}
    worlds["youcook2"] |= {
        "train_videos": 2,
        "validation_videos": 2,
        "clips_per_video": 2,
        "clip_seconds": [3, 4],
    }
    worlds["msrvtt"] |= {
        "train_clips": 4,
        "test_clips": 4,
        "clip_seconds": [2, 3],
        "without_audio": 0.25,
        "missing": 0.25,
    }
    settings["features"]["words"]["min_count"] = 1
    settings["methods"]["sspc"]["sspc"]["queue"] = 16
    settings["pretrain"] |= {"epochs": 2, "batch_size": 2, "checkpoint_steps": 1}
    for benchmark in ("youcook2", "msrvtt"):
        settings["benchmarks"][benchmark]["finetune"] |= {"epochs": 1, "batch_size": 2}
    return settings


def environment() -> dict[str, str]:
    """Threads are few because tests run side by side; a seed for hashing must not matter."""
    return {**os.environ, "OMP_NUM_THREADS": "1"}


def run_stage(folder: Path, stage: str, *arguments: str) -> Done:
    """Run a stage's script as DVC does, in a folder."""
    command = [sys.executable, str(REPOSITORY / "stages" / f"{stage}.py"), *arguments]
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=False, env=environment(), timeout=300
    )


@pytest.fixture
def stage() -> Callable[..., Done]:
    """Run a stage's script: stage(folder, name, *arguments)."""
    return run_stage


@pytest.fixture
def write_settings() -> Callable[[Path, dict[str, Any]], None]:
    """Write params.yaml into a folder."""
    return lambda folder, settings: YAML().dump(settings, folder / "params.yaml")


@pytest.fixture
def settings() -> dict[str, Any]:
    """The tiny world's settings, to be changed at will."""
    return tiny_settings()


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny world with corpora, words, extractors and features; not to be written to."""
    steps = [("corpora", name) for name in ("howto", "youcook2", "msrvtt")]
    steps += [("words",), ("extractors", "mini-howto")]
    steps += [("features", f"mini-{name}") for name in ("howto", "youcook2", "msrvtt")]
    return shared_world(tmp_path_factory, "made", None, steps)


@pytest.fixture(scope="session")
def trained(made: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny world in which SSPC went all the way to the report; not to be written to."""
    steps = [("pretrain", "sspc"), ("finetune", "sspc"), ("evaluate", "sspc"), ("report",)]
    return shared_world(tmp_path_factory, "trained", made, steps)


def shared_world(
    factory: pytest.TempPathFactory, name: str, start: Path | None, steps: list[tuple[str, ...]]
) -> Path:
    """Run stages in a folder, once for all test processes that run side by side."""
    root = factory.getbasetemp()
    folder = (root.parent if "PYTEST_XDIST_WORKER" in os.environ else root) / f"world-{name}"
    with FileLock(folder.with_suffix(".lock")):
        if not (folder / "done").exists():
            shutil.rmtree(folder, ignore_errors=True)
            if start:
                shutil.copytree(start, folder, ignore=shutil.ignore_patterns("done"))
            else:
                folder.mkdir()
                YAML().dump(tiny_settings(), folder / "params.yaml")
            for step in steps:
                done = run_stage(folder, *step)
                assert done.returncode == 0, f"{step}: {done.stderr}"
            (folder / "done").touch()
    return folder


@pytest.fixture
def world(made: Path, tmp_path: Path) -> Path:
    """A copy of the tiny world to work in."""
    folder = tmp_path / "world"
    shutil.copytree(made, folder)
    return folder
