"""How commands end: bad input is one line and exit code 2, Ctrl-C is 130."""

import errno
import sys
from collections.abc import Callable
from typing import Any

from multisk.errors import InputError


def run(command: Callable[..., Any]) -> None:
    """Run a typer command or app as a program."""
    import typer

    app = command if isinstance(command, typer.Typer) else None
    try:
        app(standalone_mode=False) if app else _single(command)
    except InputError as error:
        _stop(str(error), 2)
    except KeyboardInterrupt:
        _stop("stopped; run the same command again to go on", 130)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        _stop(f"{error.filename or 'the disk'}: no space left; free some and run the same command again", 2)


def _single(command: Callable[..., Any]) -> None:
    import typer

    app = typer.Typer(add_completion=False)
    app.command()(command)
    app(standalone_mode=False)


def _stop(message: str, code: int) -> None:
    print(f"error: {' '.join(message.split())}" if code != 130 else message, file=sys.stderr)
    raise SystemExit(code)
