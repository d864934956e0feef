import pytest

from multisk.errors import InputError
from multisk.files import digest, file_digest, read_json, replacing, write_json


def test_digest_does_not_depend_on_the_order_of_keys():
    assert digest({"a": 1, "b": [1, 2]}) == digest({"b": [1, 2], "a": 1})
    assert digest({"a": 1}) != digest({"a": 2})


def test_json_that_is_missing_or_damaged_is_named(tmp_path):
    path = tmp_path / "x.json"
    with pytest.raises(InputError, match=r"x\.json: no such file"):
        read_json(path)
    write_json(path, {"a": 1})
    assert read_json(path) == {"a": 1}
    path.write_text('{"a"')
    with pytest.raises(InputError, match=r"x\.json: damaged"):
        read_json(path)
    with pytest.raises(InputError, match=r"no\.json"):
        file_digest(tmp_path / "no.json")


def test_a_write_that_fails_leaves_what_was_there_and_nothing_beside_it(tmp_path):
    path = tmp_path / "x.json"
    write_json(path, 1)
    with pytest.raises(RuntimeError), replacing(path) as temporary:
        temporary.write_text("2")
        assert read_json(path) == 1
        raise RuntimeError
    assert read_json(path) == 1
    assert list(tmp_path.iterdir()) == [path]
