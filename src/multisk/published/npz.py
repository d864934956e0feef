"""One array of an .npz file: its header alone, its content mapped into memory, or read and checked."""

import struct
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from multisk.errors import InputError, one_line

LOCAL_HEADER = struct.Struct("<4s22xHH")  # of a zip member: signature, ..., lengths of name and extra
SIGNATURE = b"PK\x03\x04"


@dataclass(frozen=True)
class NpzArray:
    """An array of numbers in an .npz file.

    offset: where the values begin in the file, for a member that is not compressed
    """

    path: Path
    key: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    fortran: bool
    offset: int | None

    @classmethod
    def open(cls, path: Path, key: str) -> "NpzArray":
        """Read the header of an array; raise InputError when there is none, or none of numbers."""
        with _named(path, key), zipfile.ZipFile(path) as archive:
            info = archive.getinfo(f"{key}.npy")
            with archive.open(info) as member:
                shape, fortran, dtype = _header(member)
                begin = member.tell()
            stored = info.compress_type == zipfile.ZIP_STORED
            offset = _data_offset(path, info) + begin if stored else None
        if dtype.hasobject or dtype.kind not in "fiu":
            raise InputError(f"{path}: {key}: an array of {dtype}, not of numbers")
        if begin + dtype.itemsize * int(np.prod(shape, dtype=object)) != info.file_size:
            raise InputError(f"{path}: {key}: shorter or longer than its header says; obtain it again")
        return cls(path, key, shape, dtype, fortran, offset)

    def map(self) -> np.ndarray:
        """Return the array without reading it: pages come from the file as they are used.

        Compressed arrays are read whole, as are empty ones.
        """
        if self.offset is None or 0 in self.shape:
            return self.read()
        order: Any = "F" if self.fortran else "C"
        try:
            return np.memmap(self.path, self.dtype, "r", self.offset, self.shape, order)
        except (OSError, ValueError) as error:
            raise InputError(f"{self.path}: {self.key}: {one_line(error)}") from None

    def read(self) -> np.ndarray:
        """Return the array read whole; raise InputError when its checksum does not match."""
        with _named(self.path, self.key), zipfile.ZipFile(self.path) as archive:
            with archive.open(f"{self.key}.npy") as member:
                array = np.lib.format.read_array(member, allow_pickle=False)
                member.read()  # the checksum is compared at the end of the member
            return array


def _header(member: Any) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    version = np.lib.format.read_magic(member)
    if version == (1, 0):
        return np.lib.format.read_array_header_1_0(member)
    return np.lib.format.read_array_header_2_0(member)


def _data_offset(path: Path, info: zipfile.ZipInfo) -> int:
    # The central directory may give another length of the extra field than the header at the data.
    with path.open("rb") as file:
        file.seek(info.header_offset)
        signature, name, extra = LOCAL_HEADER.unpack(file.read(LOCAL_HEADER.size))
    if signature != SIGNATURE:
        raise zipfile.BadZipFile("no member where the directory says")
    return info.header_offset + LOCAL_HEADER.size + name + extra


@contextmanager
def _named(path: Path, key: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except KeyError:
        raise InputError(f"{path}: {key}: no such array in this file") from None
    except (
        Exception
    ) as error:  # a header is a Python literal, and damaged ones fail in every way that there is
        reason = one_line(error) or type(error).__name__
        raise InputError(f"{path}: {key}: empty, cut off or no .npz ({reason}); obtain it again") from None
