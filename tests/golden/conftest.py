"""Recorded cases: `pytest tests/golden --golden DIR` checks any folder with the recorded layout."""

import warnings
from pathlib import Path

import pytest

HERE = Path(__file__).parent
PATTERNS = pytest.StashKey[dict[str, set[str]]]()  # of the files that tests read, by section


def golden_folder(config: pytest.Config) -> Path:
    return Path(config.getoption("golden") or HERE)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give each test marked `recorded(section, pattern)` one run per file, named after the file."""
    marker = metafunc.definition.get_closest_marker("recorded")
    if marker is None:
        return
    section, pattern = marker.args
    metafunc.config.stash.setdefault(PATTERNS, {}).setdefault(section, set()).add(pattern)
    folder = golden_folder(metafunc.config)
    files = sorted((folder / section).glob(pattern))
    metafunc.parametrize("case", files, ids=[file.stem for file in files])


class NoRecordedCase(pytest.Item):
    """Fails: in a process of several the run cannot be refused by raising while tests are collected."""

    def runtest(self) -> None:
        pytest.fail(self.name, pytrace=False)


@pytest.hookimpl(trylast=True)  # after -k and -m have deselected
def pytest_collection_modifyitems(
    session: pytest.Session, config: pytest.Config, items: list[pytest.Item]
) -> None:
    """Refuse a folder in which no recorded case is found: an empty pass would prove nothing."""
    warn_of_unread_files(config)
    if config.getoption("golden") is None or any(has_case(item) for item in items):
        return
    refusal = f"--golden {golden_folder(config)}: no recorded case in this folder"
    if not hasattr(config, "workerinput"):
        raise pytest.UsageError(refusal)
    items[:] = [NoRecordedCase.from_parent(session, name=refusal)]


def has_case(item: pytest.Item) -> bool:
    """Whether a test has a recorded file; pytest gives a placeholder where there is none."""
    parameters = (
        item.callspec.params if isinstance(item, pytest.Function) and hasattr(item, "callspec") else {}
    )
    return item.get_closest_marker("recorded") is not None and isinstance(parameters.get("case"), Path)


def warn_of_unread_files(config: pytest.Config) -> None:
    """Name the arrays that no test of their section reads, such as cases with a new kind of name."""
    for section, patterns in config.stash.get(PATTERNS, {}).items():
        folder = golden_folder(config) / section
        read = {file for pattern in patterns for file in folder.glob(pattern)}
        unread = {*folder.glob("*.pt"), *folder.glob("*.npz")} - read
        if unread:
            names = ", ".join(sorted(file.name for file in unread))
            warnings.warn(f"{folder}: no test reads {names}", stacklevel=1)
