"""Fixtures of the training tests."""

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import torch

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
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
