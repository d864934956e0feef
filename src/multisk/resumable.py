"""Long work that can be killed at any moment and goes on where it was.

DVC deletes a stage's outputs before it runs the stage, so unfinished work lives beside them, in a
hidden folder named after what identifies the work; it becomes the output by one rename.
"""

import fcntl
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from multisk.errors import InputError
from multisk.files import digest, file_digest


def code_digest(*parts: str) -> str:
    """Return the sha256 over the sources of modules and subpackages of multisk (`losses`, `sinkhorn.py`).

    As part of an identity it keeps changed code from going on with what other code began.
    """
    package = Path(__file__).parent
    files: list[Path] = []
    for part in parts:
        path = package / part
        files += [path] if path.is_file() else sorted(path.rglob("*.py"))
    assert files, parts
    return digest([(str(file.relative_to(package)), file_digest(file)) for file in files])


@contextmanager
def resumable(out: Path, identity: Any) -> Iterator[Path]:
    """Give a folder to work in, and make it `out` when the block ends.

    The same `out` and `identity` give the same folder again after an interruption; work that was begun
    with another identity is left alone until this one has succeeded.

    Raises InputError while another process works on the same output.
    """
    attempts = out.with_name(f".{out.name}.unfinished")
    work = attempts / digest(identity)[:16]
    work.mkdir(parents=True, exist_ok=True)
    with (attempts / "lock").open("w") as lock:
        _take(lock, attempts)
        yield work
        shutil.rmtree(out, ignore_errors=True)
        work.rename(out)
        shutil.rmtree(attempts, ignore_errors=True)


def _take(lock: IO[str], attempts: Path) -> None:
    # A stage can outlive a DVC that was killed; two in one folder would spoil it. A lock dies with its owner.
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise InputError(
            f"{attempts}: another process is at work there; wait for it or stop it, then run dvc repro"
        ) from None
