"""Recorded cases: `pytest tests/golden --golden DIR` checks any folder with the recorded layout."""

from pathlib import Path
from typing import Any

import pytest
import torch

HERE = Path(__file__).parent


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Path:
    """The folder of recorded cases."""
    return golden_folder(request.config)


def golden_folder(config: pytest.Config) -> Path:
    return Path(config.getoption("golden") or HERE)


def load(path: Path) -> Any:
    """Read a recorded .pt file: plain containers and tensors only."""
    return torch.load(path, weights_only=True)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give each test marked `recorded(section, pattern)` one run per file, named after the file."""
    marker = metafunc.definition.get_closest_marker("recorded")
    if marker is None:
        return
    section, pattern = marker.args
    folder = golden_folder(metafunc.config)
    files = sorted((folder / section).glob(pattern))
    metafunc.parametrize("case", files, ids=[file.stem for file in files])


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Refuse a folder in which no recorded case is found: an empty pass would prove nothing."""
    if config.getoption("golden") is None:
        return
    recorded = [item for item in items if item.get_closest_marker("recorded")]
    if not any(
        "case" in getattr(getattr(item, "callspec", None), "params", {})
        and isinstance(item.callspec.params["case"], Path)
        for item in recorded
    ):  # type: ignore[attr-defined]
        raise pytest.UsageError(f"--golden {golden_folder(config)}: no recorded case in this folder")
