"""Runs side by side: order, threads, failures, Ctrl-C and kill -9."""

import operator
import os
import signal
import subprocess
import sys
import textwrap
import time

import pytest
import torch

from multisk.errors import InputError
from multisk.params import load_params
from multisk.side_by_side import place, side_by_side


def test_results_come_in_the_order_of_the_jobs():
    assert side_by_side(pow, [(3, 2), (1, 2), (2, 2)], 2) == [9, 1, 4]


def test_one_process_works_here():
    assert side_by_side(os.getpid, [(), ()], 1) == [os.getpid()] * 2
    assert side_by_side(place, [(), ()], 1) == [None, None]


def test_each_process_has_its_share_of_the_cores():
    assert side_by_side(torch.get_num_threads, [()] * 3, 2) == [max(1, os.cpu_count() // 2)] * 3
    assert set(side_by_side(place, [()] * 3, 2)) <= {0, 1}


def test_a_failure_is_raised_and_stops_the_others(tmp_path):
    began = time.monotonic()
    jobs = [(time.sleep, 120), (load_params, tmp_path / "params.yaml"), (time.sleep, 120)]
    with pytest.raises(InputError, match=r"params\.yaml: no such file"):
        side_by_side(operator.call, jobs, 2)
    assert time.monotonic() - began < 100


PROGRAM = """
import os, sys, time
from pathlib import Path
from multisk.side_by_side import side_by_side

def work(name):
    place = Path(sys.argv[1]) / name
    place.write_text(str(os.getpid()))
    try:
        time.sleep(120)
    except KeyboardInterrupt:
        place.with_suffix(".saved").touch()
        raise

if __name__ == "__main__":
    side_by_side(work, [("a",), ("b",)], 2)
"""


@pytest.fixture
def running(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(textwrap.dedent(PROGRAM))
    process = subprocess.Popen([sys.executable, str(program), str(tmp_path)], stderr=subprocess.DEVNULL)
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


def test_an_interrupt_lets_every_run_save(running, tmp_path):
    running.send_signal(signal.SIGINT)
    assert running.wait(timeout=60) != 0
    assert {path.name for path in tmp_path.glob("*.saved")} == {"a.saved", "b.saved"}


def test_runs_end_when_their_parent_is_killed(running, tmp_path):
    pids = [int((tmp_path / name).read_text()) for name in "ab"]
    running.kill()
    until(lambda: not any(alive(pid) for pid in pids))
