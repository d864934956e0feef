"""Arrays in .npz files: mapped they are what they are when read, and damage is named."""

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from multisk.errors import InputError
from multisk.published.npz import NpzArray


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    shape=st.tuples(st.integers(0, 5), st.integers(0, 5)),
    dtype=st.sampled_from(["f2", ">f4", "f8", "i4"]),
    fortran=st.booleans(),
    compressed=st.booleans(),
)
def test_mapped_is_read_is_written(
    tmp_path: Path, shape: tuple[int, int], dtype: str, fortran: bool, compressed: bool
) -> None:
    values = np.random.RandomState(0).randint(-9, 9, shape).astype(dtype, order="F" if fortran else "C")
    save = np.savez_compressed if compressed else np.savez
    save(tmp_path / "a.npz", other=np.zeros(3), features=values)
    array = NpzArray.open(tmp_path / "a.npz", "features")
    assert (array.shape, array.dtype, array.offset is None) == (shape, values.dtype, compressed)
    for found in (array.map(), array.read()):
        assert found.dtype == values.dtype
        np.testing.assert_array_equal(found, values)


def test_only_what_is_not_compressed_is_mapped(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", features=np.ones((2, 3)))
    np.savez_compressed(tmp_path / "b.npz", features=np.ones((2, 3)))
    assert isinstance(NpzArray.open(tmp_path / "a.npz", "features").map(), np.memmap)
    assert not isinstance(NpzArray.open(tmp_path / "b.npz", "features").map(), np.memmap)


def test_objects_and_texts_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", features=np.array([{}, "b"], dtype=object), text=np.array(["a"]))
    with pytest.raises(InputError, match="features: an array of object, not of numbers"):
        NpzArray.open(tmp_path / "a.npz", "features")
    with pytest.raises(InputError, match="text: an array of <U1, not of numbers"):
        NpzArray.open(tmp_path / "a.npz", "text")
    with pytest.raises(InputError, match="other: no such array"):
        NpzArray.open(tmp_path / "a.npz", "other")


@pytest.mark.parametrize("kept", [0, 1, 50, 200, -1, -30])
def test_truncated_files_are_named(tmp_path: Path, kept: int) -> None:
    np.savez(tmp_path / "a.npz", features=np.ones((20, 3)))
    content = (tmp_path / "a.npz").read_bytes()
    (tmp_path / "a.npz").write_bytes(content[:kept])
    with pytest.raises(InputError, match=r"a\.npz: features: empty, cut off or no \.npz"):
        NpzArray.open(tmp_path / "a.npz", "features")


def test_a_header_that_lies_about_the_size_is_named(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    np.save(buffer, np.ones((2, 3)))
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("features.npy", buffer.getvalue().replace(b"(2, 3)", b"(9, 3)"))
    with pytest.raises(InputError, match="shorter or longer than its header says"):
        NpzArray.open(tmp_path / "a.npz", "features")


HEADER = "{'descr': '<f8', 'fortran_order': False, 'shape': (2, 3), }"


def npz_of(header: str, folder: Path) -> Path:
    text = header.encode("latin1").ljust(117) + b"\n"
    with zipfile.ZipFile(folder / "a.npz", "w") as archive:
        archive.writestr("features.npy", b"\x93NUMPY\x01\x00\x76\x00" + text + bytes(48))
    return folder / "a.npz"


@pytest.mark.parametrize("old", ["}", "(2, 3)", "'<f8'", "descr", ":", "("])
@pytest.mark.parametrize("new", ["", "{", "[[", "'", "9" * 50, "\x00", "()", "None", "x.y"])
def test_damaged_headers_are_named(tmp_path: Path, old: str, new: str) -> None:
    path = npz_of(HEADER.replace(old, new), tmp_path)
    with pytest.raises(InputError, match=r"a\.npz: features: ") as caught:
        NpzArray.open(path, "features")
    assert "\n" not in str(caught.value)


@settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.integers(0, len(HEADER) - 1), character=st.characters(max_codepoint=255))
def test_a_changed_character_of_the_header_never_crashes(tmp_path: Path, place: int, character: str) -> None:
    path = npz_of(HEADER[:place] + character + HEADER[place + 1 :], tmp_path)
    try:
        array = NpzArray.open(path, "features").read()
    except InputError:
        return
    assert array.nbytes == 48


def test_changed_values_are_named_when_read_whole(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", features=np.ones((20, 3)))
    array = NpzArray.open(tmp_path / "a.npz", "features")
    assert array.offset is not None
    content = bytearray((tmp_path / "a.npz").read_bytes())
    content[array.offset + 5] ^= 1
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(InputError, match=r"features: .*CRC"):
        array.read()
