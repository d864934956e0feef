"""Foreign archives: files come out below one folder, and whatever else is in there is refused by name."""

import io
import os
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from multisk.errors import InputError
from multisk.published.archives import unpack

FILES = {"features/a_2d.npz": b"a" * 3000, "features/deep/b_2d.npz": b"", "c.csv": b"path\n" * 700_000}
FORMS = ["tar", "tar.gz", "tar.bz2", "tar.xz", "zip"]


def packed(folder: Path, form: str, files: dict[str, bytes] = FILES) -> Path:
    path = folder / f"archive.{form}"
    if form == "zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in files.items():
                archive.writestr(name, content)
        return path
    mode = "w:" + form.partition(".")[2]
    with tarfile.open(path, mode) as tar:  # type: ignore[call-overload]
        for name, content in files.items():
            tar.addfile(tar_info(name, len(content)), io.BytesIO(content))
    return path


def tar_info(name: str, size: int = 0, **changes: object) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.size = size
    for key, value in changes.items():
        setattr(info, key, value)
    return info


@pytest.mark.parametrize("form", FORMS)
def test_files_come_out(tmp_path: Path, form: str) -> None:
    found = unpack(packed(tmp_path, form), tmp_path / "out")
    assert [path.relative_to(tmp_path / "out").as_posix() for path in found] == list(FILES)
    assert [path.read_bytes() for path in found] == list(FILES.values())


@pytest.mark.parametrize("form", FORMS)
def test_goes_on_where_it_was_stopped(tmp_path: Path, form: str) -> None:
    archive, out = packed(tmp_path, form), tmp_path / "out"
    first, _, last = unpack(archive, out)
    os.utime(first, (1, 1))
    last.write_bytes(last.read_bytes()[:100])
    unpack(archive, out)
    assert first.stat().st_mtime == 1
    assert last.read_bytes() == FILES["c.csv"]


def npz(value: float) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, features=np.full(3, value))
    return buffer.getvalue()


@pytest.mark.parametrize("form", FORMS)
def test_all_members_come_out_though_the_last_is_an_npz(tmp_path: Path, form: str) -> None:
    files = {f"a/{number}_2d.npz": npz(number) for number in range(3)}
    found = unpack(packed(tmp_path, form, files), tmp_path / "out")
    assert {path.relative_to(tmp_path / "out").as_posix(): path.read_bytes() for path in found} == files


def test_members_before_an_npz_are_checked_too(tmp_path: Path) -> None:
    archive = packed(tmp_path, "tar", {"../x": b"1", "a.npz": npz(1)})
    with pytest.raises(InputError, match=r"archive\.tar: refused: member '\.\./x'"):
        unpack(archive, tmp_path / "in" / "out")
    assert not list((tmp_path / "in").rglob("*.np*"))


def test_a_zip_without_members_is_named_as_one(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"archive\.zip: holds no files"):
        unpack(packed(tmp_path, "zip", {}), tmp_path / "out")


@pytest.mark.parametrize("name", ["../x", "a/../../x", "/x", "C:/x", "a\\..\\x", "\\\\host\\x"])
@pytest.mark.parametrize("form", ["tar.gz", "zip"])
def test_members_that_leave_the_folder_are_refused(tmp_path: Path, form: str, name: str) -> None:
    archive = packed(tmp_path, form, {"good": b"1", name: b"2"})
    with pytest.raises(InputError, match=r"archive\.\w+(\.gz)?: refused: member '.*x' has a"):
        unpack(archive, tmp_path / "in" / "out")
    names = {path.name for path in tmp_path.rglob("*") if path.is_file()}
    assert names <= {archive.name, "good"}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"type": tarfile.SYMTYPE, "linkname": "/etc/passwd"}, "is a link to '/etc/passwd'"),
        ({"type": tarfile.LNKTYPE, "linkname": "../x"}, "is a link to '../x'"),
        ({"type": tarfile.CHRTYPE}, "is a device"),
        ({"type": tarfile.FIFOTYPE}, "is a device or another special file"),
    ],
)
def test_links_and_devices_are_refused(tmp_path: Path, changes: dict[str, Any], reason: str) -> None:
    with tarfile.open(tmp_path / "archive.tar", "w") as tar:
        tar.addfile(tar_info("member", **changes))
    with pytest.raises(InputError, match=f"member 'member' {reason}"):
        unpack(tmp_path / "archive.tar", tmp_path / "out")
    assert not (tmp_path / "out" / "member").exists()


def test_links_in_zip_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("link")
    link.create_system, link.external_attr = 3, 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "archive.zip", "w") as archive:
        archive.writestr("good", b"1")
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(InputError, match="member 'link' is a link"):
        unpack(tmp_path / "archive.zip", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kept", [0.0, 0.4, 0.97])
def test_truncated_archives_are_named(tmp_path: Path, form: str, kept: float) -> None:
    archive = packed(tmp_path, form)
    content = archive.read_bytes()
    # A tar is padded with zeros at its end; only what lies before can be missing.
    whole = len(content.rstrip(b"\0")) if form == "tar" else len(content)
    archive.write_bytes(content[: int(kept * whole)])
    with pytest.raises(InputError, match=r"archive.*(damaged or no archive|cut off)"):
        unpack(archive, tmp_path / "out")


@pytest.mark.parametrize("form", ["tar.gz", "zip"])
def test_changed_content_is_named(tmp_path: Path, form: str) -> None:
    archive = packed(tmp_path, form, {"a": os.urandom(5000)})
    content = bytearray(archive.read_bytes())
    content[2500] ^= 0xFF
    archive.write_bytes(content)
    with pytest.raises(InputError, match="damaged or no archive"):
        unpack(archive, tmp_path / "out")


def test_other_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.tar: No such file"):
        unpack(tmp_path / "none.tar", tmp_path / "out")
    (tmp_path / "text.tar").write_text("this is no archive")
    with pytest.raises(InputError, match=r"text\.tar: damaged or no archive"):
        unpack(tmp_path / "text.tar", tmp_path / "out")
    archive = packed(tmp_path, "tar", {"a": b"1", "a/b": b"2"})
    with pytest.raises(InputError, match="'a/b' is a file and a folder at once"):
        unpack(archive, tmp_path / "both")
