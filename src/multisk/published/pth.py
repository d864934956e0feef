"""Files of torch.save (.pth), read without trust.

A .pth file is a pickle. It is read with torch's restricted loader, which builds tensors, plain containers
and (here) numpy's scalars, as numbers, and nothing else; checkpoints that hold other objects are refused by
these objects' names.
"""

import re
import zipfile
from pathlib import Path
from typing import Any

import torch

from multisk.errors import InputError, one_line
from multisk.published.unpickle import RefusalError, numpy_scalars

ZIP, PICKLE = b"PK", b"\x80"  # how new and old files of torch.save begin
FOREIGN = re.compile(r"GLOBAL (\S+)")


def read_plain(path: Path) -> Any:
    """Read a .pth file that holds only tensors, plain containers and numbers.

    Tensors stay in the file until they are used. Raises InputError for a file that is missing, damaged, or
    holds anything else; that is named, and never called.
    """
    try:
        with torch.serialization.safe_globals(numpy_scalars()):
            return torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except FileNotFoundError:
        raise InputError(f"{path}: no such checkpoint; check the path") from None
    except IsADirectoryError:
        raise InputError(f"{path}: a folder; name the .pth file itself") from None
    except Exception as error:  # damaged pickles fail in every way that there is
        raise InputError(f"{path}: {_what_is_wrong(error, path)}") from None


def _what_is_wrong(error: Exception, path: Path) -> str:
    text = one_line(error)
    copy = "get a copy that holds `state_dict` and `config` as plain dictionaries"
    if foreign := FOREIGN.search(text):
        return f"holds {foreign[1]}, which is not plain data, and is not opened; {copy}"
    if isinstance(error, RefusalError):
        return f"refused: {text}; {copy}"
    if not _may_be_saved(path):
        return "begins as no file of torch.save does; check that it is the .pth file"
    return f"damaged or cut off ({type(error).__name__}: {text[:120]}); fetch it again"


def _may_be_saved(path: Path) -> bool:
    """Return whether a file begins as torch.save's do, or is cut off before that shows."""
    try:
        with path.open("rb") as file:
            begin = file.read(len(ZIP))
    except OSError:
        return True
    return ZIP.startswith(begin) or begin.startswith(PICKLE)
