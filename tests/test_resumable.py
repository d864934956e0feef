import pytest

from multisk.errors import InputError
from multisk.resumable import code_digest, digest, file_digest, read_json, resumable, write_json


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_interrupted_work_is_found_again_and_becomes_the_output(tmp_path):
    out = tmp_path / "data" / "thing"
    with pytest.raises(KeyboardInterrupt), resumable(out, {"seed": 1}) as work:
        (work / "half").write_text("done")
        raise KeyboardInterrupt
    assert not out.exists()
    with resumable(out, {"seed": 1}) as work:
        assert (work / "half").read_text() == "done"
    assert (out / "half").read_text() == "done"
    assert not out.with_name(".thing.unfinished").exists()


def test_other_settings_start_from_nothing_and_keep_the_first_work(tmp_path):
    out = tmp_path / "thing"
    with pytest.raises(RuntimeError), resumable(out, 1) as first:
        (first / "half").touch()
        raise RuntimeError
    with pytest.raises(RuntimeError), resumable(out, 2) as second:
        assert not any(second.iterdir())
        raise RuntimeError
    assert (first / "half").exists()


def test_an_older_output_is_replaced(tmp_path):
    out = tmp_path / "thing"
    out.mkdir()
    (out / "old").touch()
    with resumable(out, 1) as work:
        (work / "new").touch()
    assert [path.name for path in out.iterdir()] == ["new"]


def test_two_processes_do_not_work_on_one_output(tmp_path):
    out = tmp_path / "thing"
    with resumable(out, 1), pytest.raises(InputError, match="another process is at work"), resumable(out, 1):
        pass


def test_changed_code_is_another_identity():
    assert code_digest("sinkhorn.py") != code_digest("losses")
    assert code_digest("sinkhorn.py") == code_digest("sinkhorn.py")


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
