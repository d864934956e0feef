"""The commands that the documentation shows exist, with the options that it gives them."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer

from multisk.cli import app

PAGES = ("reproduce-the-paper.md", "published-data.md", "own-videos.md")


def shown(page: Path) -> list[str]:
    """The lines of a page's shell blocks."""
    blocks = re.findall(r"```sh\n(.*?)```", page.read_text(), re.DOTALL)
    return [line for block in blocks for line in block.splitlines() if line.strip()]


@pytest.mark.parametrize("page", PAGES)
def test_commands_and_options_exist(repository: Path, page: str) -> None:
    lines = [line for line in shown(repository / "docs" / page) if line.startswith("multisk ")]
    assert lines
    for line in lines:
        _, *words = shlex.split(line, comments=True)
        command: Any = typer.main.get_command(app)
        while hasattr(command, "commands"):
            assert words, line
            assert words[0] in command.commands, line
            command = command.commands[words.pop(0)]
        options = {name for parameter in command.params for name in parameter.opts}
        assert {word for word in words if word.startswith("--")} <= options, line


@pytest.mark.parametrize("page", PAGES)
def test_recipes_and_scripts_exist(repository: Path, page: str) -> None:
    text = (repository / "docs" / page).read_text()
    for method in re.findall(r"METHOD=([a-z0-9-]+)", text):
        assert (repository / "recipes" / f"{method}.yaml").is_file(), method
    for script in re.findall(r"python ((?:benchmarks|stages)/\w+\.py)", text):
        assert (repository / script).is_file(), script
    for link in re.findall(r"\]\(([^)#:]+)\)", text):
        assert (repository / "docs" / link).exists(), link
