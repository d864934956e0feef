"""Fixtures of the training tests."""

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import torch
from accelerate import PartialState

PROGRAM = Path(__file__).with_name("tiny_run.py")


@pytest.fixture(scope="session")
def tiny() -> ModuleType:
    """The small training run of tiny_run.py, as a module."""
    specification = importlib.util.spec_from_file_location("tiny_run", PROGRAM)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    sys.modules["tiny_run"] = module  # loading workers find the dataset's class by name
    specification.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def tiny_program() -> Path:
    """The same run as a program."""
    return PROGRAM


@pytest.fixture(autouse=True)
def _on_the_cpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Keep to the CPU where there is a GPU too: there a repetition gives the same bits."""
    monkeypatch.setenv("ACCELERATE_USE_CPU", "1")
    PartialState._reset_state()
    yield
    PartialState._reset_state()


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Run the test on a GPU, if there is one."""
    if not torch.cuda.is_available():
        pytest.skip("needs a GPU")
    monkeypatch.delenv("ACCELERATE_USE_CPU")


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
