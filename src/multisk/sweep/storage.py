"""Where studies are kept: a database that several workers may share, or an SQLite file for one."""

import fcntl
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from multisk.errors import InputError, one_line
from multisk.layout import home
from multisk.settings.sweep import Optuna

KEY = "params.yaml: optuna.storage"
ATTEMPTS = 10  # to open a new database, a second apart


def storage_url(settings: Optuna) -> str:
    """Return the database's URL: params.yaml's, or an SQLite file in tracking/, by absolute path."""
    if settings.storage:
        return settings.storage
    folder = home() / "tracking"
    folder.mkdir(parents=True, exist_ok=True)
    return f"sqlite:///{folder / 'optuna.db'}"


@contextmanager
def opened(settings: Optuna) -> Iterator[Any]:
    """Open the storage for working on it.

    Raises InputError where it cannot be reached, and while another process works on the same SQLite file.
    """
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        url = make_url(storage_url(settings))
    except ArgumentError:
        raise InputError(
            f"{KEY}: {settings.storage!r} is no URL; write postgresql://user@host/name"
        ) from None
    if url.get_backend_name() != "sqlite":
        yield connect(settings)
        return
    with _alone(Path(url.database or "")):
        yield connect(settings)


def connect(settings: Optuna) -> Any:
    """Connect to the storage, which is made where it is new; raise InputError where that fails."""
    from sqlalchemy.exc import IntegrityError, ProgrammingError, SQLAlchemyError

    try:
        for _ in range(ATTEMPTS):
            try:
                return _connect(settings)
            except (IntegrityError, ProgrammingError):  # another worker makes the tables at this moment
                time.sleep(1)
        return _connect(settings)
    except (SQLAlchemyError, ImportError, RuntimeError) as error:
        reason = one_line(error).split(" (Background on")[0][:300]
        raise InputError(f"{KEY}: the database cannot be opened: {reason}") from None


def _connect(settings: Optuna) -> Any:
    from optuna.exceptions import ExperimentalWarning
    from optuna.storages import RDBStorage, RetryHeartbeatStaleTrialCallback

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        return RDBStorage(
            storage_url(settings),
            heartbeat_interval=settings.heartbeat_seconds,
            grace_period=settings.grace_seconds,
            heartbeat_stale_trial_callback=RetryHeartbeatStaleTrialCallback(),
        )


@contextmanager
def exclusive(storage: Any) -> Iterator[None]:
    """Keep other workers from starting trials meanwhile; the lock dies with its owner.

    It is a row that Optuna writes once, when it makes its tables, and only reads later.
    """
    from sqlalchemy import text

    if storage.engine.dialect.name == "sqlite":  # its one worker is alone anyway
        yield
        return
    with storage.engine.begin() as connection:
        connection.execute(text("SELECT 1 FROM version_info FOR UPDATE"))
        yield


@contextmanager
def _alone(database: Path) -> Iterator[None]:
    database.parent.mkdir(parents=True, exist_ok=True)
    with database.with_name(database.name + ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(
                f"{database}: another sweep works on it, and SQLite serves one; wait for it, or set "
                "optuna.storage in params.yaml to a database for several (postgresql://user@host/name)"
            ) from None
        yield
