"""Work that is killed: what stays, what goes on, and what is asked where the code has changed."""

import errno
import subprocess
import sys

import pytest

from multisk import resumable as module
from multisk.errors import InputError
from multisk.files import read_json
from multisk.resumable import (
    Code,
    Unit,
    accept_code,
    begin,
    discard,
    locked,
    resumable,
    resumable_units,
    settle,
    unfinished,
)

CODE = Code({"losses/consistency.py": "1"})
OTHER = {"losses/consistency.py": "2", "losses/new.py": "1"}


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def interrupted(out, identity, code=CODE):
    with pytest.raises(KeyboardInterrupt), resumable(out, identity, code) as work:
        (work / "half").write_text("done")
        raise KeyboardInterrupt
    return work


def test_interrupted_work_is_found_again_and_becomes_the_output(tmp_path):
    out = tmp_path / "data" / "thing"
    interrupted(out, {"seed": 1})
    assert not out.exists()
    with resumable(out, {"seed": 1}, CODE) as work:
        assert (work / "half").read_text() == "done"
    assert [path.name for path in out.iterdir()] == ["half"]
    assert not out.with_name(".thing.unfinished").exists()


def test_other_settings_are_other_work_which_is_kept_beside(tmp_path):
    out = tmp_path / "thing"
    first = interrupted(out, 1)
    with resumable(out, 2, CODE) as second:
        assert not any(second.iterdir())
    assert out.exists()
    assert (first / "half").exists()
    with resumable(out, 1, CODE) as again:
        assert (again / "half").exists()


def test_an_older_output_is_replaced(tmp_path):
    out = tmp_path / "thing"
    out.mkdir()
    (out / "old").touch()
    with resumable(out, 1, CODE) as work:
        (work / "new").touch()
    assert [path.name for path in out.iterdir()] == ["new"]


def test_work_that_other_code_began_stops_and_names_the_files_and_the_commands(tmp_path):
    work = interrupted(tmp_path / "runs" / "thing", 1)
    with pytest.raises(InputError) as raised, resumable(tmp_path / "runs" / "thing", 1, Code(OTHER)):
        pass
    assert "losses/consistency.py, losses/new.py changed" in str(raised.value)
    assert "multisk unfinished --continue" in str(raised.value)
    assert "multisk unfinished --discard" in str(raised.value)
    assert (work / "half").exists()
    assert unfinished(tmp_path) == [work]


def test_it_goes_on_with_new_code_when_a_person_says_so_once(tmp_path):
    out = tmp_path / "runs" / "thing"
    accept_code(interrupted(out, 1))
    interrupted(out, 1, Code(OTHER))
    with pytest.raises(InputError, match="begun with other code"), resumable(out, 1, CODE):
        pass
    with resumable(out, 1, Code(OTHER)) as work:
        assert (work / "half").exists()


def test_it_begins_afresh_when_a_person_says_so(tmp_path):
    out = tmp_path / "runs" / "thing"
    discard(interrupted(out, 1))
    assert unfinished(tmp_path) == []
    with resumable(out, 1, Code(OTHER)) as work:
        assert not any(work.iterdir())


@pytest.mark.parametrize(("changed", "kept"), [("continue", True), ("restart", False)])
def test_a_setting_decides_for_unattended_runs(tmp_path, changed, kept):
    interrupted(tmp_path / "thing", 1)
    with resumable(tmp_path / "thing", 1, Code(OTHER, changed)) as work:
        assert (work / "half").exists() == kept


def test_a_finished_unit_is_not_done_again_and_a_new_one_leaves_it_alone(tmp_path):
    out = tmp_path / "sspc"
    with resumable_units(out, [Unit("seed-0", 0)], CODE) as works:
        (works["seed-0"] / "weights").write_text("0")
    before = (out / "seed-0" / "weights").stat()
    with resumable_units(out, [Unit("seed-0", 0), Unit("seed-1", 1)], CODE) as works:
        assert list(works) == ["seed-1"]
        (works["seed-1"] / "weights").write_text("1")
    assert (out / "seed-0" / "weights").stat() == before
    assert (out / "seed-1" / "weights").read_text() == "1"
    assert read_json(out / "seed-1" / "work.json") == {"identity": 1, "code": [CODE.files]}


def test_units_of_other_settings_or_code_are_done_again_and_those_of_no_setting_go(tmp_path):
    out = tmp_path / "sspc"
    with resumable_units(out, [Unit("msrvtt/seed-0", 0), Unit("msrvtt/seed-1", 1)], CODE):
        pass
    with resumable_units(out, [Unit("msrvtt/seed-0", 5)], CODE) as works:
        assert list(works) == ["msrvtt/seed-0"]
    assert not (out / "msrvtt/seed-1").exists()
    with resumable_units(out, [Unit("msrvtt/seed-0", 5)], Code(OTHER)) as works:
        assert list(works) == ["msrvtt/seed-0"]


def test_unfinished_units_lie_outside_of_the_output(tmp_path):
    out = tmp_path / "runs" / "pretrain" / "sspc"
    with pytest.raises(RuntimeError), resumable_units(out, [Unit("seed-0", 0)], CODE):
        raise RuntimeError
    assert not out.exists()
    assert [work.parent for work in unfinished(tmp_path)] == [out.with_name(".sspc.unfinished") / "seed-0"]


def test_work_that_stays_where_it_is_ends_by_being_settled(tmp_path):
    study = tmp_path / "sweeps" / "anchors-1"
    begin(study, 1, CODE)
    assert unfinished(tmp_path) == [study]
    settle(study)
    assert unfinished(tmp_path) == []
    assert study.exists()


def test_two_processes_do_not_work_on_one_output(tmp_path):
    out = tmp_path / "thing"
    with (
        resumable(out, 1, CODE),
        pytest.raises(InputError, match="another process is at work"),
        resumable(out, 1, CODE),
    ):
        pass


def test_a_file_stands_for_a_lock_where_the_file_system_has_none(tmp_path, monkeypatch):
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", refuse)
    held = locked(tmp_path / "lock")
    with pytest.raises(module.Timeout):
        locked(tmp_path / "lock")
    held.release()
    locked(tmp_path / "lock").release()


def test_a_lock_file_of_a_process_that_is_gone_is_no_lock(tmp_path):
    program = (
        "import os, sys; from pathlib import Path; from filelock import SoftFileLock; "
        "lock = SoftFileLock(sys.argv[1]); lock.acquire(); os._exit(1)"
    )
    subprocess.run([sys.executable, "-c", program, str(tmp_path / "lock.owner")], check=False)
    assert (tmp_path / "lock.owner").exists()
    module.SoftFileLock(tmp_path / "lock.owner", timeout=0).acquire()


def test_an_output_without_units_is_an_empty_folder(tmp_path):
    with resumable_units(tmp_path / "finetune" / "sspc", [], CODE) as works:
        assert works == {}
    assert list((tmp_path / "finetune" / "sspc").iterdir()) == []
