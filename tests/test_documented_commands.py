"""The commands that the documentation shows exist, with the options that it gives them."""

import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from markdown_it import MarkdownIt
from markdown_it.token import Token

from multisk.cli import app

PAGES = ("architecture.md", "reproduce-the-paper.md", "published-data.md", "own-videos.md")


def shown(page: Path) -> list[str]:
    """The lines of a page's shell blocks."""
    blocks = [token.content for token in tokens(page) if token.type == "fence" and token.info == "sh"]
    return [line for block in blocks for line in block.splitlines() if line.strip()]


def tokens(page: Path) -> Iterator[Token]:
    """The parts of a page, and those of its paragraphs."""
    for token in MarkdownIt("commonmark").enable("table").parse(page.read_text()):
        yield token
        yield from token.children or ()


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
    parts = list(tokens(repository / "docs" / page))
    code = [part.content for part in parts if part.type in ("fence", "code_inline")]
    words = [word for content in code for line in content.splitlines() for word in line.split()]
    for word in words:
        if word.startswith("METHOD=") and word != "METHOD=...":
            assert (repository / "recipes" / f"{word.removeprefix('METHOD=')}.yaml").is_file(), word
        if word.startswith(("benchmarks/", "stages/")):
            assert (repository / word).exists(), word
    links = [str(part.attrs["href"]).partition("#")[0] for part in parts if part.type == "link_open"]
    assert links
    for link in links:
        assert ":" in link or (repository / "docs" / link).exists(), link
