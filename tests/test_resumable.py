import pytest

from multisk.errors import InputError
from multisk.resumable import code_digest, resumable


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
