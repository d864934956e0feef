"""A study over numbers, the tiny world of the stages, and a PostgreSQL server of the test's own."""

import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, text

from multisk.params import Params, load_profile
from multisk.settings.sweep import Optuna, Study

PIPELINE = Path(__file__).parents[1] / "pipeline" / "conftest.py"
SERVERS = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: float(path.parent.name))


def _pipeline() -> Any:
    """Take over the tiny world, which is made once for all test processes."""
    specification = importlib.util.spec_from_file_location("tiny_world", PIPELINE)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


tiny_world = _pipeline()
made, world, settings, write_settings = (
    getattr(tiny_world, name) for name in ("made", "world", "settings", "write_settings")
)


@pytest.fixture
def params(repository: Path) -> Params:
    """The default settings."""
    return load_profile("miniature", repository / "profiles")


@pytest.fixture
def optuna_settings(tmp_path: Path) -> Optuna:
    """An SQLite file; heartbeats at the shortest."""
    return Optuna(
        storage=f"sqlite:///{tmp_path / 'optuna.db'}",
        heartbeat_seconds=1,
        grace_seconds=2,
        seed=0,
        startup_trials=2,
        importance="ped_anova",
    )


@pytest.fixture
def grid_study() -> Study:
    """A grid of six points."""
    return Study.model_validate(
        {
            "methods": ["sspc"],
            "sampler": "grid",
            "objectives": ["mean"],
            "pruner": None,
            "epochs": 3,
            "seeds": [0, 1],
            "trials": None,
            "space": {"anchors": [8, 16, 32], "epsilon": [0.05, 0.1]},
        }
    )


@pytest.fixture
def search() -> Study:
    """A search of two objectives."""
    return Study.model_validate(
        {
            "methods": ["sspc"],
            "sampler": "tpe",
            "objectives": ["youcook2", "msrvtt"],
            "pruner": None,
            "epochs": 3,
            "seeds": [0],
            "trials": 8,
            "space": {"temperature": {"low": 0.01, "high": 1.0, "log": True}, "anchors": [8, 16]},
        }
    )


@pytest.fixture
def start() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start `multisk sweep` in a folder: start(folder, *arguments)."""
    started = []

    def begin(folder: Path, *arguments: str) -> subprocess.Popen[str]:
        started.append(
            subprocess.Popen(
                [sys.executable, "-m", "multisk", "sweep", *arguments],
                cwd=folder,
                env=tiny_world.environment(),
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                start_new_session=True,
            )
        )
        return started[-1]

    yield begin
    for process in started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()


@pytest.fixture
def postgres(postgres_server: str) -> str:
    """The URL of an empty database."""
    name = f"test_{uuid.uuid4().hex}"
    engine = create_engine(f"{postgres_server}/postgres", isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    engine.dispose()
    return f"{postgres_server}/{name}"


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The URL of a server on a port of 127.0.0.1, without a database."""
    if not SERVERS:
        pytest.skip("no PostgreSQL below /usr/lib/postgresql (Debian: apt-get install postgresql)")
    # Not below pytest's folders: they are closed to others, and PostgreSQL refuses to run as root.
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        folder, as_other = Path(name), []
        if os.geteuid() == 0:
            shutil.chown(folder, "nobody")
            as_other = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"]
        with _server(folder, as_other) as url:
            yield url


@contextmanager
def _server(folder: Path, as_other: list[str]) -> Iterator[str]:
    program, data, port = SERVERS[-1], folder / "data", _free_port()
    initdb = [*as_other, program / "initdb", "-D", data, "-U", "tester", "--auth=trust", "-N"]
    done = subprocess.run(initdb, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    options = ["-c", "listen_addresses=127.0.0.1", "-c", f"unix_socket_directories={folder}", "-p", str(port)]
    with (folder / "log").open("w") as log:
        server = subprocess.Popen([*as_other, program / "postgres", "-D", data, *options], stderr=log)
    try:
        ready = [program / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(port)]
        end = time.monotonic() + 60
        while subprocess.run(ready, check=False).returncode != 0:
            assert server.poll() is None, (folder / "log").read_text()
            assert time.monotonic() < end, (folder / "log").read_text()
            time.sleep(0.1)
        yield f"postgresql://tester@127.0.0.1:{port}"
    finally:
        server.send_signal(signal.SIGINT)  # fast shutdown
        server.wait(timeout=60)


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]
