"""Work that can be killed at any moment and goes on where it was.

A piece of work is identified by its settings and its data: other settings are other work. Unfinished work
lies beside the output that it belongs to, in a hidden folder named after what identifies it, and becomes
the output by one rename; it is never deleted unasked. The code that does the work is noted, and work that
other code began stops, for a person to decide (`ChangedCode`).

    runs/pretrain/sspc/seed-0/                              finished: the unit (sspc, 0)
    runs/pretrain/sspc/seed-0/work.json                     what identifies it, and by which code it was done
    runs/pretrain/.sspc.unfinished/seed-0/<digest>/         begun
    runs/pretrain/.sspc.unfinished/seed-0/<digest>.json     what identifies it, and by which code it was begun
"""

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from errno import ENOLCK, ENOSYS, EOPNOTSUPP
from pathlib import Path
from typing import Any, Literal

from filelock import BaseFileLock, FileLock, SoftFileLock, Timeout

from multisk.errors import InputError
from multisk.files import digest, read_json, write_json

ChangedCode = Literal["stop", "continue", "restart"]  # what becomes of unfinished work that other code began
NOTE = "work.json"
DIGITS = 16  # of a digest, in names of folders
NO_FLOCK = (ENOLCK, ENOSYS, EOPNOTSUPP)  # what file systems answer that have no such locks (NFS, Lustre)


@dataclass(frozen=True)
class Code:
    """The sources that do some work.

    Attributes:
        files: sha256 by path.
        changed: what to do with unfinished work that other sources began.
    """

    files: Mapping[str, str]
    changed: ChangedCode = "stop"

    @property
    def digest(self) -> str:
        """One checksum for all."""
        return digest(self.files)


@dataclass(frozen=True)
class Unit:
    """One of the pieces that an output consists of, each with a result of its own.

    Attributes:
        name: its folder below the output, such as `seed-0` or `msrvtt/seed-0`.
        identity: its settings and its data, as anything that JSON can write.
    """

    name: str
    identity: Any


@contextmanager
def resumable(out: Path, identity: Any, code: Code) -> Iterator[Path]:
    """Give a folder to work in, and make it `out` when the block ends.

    The same `out` and `identity` give the same folder again after an interruption.

    Raises InputError while another process works on the same output, and for work that other code began.
    """
    with _alone(out):
        work = _begun(out, Unit(".", identity), code)
        yield work
        _finish(work, out)
        settle(work)


@contextmanager
def resumable_units(out: Path, units: list[Unit], code: Code) -> Iterator[dict[str, Path]]:
    """Give, by name, a folder to work in for each unit that `out` lacks; when the block ends it has them all.

    What is finished, of the same identity and by the same code, stays as it is; folders of other units go.

    Raises InputError as `resumable`.
    """
    with _alone(out):
        missing = [unit for unit in units if not _is_finished(out / unit.name, unit, code)]
        works = {unit.name: _begun(out, unit, code) for unit in missing}
        yield works
        out.mkdir(parents=True, exist_ok=True)  # also where there is nothing to do: DVC asks for it
        for name, work in works.items():
            write_json(work / NOTE, read_json(_note(work)))
            _finish(work, out / name)
            settle(work)
        _drop_others(out, {unit.name for unit in units})


def begin(work: Path, identity: Any, code: Code) -> None:
    """Note what some work is, before it begins or goes on in its folder.

    Raises InputError for a folder in which other code began, unless `code` says what to do then.
    """
    note = read_json(_note(work)) if work.is_dir() and _note(work).exists() else None
    if note and note["code"][-1] != code.files:
        if code.changed == "restart":
            discard(work)
            note = None
        elif code.changed == "stop" and not note.get("accepted"):
            raise InputError(_other_code(work, note["code"][-1], code.files))
    versions = note["code"] if note else []
    if code.files not in versions[-1:]:
        versions = [*versions, dict(code.files)]
    work.mkdir(parents=True, exist_ok=True)
    write_json(_note(work), {"identity": identity, "code": versions})


def settle(work: Path) -> None:
    """Say that work has ended that stays in its folder."""
    _note(work).unlink(missing_ok=True)


def unfinished(root: Path) -> list[Path]:
    """Return the folders of unfinished work in a working copy."""
    places = [place for depth in (".", "*", "*/*") for place in root.glob(f"{depth}/.*.unfinished")]
    return sorted(work for place in [root / "sweeps", *places] for work in _works(place))


def accept_code(work: Path) -> None:
    """Let unfinished work go on with whatever code there is by then."""
    write_json(_note(work), {**read_json(_note(work)), "accepted": True})


def discard(work: Path) -> None:
    """Delete unfinished work."""
    shutil.rmtree(work)
    settle(work)


def _begun(out: Path, unit: Unit, code: Code) -> Path:
    """Return the folder of a unit's work, new or as it was left."""
    work = _attempts(out) / unit.name / digest(unit.identity)[:DIGITS]
    begin(work, unit.identity, code)
    return work


def _other_code(work: Path, then: Mapping[str, str], now: Mapping[str, str]) -> str:
    changed = [path for path in sorted({*then, *now}) if then.get(path) != now.get(path)]
    more = f" and {len(changed) - 3} more" if len(changed) > 3 else ""
    return (
        f"{work}: unfinished, and begun with other code ({', '.join(changed[:3])}{more} changed); to go on "
        "with the new code: multisk unfinished --continue, to begin afresh: multisk unfinished --discard; "
        "then run the same command (for unattended runs params.yaml decides: changed_code)"
    )


def _is_finished(folder: Path, unit: Unit, code: Code) -> bool:
    if not (folder / NOTE).exists():
        return False
    note = read_json(folder / NOTE)
    return digest(note["identity"]) == digest(unit.identity) and note["code"][-1] == code.files


def _finish(work: Path, out: Path) -> None:
    shutil.rmtree(out, ignore_errors=True)
    out.parent.mkdir(parents=True, exist_ok=True)
    work.rename(out)


def _drop_others(out: Path, names: set[str]) -> None:
    for note in list(out.rglob(NOTE)):
        if note.parent.relative_to(out).as_posix() not in names:
            shutil.rmtree(note.parent)


def _works(attempts: Path) -> Iterator[Path]:
    # Units lie one or two folders deeper; what is below a folder of work is its own.
    for depth in (".", "*", "*/*"):
        for note in attempts.glob(f"{depth}/*.json"):
            if note.with_suffix("").is_dir() and {"identity", "code"} <= {*read_json(note)}:
                yield note.with_suffix("")


def _attempts(out: Path) -> Path:
    return out.with_name(f".{out.name}.unfinished")


def _note(work: Path) -> Path:
    return work.with_name(f"{work.name}.json")


@contextmanager
def _alone(out: Path) -> Iterator[None]:
    """Keep other processes from an output: a stage can outlive a DVC that was killed."""
    attempts = _attempts(out)
    attempts.mkdir(parents=True, exist_ok=True)
    try:
        lock = locked(attempts / "lock")
    except Timeout:
        raise InputError(
            f"{attempts}: another process is at work there; wait for it or stop it, then run dvc repro"
        ) from None
    try:
        yield
        if not any(_works(attempts)):
            shutil.rmtree(attempts, ignore_errors=True)
    finally:
        lock.release()


def locked(path: Path, wait: bool = False) -> BaseFileLock:
    """Return a lock on a file, taken; it ends with its owner.

    Where the file system has no locks, a file that names its owner stands for one.

    Raises Timeout when another process has it, unless told to wait.
    """
    seconds = -1 if wait else 0
    lock: BaseFileLock = FileLock(path, timeout=seconds)
    try:
        lock.acquire()
    except OSError as error:
        if isinstance(error, Timeout) or error.errno not in NO_FLOCK:
            raise
        lock = SoftFileLock(path.with_name(f"{path.name}.owner"), timeout=seconds)
        lock.acquire()
    return lock
