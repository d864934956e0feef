"""How commands end: what is wrong or missing is one line and code 2, Ctrl-C 130, SIGTERM and SIGUSR1 143."""

import errno
import os
import signal
import sys
import time
from collections.abc import Callable
from functools import wraps
from importlib import metadata
from threading import Thread
from typing import Any, NoReturn

import typer
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from multisk.errors import InputError, one_line
from multisk.stopping import Terminated, raise_when_terminated


def run(command: typer.Typer | Callable[..., None]) -> NoReturn:
    """Run a typer app, or one function as such an app, as a program."""
    app = command if isinstance(command, typer.Typer) else _app_of(command)
    _answer_in_words(app)
    raise_when_terminated()
    _end_with_dvc()
    app()
    raise SystemExit(0)


def _answer_in_words(app: typer.Typer) -> None:
    for registered in app.registered_commands:
        assert registered.callback is not None
        registered.callback = answering(registered.callback)
    for group in app.registered_groups:
        assert group.typer_instance is not None
        _answer_in_words(group.typer_instance)


def _end_with_dvc() -> None:
    """End when a DVC that was killed leaves this process behind: the next DVC starts the stage again."""
    if "DVC_STAGE" not in os.environ:
        return
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.2)
        os.kill(os.getpid(), signal.SIGTERM)

    Thread(target=watch, daemon=True).start()


def answering(function: Callable[..., Any]) -> Callable[..., Any]:
    """Let a function end the program with one line where a person must act."""

    @wraps(function)
    def answered(*arguments: Any, **options: Any) -> Any:
        try:
            return function(*arguments, **options)
        except InputError as error:
            _stop(f"error: {one_line(error)}", 2)
        except KeyboardInterrupt as stop:
            code = 143 if isinstance(stop, Terminated) else 130
            _stop("stopped; the same command goes on where this one was", code)
        except OSError as error:
            _stop(f"error: {_os_error(error)}", 2)
        except ModuleNotFoundError as error:
            _stop(f"error: {_not_installed(error)}", 2)

    return answered


def _os_error(error: OSError) -> str:
    """Say which file and what of it; raise the error again where it names no file."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"{error.filename or 'disk'}: no space left; free some, the same command goes on"
    if error.filename is None or not error.strerror:
        raise error
    name = error.filename.decode(errors="replace") if isinstance(error.filename, bytes) else error.filename
    return one_line(f"{name}: {error.strerror}")


def _not_installed(error: ModuleNotFoundError) -> str:
    """Say which package is missing and what brings it; raise the error again where it is one of our own."""
    package = (error.name or "").partition(".")[0]
    if package in ("", "multisk", "miniature"):
        raise error
    return f"{package} is not installed; pip install 'multisk[{_extra_of(package)}]'"


def _extra_of(package: str) -> str:
    """Return the first extra that asks for a package; `all` for what only others need."""
    try:
        extras = metadata.metadata("multisk").get_all("Provides-Extra", [])
        requirements = map(Requirement, metadata.requires("multisk") or ())
    except metadata.PackageNotFoundError:  # sources that are not installed themselves
        return "all"
    markers = [
        one.marker for one in requirements if canonicalize_name(one.name) == canonicalize_name(package)
    ]
    return next(
        (extra for extra in extras for each in markers if each and each.evaluate({"extra": extra})), "all"
    )


def _app_of(function: Callable[..., None]) -> typer.Typer:
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(function)
    return app


def _stop(message: str, code: int) -> NoReturn:
    print(message, file=sys.stderr)
    raise SystemExit(code)
