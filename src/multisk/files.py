"""Small files that are whole: written in one step, read with a remedy, named by their digest."""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from multisk.errors import InputError


def digest(identity: Any) -> str:
    """Return the sha256 of anything that JSON can write, independent of the order of keys."""
    return hashlib.sha256(json.dumps(identity, sort_keys=True, default=str).encode()).hexdigest()


def file_digest(path: Path) -> str:
    """Return the sha256 of a file; raise InputError when it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}; run the stage that makes it (dvc repro)") from None


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary file to write, which becomes `path` when the block ends without an error.

    A reader finds the old content or the new, never a part.
    """
    temporary = path.with_name(path.name + ".tmp")
    try:
        yield temporary
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_text(path: Path, text: str) -> None:
    """Write a file that is either complete or as it was before."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, content: Any) -> None:
    """Write JSON; what `read_json` reads."""
    write_text(path, json.dumps(content, indent=2, sort_keys=True) + "\n")


def read_json(path: Path) -> Any:
    """Read JSON; raise InputError when it is missing or damaged."""
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; run the stage that makes it (dvc repro)") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: damaged ({error}); delete it and run dvc repro") from None
