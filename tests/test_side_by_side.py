"""Runs side by side: order, threads, failures, Ctrl-C and kill -9."""

import operator
import os
import signal
import subprocess
import sys
import textwrap
import time

import joblib
import pytest
import torch

from multisk.errors import InputError
from multisk.params import load_params
from multisk.side_by_side import place, side_by_side


@pytest.fixture(autouse=True)
def _threads_by_cores(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)


def test_results_come_in_the_order_of_the_jobs():
    assert side_by_side(pow, [(3, 2), (1, 2), (2, 2)], 2) == [9, 1, 4]


def test_one_process_works_here():
    assert side_by_side(os.getpid, [(), ()], 1) == [os.getpid()] * 2
    assert side_by_side(place, [(), ()], 1) == [None, None]


def test_each_process_has_its_share_of_the_cores():
    assert side_by_side(torch.get_num_threads, [()] * 3, 2) == [max(1, joblib.cpu_count() // 2)] * 3
    assert set(side_by_side(place, [()] * 3, 2)) <= {0, 1}


def test_a_job_alone_has_as_many_threads_as_among_others(monkeypatch):
    before = torch.get_num_threads()
    monkeypatch.setattr(joblib, "cpu_count", lambda: 2 * (before + 3))
    assert side_by_side(torch.get_num_threads, [()], 2) == [before + 3]
    assert side_by_side(torch.get_num_threads, [(), ()], 1) == [2 * (before + 3)] * 2
    assert torch.get_num_threads() == before


def test_the_environment_decides_on_threads(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "3,1")
    assert side_by_side(torch.get_num_threads, [()], 2) == [3]


def test_cores_are_those_that_this_process_may_use(tmp_path):
    program = "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"
    program += "from multisk.side_by_side import SideBySide; print(SideBySide(1).threads)"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True).stdout == "1\n"


def test_a_failure_is_raised_and_stops_the_others(tmp_path):
    began = time.monotonic()
    jobs = [(time.sleep, 120), (load_params, tmp_path / "params.yaml"), (time.sleep, 120)]
    with pytest.raises(InputError, match=r"params\.yaml: no such file"):
        side_by_side(operator.call, jobs, 2)
    assert time.monotonic() - began < 100


PROGRAM = """
import os, sys, time
from pathlib import Path
from multisk import console
from multisk.side_by_side import side_by_side

def work(name):
    place = Path(sys.argv[1]) / name
    place.write_text(str(os.getpid()))
    try:
        time.sleep(120)
    except KeyboardInterrupt:
        place.with_suffix(".saved").touch()
        raise

def main(folder: str):
    side_by_side(work, [("a",), ("b",)], 2)

if __name__ == "__main__":
    console.run(main)
"""


@pytest.fixture
def running(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(textwrap.dedent(PROGRAM))
    process = subprocess.Popen(
        [sys.executable, str(program), str(tmp_path)], stderr=subprocess.DEVNULL, start_new_session=True
    )
    until(lambda: all((tmp_path / name).exists() and (tmp_path / name).read_text() for name in "ab"))
    yield process
    process.kill()
    process.wait()


def until(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "did not happen in time"
        time.sleep(0.05)


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_request_to_stop_lets_every_run_save(running, tmp_path, number, code):
    running.send_signal(number)
    assert running.wait(timeout=60) == code
    assert {path.name for path in tmp_path.glob("*.saved")} == {"a.saved", "b.saved"}


def test_runs_end_when_their_parent_is_killed(running, tmp_path):
    pids = [int((tmp_path / name).read_text()) for name in "ab"]
    running.kill()
    until(lambda: not any(alive(pid) for pid in pids))
