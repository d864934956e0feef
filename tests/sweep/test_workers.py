"""Studies under kill -9: by themselves on SQLite, by two workers on PostgreSQL."""

import os
import signal
import time

import pandas as pd
import pytest

from multisk.files import read_json
from multisk.tracking import read_steps


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


def check_complete(world, count, seeds=(0,)):
    """Each trial is there once, with a run in MLflow below the study's for each of its seeds."""
    from mlflow import MlflowClient

    content = read_json(world / "runs/sweep/anchors/study.json")
    assert content["trials"] == {"finished": count, "pruned": 0, "failed": 0}
    table = pd.read_parquet(world / "runs/sweep/anchors/trials.parquet")
    assert table["number"].tolist() == [number for number in range(count) for _ in seeds]
    assert not table.duplicated(["number", "seed"]).any()
    assert table["run_key"].nunique() == count * len(seeds)
    assert set(table["state"]) == {"finished"}
    folder = world / "sweeps" / content["name"]
    assert len(list(folder.glob("trial-*/seed-*/run.json"))) == count * len(seeds)
    client = MlflowClient(f"sqlite:///{world / 'tracking' / 'mlflow.db'}")
    parent = read_json(folder / "run.json")
    for row in table.itertuples():
        run = client.get_run(row.run_id)
        assert run.info.status == "FINISHED"
        assert run.data.tags["run_key"] == row.run_key
        assert run.data.tags["trial"] == str(row.number)
        assert run.data.tags["mlflow.parentRunId"] == parent["run_id"]
        assert run.data.metrics["validation/mean"] == table["value/mean"][row.Index]
    with_keys = client.search_runs([client.get_run(parent["run_id"]).info.experiment_id], max_results=1000)
    assert len(with_keys) == count * len(seeds) + 1
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


@pytest.mark.parametrize("count", [6, pytest.param(24, marks=pytest.mark.slow)])
def test_two_workers_on_postgres_share_the_trials_of_one_that_is_killed(
    world, start, sweep_settings, write_settings, postgres, count
):
    sweep_settings["optuna"]["storage"] = postgres
    sweep_settings["sweep"]["studies"]["anchors"]["epochs"] = 4
    write_settings(world, sweep_settings)
    one, other = (start(world, "--study", "anchors", "--trials", str(count)) for _ in range(2))
    both = lambda: (  # noqa: E731
        len(trial_folders(world, "running")) == 2 and len(trial_folders(world, "finished")) >= count // 3
    )
    wait_for(both, one, other)
    kill(one)
    run_to_end(other)
    table = check_complete(world, count)
    points = table.groupby(["param/anchors", "param/epsilon"])
    assert len(points) == 6
    assert set(points.size()) == {count // 6}
    assert (points["seed"].nunique() == count // 6).all()


@pytest.mark.slow
def test_seeds_that_were_trained_side_by_side_go_on_after_a_kill(
    world, start, sweep_settings, write_settings
):
    sweep_settings["processes"] = 2
    sweep_settings["sweep"]["studies"]["anchors"] |= {"seeds": [0, 1], "pruner": None}
    write_settings(world, sweep_settings)
    arguments = ("--study", "anchors", "--trials", "2")
    first = start(world, *arguments)

    def both():
        running = trial_folders(world, "running")
        begun = [folder for folder in running if (folder / "checkpoint.pt").exists()]
        return len(trial_folders(world, "finished")) >= 2 and len(begun) == 2

    wait_for(both, first)
    kill(first)
    began = {folder: read_json(folder / "run.json")["run_key"] for folder in trial_folders(world, "running")}
    assert sorted(folder.name for folder in began) == ["seed-0", "seed-1"]
    assert len({folder.parent for folder in began}) == 1
    done = {folder: read_json(folder / "run.json") for folder in trial_folders(world, "finished")}
    run_to_end(start(world, *arguments))
    check_complete(world, 2, seeds=(0, 1))
    for folder, key in began.items():
        record = read_json(folder / "run.json")
        assert record["run_key"] == key, "the killed seed began another run"
        steps = [row["step"] for row in read_steps(folder / "steps.jsonl")]
        assert steps == list(range(len(steps))), "steps are missing or there twice"
    for folder, record in done.items():
        assert read_json(folder / "run.json") == record, "a finished trial was run again"


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
