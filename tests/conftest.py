"""Options and fixtures that all tests share."""

from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--golden", metavar="DIR", help="folder of recorded cases (default: tests/golden)")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "recorded(section, pattern): run once per recorded file")


@pytest.fixture(scope="session")
def repository() -> Path:
    """The repository's root."""
    return REPOSITORY


@pytest.fixture(scope="session")
def realdata() -> Path:
    """Real clips, annotations and word vectors, which are not part of the repository."""
    folder = REPOSITORY.parent / "shared" / "realdata"
    if not folder.is_dir():
        pytest.skip(f"{folder.name}: the real clips and annotations are not beside this repository")
    return folder
