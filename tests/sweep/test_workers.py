"""Studies under kill -9: by themselves on SQLite, by two workers on PostgreSQL."""

import os
import signal
import time

import pandas as pd
import pytest

from multisk.resumable import read_json


def run_to_end(process):
    said, _ = process.communicate(timeout=400)
    assert process.returncode == 0, said
    return said


def wait_for(condition, *processes, seconds=120):
    end = time.monotonic() + seconds
    while not condition():
        assert all(process.poll() is None for process in processes), processes[0].communicate()[0]
        assert time.monotonic() < end, "nothing happened in time"
        time.sleep(0.02)


def kill(process):
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def trial_folders(world, state):
    records = world.glob("sweeps/anchors-*/trial-*/seed-*/run.json")
    return [path.parent for path in records if read_json(path)["status"] == state]


def in_the_middle(world, finished):
    """Some trials are finished, and one is being trained."""

    def check():
        running = trial_folders(world, "running")
        return len(trial_folders(world, "finished")) >= finished and any(
            (folder / "checkpoint.pt").exists() for folder in running
        )

    return check


def check_complete(world, count):
    """Each trial is there once, with a run in MLflow below the study's."""
    from mlflow import MlflowClient

    content = read_json(world / "runs/sweep/anchors/study.json")
    assert content["trials"] == {"finished": count, "pruned": 0, "failed": 0}
    table = pd.read_parquet(world / "runs/sweep/anchors/trials.parquet")
    assert table["number"].tolist() == list(range(count))
    assert table["run_key"].nunique() == count
    assert set(table["state"]) == {"finished"}
    folder = world / "sweeps" / content["name"]
    assert len(list(folder.glob("trial-*/seed-*/run.json"))) == count
    client = MlflowClient(f"sqlite:///{world / 'tracking' / 'mlflow.db'}")
    parent = read_json(folder / "run.json")
    for row in table.itertuples():
        run = client.get_run(row.run_id)
        assert run.info.status == "FINISHED"
        assert run.data.tags["run_key"] == row.run_key
        assert run.data.tags["trial"] == str(row.number)
        assert run.data.tags["mlflow.parentRunId"] == parent["run_id"]
        assert run.data.metrics["validation/mean"] == table["value/mean"][row.number]
    with_keys = client.search_runs([client.get_run(parent["run_id"]).info.experiment_id], max_results=1000)
    assert len(with_keys) == count + 1
    return table


@pytest.fixture
def sweep_settings(settings):
    """A grid of six points, of trials that take about a second."""
    settings["sweep"]["studies"]["anchors"]["space"] = {
        "anchors": [8, 16],
        "epsilon": [0.05, 0.1, 0.2],
    }
    settings["sweep"]["studies"]["anchors"]["epochs"] = 8
    settings["optuna"] |= {"heartbeat_seconds": 1, "grace_seconds": 3}
    return settings


@pytest.mark.parametrize("count", [6, pytest.param(24, marks=pytest.mark.slow)])
def test_a_study_that_was_killed_ends_with_all_trials_once(
    world, start, sweep_settings, write_settings, count
):
    write_settings(world, sweep_settings)
    first = start(world, "--study", "anchors", "--trials", str(count))
    wait_for(in_the_middle(world, count // 3), first)
    kill(first)
    began = {folder: read_json(folder / "run.json")["run_key"] for folder in trial_folders(world, "running")}
    done = {folder: read_json(folder / "run.json") for folder in trial_folders(world, "finished")}
    said = run_to_end(start(world, "--study", "anchors", "--trials", str(count)))
    assert f"{count} finished, 0 pruned, 0 failed" in said
    table = check_complete(world, count)
    for folder, key in began.items():
        assert read_json(folder / "run.json")["run_key"] == key, "the killed trial began another run"
    for folder, record in done.items():
        assert read_json(folder / "run.json") == record, "a finished trial was run again"
    points = table.groupby(["param/anchors", "param/epsilon"])
    assert len(points) == 6
    assert set(points.size()) == {count // 6}
    assert (points["seed"].nunique() == count // 6).all()


def test_two_workers_on_postgres_share_the_trials_of_one_that_is_killed(
    world, start, sweep_settings, write_settings, postgres
):
    sweep_settings["optuna"]["storage"] = postgres
    write_settings(world, sweep_settings)
    one, other = (start(world, "--study", "anchors") for _ in range(2))
    both = lambda: len(trial_folders(world, "running")) == 2  # noqa: E731
    wait_for(both, one, other)
    kill(one)
    run_to_end(other)
    table = check_complete(world, 6)
    assert len(table.groupby(["param/anchors", "param/epsilon"])) == 6


def test_a_second_worker_on_sqlite_is_refused_in_one_line(world, start, sweep_settings, write_settings):
    write_settings(world, sweep_settings)
    first = start(world, "--study", "anchors")
    wait_for(in_the_middle(world, 0), first)
    second = start(world, "--study", "anchors")
    said, _ = second.communicate(timeout=100)
    assert second.returncode == 2
    assert [line for line in said.splitlines() if "optuna.storage" in line] == [said.strip()]
    run_to_end(first)
    check_complete(world, 6)
