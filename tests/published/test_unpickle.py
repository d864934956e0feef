"""Foreign pickles: data comes out as it went in, and anything else is refused before it happens."""

import os
import pickle
from collections import OrderedDict, deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from multisk.errors import InputError
from multisk.published.unpickle import load_plain

PLAIN = {
    "id": "video7000",
    "caption": ["a pan", "ein Töpfchen"],
    "numbers": (1, -(2**70), 2.5, True, None),
    "sets": [{1, 2}, frozenset({3})],
    "bytes": [b"", b"\x00\xff", bytearray(b"abc")],
    "ordered": OrderedDict([("b", 1), ("a", 2)]),
}
PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)


def written(folder: Path, content: bytes) -> Path:
    path = folder / "foreign.pkl"
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_plain_data_comes_back(tmp_path: Path, protocol: int) -> None:
    found = load_plain(written(tmp_path, pickle.dumps(PLAIN, protocol)))
    assert found == PLAIN
    assert {key: type(value) for key, value in found.items()} == {k: type(v) for k, v in PLAIN.items()}


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    array=hnp.arrays(
        st.sampled_from(["<f2", "<f4", ">f4", "<f8", "<i4", "|u1", "|b1", "<i8", "<U3", ">U2"]),
        hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4),
        elements={"allow_nan": False},
    ),
    order=st.sampled_from("CFT"),
    protocol=st.sampled_from(PROTOCOLS),
    old=st.booleans(),
)
def test_arrays_come_back(tmp_path: Path, array: np.ndarray, order: str, protocol: int, old: bool) -> None:
    array = array.T if order == "T" else np.array(array, order=order)  # type: ignore[call-overload]
    content = pickle.dumps({"array": array, "again": array, "scalar": np.float32(1.5)}, protocol)
    if old and protocol < 4:
        content = content.replace(b"numpy._core", b"numpy.core")
    found = load_plain(written(tmp_path, content))
    assert found["scalar"] == 1.5
    assert isinstance(found["array"], np.ndarray)
    # numpy itself reads foreign byte orders as its own in some protocols.
    assert found["array"].dtype.newbyteorder("=") == array.dtype.newbyteorder("=")
    np.testing.assert_array_equal(found["array"], array)
    np.testing.assert_array_equal(found["again"], array)


@pytest.mark.parametrize("protocol", [4, 5])
def test_names_of_numpy_1_in_new_protocols(tmp_path: Path, protocol: int) -> None:
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    content = pickle.dumps(array, protocol)
    for name in (b"numpy._core.multiarray", b"numpy._core.numeric"):
        old = name.replace(b"_core", b"core")
        if name in content:
            content = content.replace(bytes([len(name)]) + name, bytes([len(old)]) + old)
            length = int.from_bytes(content[3:11], "little") - 1
            content = content[:3] + length.to_bytes(8, "little") + content[11:]
    np.testing.assert_array_equal(load_plain(written(tmp_path, content)), array)


def test_array_of_python_2(tmp_path: Path) -> None:
    values = np.array([1.5, -2.0], "<f4")
    content = (
        b"\x80\x02cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
        b"(K\x01K\x02\x85cnumpy\ndtype\nU\x02f4K\x00K\x01\x87R"
        b"(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89U\x08" + values.tobytes() + b"tb."
    )
    np.testing.assert_array_equal(load_plain(written(tmp_path, content)), values)


# --- what is refused ---------------------------------------------------------------------------


class Calls:
    """Pickles as a call of a function."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> Any:
        return self.call


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_code_is_refused_by_name_and_not_run(tmp_path: Path, protocol: int) -> None:
    trace = tmp_path / "it ran"
    attack = [{"id": "a", "2d": np.zeros(2)}, Calls(os.mkdir, str(trace))]
    with pytest.raises(InputError, match=r"foreign\.pkl: refused: it asks for '(posix|nt)\.mkdir'"):
        load_plain(written(tmp_path, pickle.dumps(attack, protocol)))
    assert not trace.exists()


class Foreign:
    pass


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (Calls(eval, "1"), r"asks for '(builtins|__builtin__)\.eval'"),
        (Calls(getattr, "a", "b"), r"getattr'"),
        (Calls(np.load, "x.npy"), r"asks for 'numpy.*load'"),
        (Foreign(), r"Foreign'"),
        (deque([1]), r"asks for 'collections\.deque'"),
        (np.array([{"a": 1}, "b"], dtype=object), "array of Python objects"),
        (np.zeros(2, dtype=[("a", "f4")]), "array of dtype 'V4'"),
        (np.zeros(2, dtype="M8[s]"), "array of dtype 'M8'"),
        (np.zeros(2, dtype="S3"), "array of dtype 'S3'"),
        (np.ma.array([1.0]), "asks for"),
        (Calls(bytearray, 10**15), "makes bytes of no bytes"),
        (Path("/etc/passwd"), "asks for"),
    ],
)
@pytest.mark.parametrize("protocol", [2, 5])
def test_anything_else_is_refused(tmp_path: Path, content: Any, reason: str, protocol: int) -> None:
    with pytest.raises(InputError, match=reason) as caught:
        load_plain(written(tmp_path, pickle.dumps([content], protocol)))
    assert "\n" not in str(caught.value)


FLOAT = b"cnumpy\ndtype\n(X\x02\x00\x00\x00f4tR"
BUFFER = b"cnumpy.core.numeric\n_frombuffer\n(C\x04abcd" + FLOAT + b"K\x01\x85X\x01\x00\x00\x00CtR"
REBUILT = BUFFER + b"(K\x01K\x02\x85" + FLOAT + b"K\x00C\x08abcdefghtb."


def test_handmade_array_is_read(tmp_path: Path) -> None:
    np.testing.assert_array_equal(
        load_plain(written(tmp_path, BUFFER + b".")), np.frombuffer(b"abcd", np.float32)
    )


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"cnumpy\ndtype\n}b.", "alters a function"),
        (REBUILT, "no pickle"),
        (b"cnumpy\ndtype\n(N}U\x0b__defaults__Nsb.", "refused|no pickle"),
        (b"cnumpy\nndarray\n)\x81.", "no pickle"),
        (b"cnumpy\nndarray\n(K\x05tR.", "makes an array by hand"),
        (b"c_codecs\nencode\n(X\x01\x00\x00\x00aX\x05\x00\x00\x00rot13tR.", "codec 'rot13'"),
        (b"\x80\x02X\x01\x00\x00\x00aQ.", "outside of the file"),
        (b"\x80\x02\x82\x01.", "no pickle"),
        (b"cnumpy.core.multiarray\nscalar\n(NX\x01\x00\x00\x00atR.", "NoneType as dtype"),
    ],
    ids=["build", "rebuild", "defaults", "newobj", "ndarray", "codec", "persistent", "extension", "scalar"],
)
def test_handmade_programs_are_refused(tmp_path: Path, content: bytes, reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        load_plain(written(tmp_path, content))
    # What was tried must not have changed how the next file is read.
    np.testing.assert_array_equal(load_plain(written(tmp_path, pickle.dumps(np.arange(3)))), [0, 1, 2])


def test_array_that_lies_about_its_size_is_refused(tmp_path: Path) -> None:
    content = pickle.dumps(np.zeros((3, 7), np.uint8), 2)
    assert content.count(b"K\x03K\x07\x86") == 1
    with pytest.raises(InputError, match=r"shape \(3, 200\) with 21 values"):
        load_plain(written(tmp_path, content.replace(b"K\x03K\x07\x86", b"K\x03K\xc8\x86")))


def test_characters_that_there_are_not_are_refused(tmp_path: Path) -> None:
    content = pickle.dumps(np.array(["abc"]), 4)
    damaged = content.replace("c".encode("utf-32-le"), b"\xff\xff\xff\xff")
    with pytest.raises(InputError, match="characters that there are not"):
        load_plain(written(tmp_path, damaged))


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_every_truncation_is_named(tmp_path: Path, protocol: int) -> None:
    content = pickle.dumps([{"id": "a", "2d": np.arange(4, dtype=np.float32)}], protocol)
    for length in range(len(content)):
        with pytest.raises(InputError, match=r"foreign\.pkl: (empty, cut off|refused)"):
            load_plain(written(tmp_path, content[:length]))


def test_unreadable_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.pkl: No such file"):
        load_plain(tmp_path / "none.pkl")
    with pytest.raises(InputError, match="Is a directory"):
        load_plain(tmp_path)
    with pytest.raises(InputError, match="no pickle"):
        load_plain(written(tmp_path, b"PK\x03\x04 not a pickle at all"))
