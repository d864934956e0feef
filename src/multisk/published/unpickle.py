"""Pickles from strangers: plain containers, strings, numbers and numpy arrays, and nothing else.

A pickle is a program that calls whatever it names. Here a name is looked up in a short table of stand-ins
that only build data, and any other name is refused. Not even numpy's own `_reconstruct` and `dtype` are
handed out: their `__setstate__` believes what it is told about memory.
"""

import math
import pickle
import re
import sys
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import numpy as np

from multisk.errors import InputError

ELEMENTS = re.compile(r"[biuf]\d{1,2}|U\d{1,9}")
REMEDY = "obtain the file again; pickles here may hold containers, strings, numbers and numpy arrays only"


def load_plain(path: Path | str) -> Any:
    """Read a pickle of protocol 0 to 5, written by numpy 1 or 2, and return its object.

    Arrays keep their dtype (booleans, integers, floats, unicode) and shape; memory is as large as the file.
    Raises InputError, naming the file, for one that asks for anything else or is damaged.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            return _Unpickler(file).load()
    except RefusalError as error:
        raise InputError(f"{path}: refused: {error}; {REMEDY}") from None
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}; name a readable file") from None
    except Exception as error:
        # A damaged pickle raises nearly anything: the interpreter of its program has no checks.
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise InputError(f"{path}: empty, cut off or no pickle ({reason}); {REMEDY}") from None


def numpy_scalars() -> list[Callable[..., Any] | tuple[Callable[..., Any], str]]:
    """Return stand-ins for the names that a pickled numpy scalar asks for, as `torch.load` takes them.

    A scalar becomes a Python number; none of numpy's own code is called with what the file says.
    """
    cores = ("numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar")
    return [(_Dtype, "numpy.dtype"), *((_scalar, name) for name in cores)]


class RefusalError(Exception):
    """What a pickle asked for and does not get."""


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: IO[bytes]) -> None:
        # Pickles of Python 2 hold bytes as strings; latin-1 keeps each byte, and keys readable.
        super().__init__(file, encoding="latin1")
        self._names = _stand_ins()

    def find_class(self, module: str, name: str) -> Any:
        try:
            return self._names[module, name]
        except KeyError:
            raise RefusalError(f"it asks for {f'{module}.{name}'[:200]!r}") from None

    def persistent_load(self, _pid: Any) -> Any:
        raise RefusalError("it refers to objects outside of the file")


class _Name:
    """A name that a pickle may call; it can be called and nothing else, so no pickle can alter it."""

    __slots__ = ("_build",)

    def __init__(self, build: Callable[..., Any]) -> None:
        self._build = build

    def __call__(self, *arguments: Any) -> Any:
        return self._build(*arguments)

    def __setstate__(self, state: Any) -> None:
        raise RefusalError("it alters a function")


class _Dtype:
    """A numpy dtype on its way: the element type, then the byte order."""

    __slots__ = ("_order", "_spec")

    def __init__(self, spec: str, _align: bool = False, _copy: bool = False) -> None:
        if not isinstance(spec, str) or not ELEMENTS.fullmatch(spec):
            kind = "Python objects" if str(spec).startswith("O") else f"dtype {str(spec)[:50]!r}"
            raise RefusalError(f"it holds an array of {kind}")
        self._spec, self._order = spec, "|"

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, order, subdtype, names, fields, *_ = state
        if subdtype is not None or names or fields or order not in ("<", ">", "|", "="):
            raise RefusalError("it holds a structured array")
        self._order = order

    def array(self, data: Any) -> np.ndarray:
        """Make an array [n] of bytes, without copying them."""
        if isinstance(data, str):
            data = data.encode("latin1")
        if not isinstance(data, bytes | bytearray):
            raise RefusalError("it fills an array with Python objects")
        values = np.frombuffer(data, self.numpy)
        if self._spec[0] == "U" and values.view(self._ordered("u4")).max(initial=0) > sys.maxunicode:
            raise RefusalError("it holds characters that there are not")
        return values

    @property
    def numpy(self) -> np.dtype[Any]:
        """The dtype."""
        return self._ordered(self._spec)

    def _ordered(self, spec: str) -> np.dtype[Any]:
        order: Any = self._order
        return np.dtype(spec).newbyteorder(order)


class _Array(np.ndarray[Any, Any]):
    """An array that is empty until its state is set, as pickles make them."""

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, shape, dtype, fortran, data = state
        values = _dtype(dtype).array(data)
        if math.prod(_shape(shape)) != len(values):
            raise RefusalError(f"it holds an array of shape {shape} with {len(values)} values")
        # Of bytes numpy keeps a reference; anything else would double the memory of a large pickle.
        checked: Any = (
            1,
            shape,
            values.dtype,
            bool(fortran),
            data if type(data) is bytes else values.tobytes(),
        )
        super().__setstate__(checked)


def _stand_ins() -> dict[tuple[str, str], _Name]:
    containers: dict[str, Callable[..., Any]] = {
        "set": _set,
        "frozenset": _frozenset,
        "bytes": _bytes,
        "bytearray": _bytearray,
    }
    names: dict[tuple[str, str], Callable[..., Any]] = {
        ("numpy", "ndarray"): _not_called,
        ("numpy", "dtype"): _Dtype,
        ("_codecs", "encode"): _encode,
        ("collections", "OrderedDict"): _ordered,
    }
    for core in ("numpy.core", "numpy._core"):
        names[f"{core}.multiarray", "_reconstruct"] = _reconstruct
        names[f"{core}.multiarray", "scalar"] = _scalar
        names[f"{core}.numeric", "_frombuffer"] = _frombuffer
    for builtins in ("builtins", "__builtin__"):
        names.update({(builtins, name): build for name, build in containers.items()})
    return {key: _Name(build) for key, build in names.items()}


def _not_called(*_: Any) -> Any:
    raise RefusalError("it makes an array by hand")


def _reconstruct(_kind: Any, _shape: Any, _code: Any) -> _Array:
    return np.empty(0, np.uint8).view(_Array)


def _scalar(dtype: Any, data: Any) -> Any:
    (value,) = _dtype(dtype).array(data)
    return value.item()


def _frombuffer(data: Any, dtype: Any, shape: Any, order: Any, axes: Any = None) -> np.ndarray:
    values = _dtype(dtype).array(data)
    if order == "K" and axes is not None:
        return values.reshape(_shape(shape)).transpose(_shape(axes))
    return values.reshape(_shape(shape), order="F" if order == "F" else "C")


def _dtype(dtype: Any) -> _Dtype:
    if not isinstance(dtype, _Dtype):
        raise RefusalError(f"it uses a {type(dtype).__name__} as dtype")
    return dtype


def _shape(shape: Any) -> tuple[int, ...]:
    if not isinstance(shape, tuple) or not all(type(size) is int and size >= 0 for size in shape):
        raise RefusalError("it holds an array without a shape")
    return shape


def _encode(text: str, codec: str) -> bytes:
    if type(text) is not str or codec not in ("latin1", "latin-1"):
        raise RefusalError(f"it uses the codec {str(codec)[:50]!r}")
    return text.encode("latin1")


def _bytes(*data: Any) -> bytes:
    # bytes(10**12) would be a way to fill the memory.
    if data and not (type(data[0]) is bytes or (len(data) == 2 and type(data[0]) is str)):
        raise RefusalError("it makes bytes of no bytes")
    return _encode(*data) if len(data) == 2 else bytes(*data)


def _bytearray(*data: Any) -> bytearray:
    return bytearray(_bytes(*data))


def _set(values: list[Any]) -> set[Any]:
    return set(values)


def _frozenset(values: list[Any]) -> frozenset[Any]:
    return frozenset(values)


def _ordered(*pairs: Any) -> OrderedDict[Any, Any]:
    return OrderedDict(*pairs)
