"""The tracker of the tiny world, rebuilt from its files by commands."""

import os
import shutil
import subprocess
import sys

import pytest

from multisk.files import read_json
from multisk.params import load_params
from multisk.tracking import Mirror
from multisk.tracking.files import moments

pytestmark = pytest.mark.slow


def multisk(folder, *arguments):
    command = [sys.executable, "-m", "multisk", *arguments]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=300
    )


@pytest.fixture(scope="module")
def rebuilt(trained, tmp_path_factory):
    """The trained world without its tracker, and what `multisk sync` said, done twice."""
    folder = tmp_path_factory.mktemp("rebuilt") / "world"
    shutil.copytree(trained, folder, ignore=shutil.ignore_patterns("tracking", "data"))
    return folder, multisk(folder, "sync"), multisk(folder, "sync")


def test_a_tracker_that_was_deleted_is_rebuilt_with_the_same_runs(rebuilt, monkeypatch):
    folder, first, second = rebuilt
    records = [read_json(path) for path in (folder / "runs").rglob("run.json")]
    said = f"{len(records)} of {len(records)} runs are in MLflow"
    for done in (first, second):
        assert done.returncode == 0, done.stderr
        assert done.stdout.splitlines()[0] == said
    monkeypatch.chdir(folder)
    client = Mirror(load_params().tracking).client
    everywhere = [experiment.experiment_id for experiment in client.search_experiments()]
    runs = {run.data.tags["run_key"]: run for run in client.search_runs(everywhere)}
    assert runs.keys() == {record["run_key"] for record in records}
    for record in records:
        run = runs[record["run_key"]]
        assert run.info.status == "FINISHED"
        assert run.data.tags["recorded_run_id"] == record["run_id"]
        shown = (run.info.start_time / 1000, run.info.end_time / 1000)
        assert shown == pytest.approx(moments(record), rel=0, abs=0.001)
        assert run.data.metrics["system/peak_mb"] == record["peak_mb"]
    evaluated = read_json(folder / "runs/evaluate/sspc/seed-0/run.json")
    metrics = read_json(folder / "runs/evaluate/sspc/seed-0/metrics.json")
    found = runs[evaluated["run_key"]].data.metrics["msrvtt/zero-shot/t2v_a/R10"]
    assert found == metrics["msrvtt"]["zero-shot"]["t2v+a"]["R10"]


def test_sync_names_the_best_model_of_each_benchmark(rebuilt):
    folder, first, second = rebuilt
    aliases = first.stdout.splitlines()[1:]
    assert len(aliases) == 2
    assert aliases[0].startswith("multisk-tiny@best-zero-shot-msrvtt: version 1, sspc seed-0, R@10")
    assert second.stdout == first.stdout
    assert multisk(folder, "register").stdout.splitlines() == aliases


def test_a_tracker_that_does_not_answer_is_one_line(trained, tmp_path):
    shutil.copytree(trained / "runs" / "pretrain", tmp_path / "runs" / "pretrain")
    settings = (trained / "params.yaml").read_text()
    assert "uri: \n" in settings or "uri: null" in settings or "uri:\n" in settings
    uri = "uri: http://127.0.0.1:9\n"
    lines = [line if "uri:" not in line else f"  {uri}" for line in settings.splitlines(keepends=True)]
    (tmp_path / "params.yaml").write_text("".join(lines))
    registered = multisk(tmp_path, "register")
    assert registered.returncode == 2
    assert "models not registered" in registered.stderr
    assert "Traceback" not in registered.stderr
    synced = multisk(tmp_path, "sync")
    assert synced.returncode == 1
    assert "0 of" in synced.stdout
