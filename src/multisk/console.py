"""How commands end: bad input is one line and exit code 2, Ctrl-C is 130."""

import errno
import sys
from collections.abc import Callable
from typing import Any

import click
import typer

from multisk.errors import InputError


def run(command: typer.Typer | Callable[..., None]) -> None:
    """Run a typer app, or one function as such an app, as a program."""
    app = command if isinstance(command, typer.Typer) else _app_of(command)
    try:
        code: Any = app(standalone_mode=False)
    except InputError as error:
        _stop(f"error: {' '.join(str(error).split())}", 2)
    except click.ClickException as error:
        error.show()
        raise SystemExit(error.exit_code) from None
    except (KeyboardInterrupt, click.Abort):
        _stop("stopped; the same command goes on where this one was", 130)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        _stop(f"error: {error.filename or 'disk'}: no space left; free some, the same command goes on", 2)
    raise SystemExit(code if isinstance(code, int) else 0)


def _app_of(function: Callable[..., None]) -> typer.Typer:
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(function)
    return app


def _stop(message: str, code: int) -> None:
    print(message, file=sys.stderr)
    raise SystemExit(code)
