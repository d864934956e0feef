"""Archives from strangers: unpacked as a stream, into one folder and nowhere else.

Only files and folders come out. An archive with a member that would leave the folder, or that is a link or
a device, is refused by that member's name: tarfile's own `data` filter lets links within the folder pass,
takes a leading slash away without a word, and knows no zip.
"""

import bz2
import gzip
import lzma
import shutil
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import IO, Any, NamedTuple

from tqdm import tqdm

from multisk.errors import InputError, one_line
from multisk.files import replacing

BLOCK = 2**20
UNIX_TYPE, UNIX_FILE, UNIX_FOLDER = 0o170000, 0o100000, 0o040000
UNIX = 3  # zip: the system whose attributes a member has
ZIP_BEGINNINGS = (b"PK\x03\x04", b"PK\x05\x06")  # a member, or the end of a zip without any


class Member(NamedTuple):
    """A file in an archive: where it goes, how long it is, and its open content."""

    name: str
    size: int
    content: IO[bytes]


def unpack(archive: Path | str, out: Path | str) -> list[Path]:
    """Unpack a .tar, .tar.gz, .tgz, .tar.bz2, .tar.xz or .zip into the folder `out`; return its files.

    Goes on where an earlier call was stopped: files that have their full length are left alone.
    Raises InputError, naming archive and member, for a member that is not a file or folder inside `out`,
    and for a damaged or empty archive; what was unpacked before it stays.
    """
    archive, out = Path(archive), Path(out)
    written = []
    bar = tqdm(desc=archive.name, unit="B", unit_scale=True, disable=None)
    with bar, _named(archive):
        for member in _members(archive):
            path = out / member.name
            if not (path.is_file() and path.stat().st_size == member.size):
                _write(path, member, archive)
            written.append(path)
            bar.update(member.size)
    if not written:
        raise InputError(f"{archive}: holds no files; obtain it again")
    return written


def _members(archive: Path) -> Iterator[Member]:
    # By its beginning: a tar whose last member is a zip (an .npz) ends as a zip does.
    if _begins(archive, 4) in ZIP_BEGINNINGS:
        with zipfile.ZipFile(archive) as opened:
            # The whole directory is known here, so nothing is written of an archive that is refused.
            infos = [info for info in opened.infolist() if _safe_zip(archive, info)]
            for info in infos:
                with opened.open(info) as content:
                    yield Member(info.filename, info.file_size, content)
        return
    with _decompressed(archive) as file, tarfile.open(fileobj=file, mode="r:") as tar:
        while (entry := tar.next()) is not None:
            if _safe_tar(archive, entry):
                extracted = tar.extractfile(entry)
                assert extracted is not None
                yield Member(entry.name, entry.size, extracted)
            tar.members.clear()  # type: ignore[attr-defined]  # millions of them would fill the memory
        file.seek(tar.offset)
        if file.read(tarfile.BLOCKSIZE) != tarfile.NUL * tarfile.BLOCKSIZE:
            raise tarfile.ReadError("no end mark")
        while file.read(BLOCK):
            pass  # the checksum is compared at the end


def _decompressed(archive: Path) -> IO[bytes]:
    openers: dict[bytes, Any] = {b"\x1f\x8b": gzip.open, b"BZ": bz2.open, b"\xfd7": lzma.open}
    return openers.get(_begins(archive, 2), open)(archive, "rb")


def _begins(archive: Path, length: int) -> bytes:
    with archive.open("rb") as file:
        return file.read(length)


def _safe_tar(archive: Path, info: tarfile.TarInfo) -> bool:
    _check_name(archive, info.name, info.isdir())
    if info.issym() or info.islnk():
        raise _refused(archive, info.name, f"is a link to {info.linkname[:200]!r}")
    if not (info.isreg() or info.isdir()):
        raise _refused(archive, info.name, "is a device or another special file")
    return info.isreg()


def _safe_zip(archive: Path, info: zipfile.ZipInfo) -> bool:
    _check_name(archive, info.filename, info.is_dir())
    if info.flag_bits & 1:
        raise _refused(archive, info.filename, "is encrypted")
    kind = (info.external_attr >> 16) & UNIX_TYPE
    if info.create_system == UNIX and kind not in (0, UNIX_FILE, UNIX_FOLDER):
        raise _refused(archive, info.filename, "is a link or a special file")
    return not info.is_dir()


def _check_name(archive: Path, name: str, folder: bool) -> None:
    windows = PureWindowsPath(name)
    if PurePosixPath(name).is_absolute() or windows.drive or windows.root:
        raise _refused(archive, name, "has an absolute path")
    if ".." in windows.parts or "\\" in name or "\0" in name or not (folder or windows.name):
        raise _refused(archive, name, "has a path that may leave the folder")


def _write(path: Path, member: Member, archive: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary, temporary.open("wb") as file:
            shutil.copyfileobj(member.content, file, BLOCK)
            if file.tell() != member.size:
                raise InputError(f"{archive}: cut off within {member.name!r}; obtain the archive again")
    except (FileExistsError, IsADirectoryError, NotADirectoryError):
        raise _refused(archive, member.name, "is a file and a folder at once") from None


def _refused(archive: Path, name: str, what: str) -> InputError:
    return InputError(f"{archive}: refused: member {name[:200]!r} {what}; unpack by hand what you trust")


@contextmanager
def _named(archive: Path) -> Iterator[None]:
    damage: tuple[type[Exception], ...] = (
        tarfile.TarError, zipfile.BadZipFile, gzip.BadGzipFile, lzma.LZMAError, zlib.error, EOFError,
        NotImplementedError,
    )  # fmt: skip
    try:
        yield
    except (FileNotFoundError, IsADirectoryError, PermissionError) as error:
        raise InputError(f"{error.filename}: {error.strerror}; name a tar or zip archive") from None
    except damage as error:
        raise InputError(f"{archive}: damaged or no archive ({one_line(error)}); obtain it again") from None
