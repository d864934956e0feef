"""Options and fixtures that all tests share, a real browser among them."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).parents[1]
# Nothing but the page that a test opens: no window, no updates, nothing asked of the network.
CHROMIUM_ARGUMENTS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--mute-audio",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip


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


@pytest.fixture(scope="module")  # a driver that is open is an event loop for all that runs meanwhile
def browser() -> Iterator[Any]:
    """Debian's chromium without a window; tests that need it are skipped where there is none."""
    from playwright.sync_api import sync_playwright

    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        pytest.skip("chromium is not installed")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=CHROMIUM_ARGUMENTS)
        yield browser
        browser.close()
