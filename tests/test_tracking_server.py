"""A real MLflow server on loopback: it is used, dies in the middle, and is caught up with."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request

import pytest

from multisk.files import read_json
from multisk.settings.tracking import Tracking
from multisk.tracking import Mirror, Run, read_steps
from multisk.tracking.sync import mirror_all, run_folders

pytestmark = pytest.mark.slow


class Server:
    """`mlflow server`, with what it stores in a folder; it can be stopped and started again."""

    def __init__(self, folder):
        self.folder, self.process = folder, None
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            self.port = taken.getsockname()[1]
        self.uri = f"http://127.0.0.1:{self.port}"

    def start(self):
        command = [sys.executable, "-m", "mlflow", "server", "--workers", "1", "--host", "127.0.0.1"]
        command += ["--port", str(self.port), "--backend-store-uri", f"sqlite:///{self.folder / 'mlflow.db'}"]
        command += ["--artifacts-destination", str(self.folder / "artifacts")]
        with (self.folder / "server.log").open("a") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        end = time.monotonic() + 120
        while not self.answers():
            assert self.process.poll() is None, (self.folder / "server.log").read_text()[-2000:]
            assert time.monotonic() < end, "the server did not start"
            time.sleep(0.1)

    def answers(self):
        try:
            return urllib.request.urlopen(f"{self.uri}/health", timeout=2).status == 200
        except OSError:
            return False

    def stop(self):
        if self.process is not None:
            os.killpg(self.process.pid, signal.SIGKILL)  # its workers, too
            self.process.wait()
            self.process = None


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    started = Server(tmp_path_factory.mktemp("server"))
    started.start()
    yield started
    started.stop()


@pytest.fixture
def running(server):
    if server.process is None:
        server.start()
    return server


@pytest.fixture
def settings(running, request):
    return Tracking(experiment=request.node.name, uri=running.uri, log_weights_megabytes=1)


def run_in(folder, settings, **more):
    facts = {"params": {"a": 1}, "dataset_digest": "d", "profile": "tiny", "seed": 0, **more}
    return Run(folder, settings, **facts)


def test_a_server_takes_runs_and_their_files(tmp_path, settings):
    with run_in(tmp_path, settings, stage="pretrain") as run:
        run(0, {"loss": 1.0})
        run.finish({"R10": 5})
    client = Mirror(settings).client
    found = client.get_run(run.record["run_id"])
    assert found.info.status == "FINISHED"
    assert found.data.metrics["R10"] == 5
    assert {"run.json", "metrics.json"} <= {item.path for item in client.list_artifacts(found.info.run_id)}


def test_a_run_outlives_its_server_and_is_completed_later(tmp_path, running, settings, monkeypatch, caplog):
    monkeypatch.setattr("multisk.tracking.run.MIRROR_SECONDS", 0)
    folder = tmp_path / "runs" / "pretrain" / "sspc" / "seed-0"
    with run_in(folder, settings, stage="pretrain") as run:
        run(0, {"loss": 1.0})
        assert run.record["run_id"] is not None
        running.stop()
        began = time.monotonic()
        for step in range(1, 50):
            run(step, {"loss": 1.0})
        assert time.monotonic() - began < 30
        run.finish({"R10": 5})
    assert read_json(folder / "run.json")["status"] == "finished"
    assert len(read_steps(folder / "steps.jsonl")) == 50
    assert "multisk sync" in caplog.text
    assert mirror_all(settings, run_folders(tmp_path)) == [folder]

    running.start()
    assert mirror_all(settings, run_folders(tmp_path)) == []
    client = Mirror(settings).client
    found = client.get_run(run.record["run_id"])
    assert found.info.status == "FINISHED"
    history = client.get_metric_history(found.info.run_id, "loss")
    assert sorted(point.step for point in history) == list(range(50))


def test_a_tracker_is_rebuilt_from_the_files(tmp_path, settings):
    with run_in(tmp_path / "runs" / "sweep" / "anchors", settings, stage="sweep", name="anchors") as study:
        for trial in range(2):
            facts = {"stage": "sweep", "parent": study.run_key, "trial": trial}
            with run_in(tmp_path / "sweeps" / "anchors" / f"trial-{trial}", settings, **facts) as part:
                part(0, {"loss": float(trial)})
    rebuilt = settings.model_copy(update={"experiment": f"{settings.experiment}-rebuilt"})
    assert mirror_all(rebuilt, run_folders(tmp_path)) == []
    before, after = (family(tracking) for tracking in (settings, rebuilt))
    assert before == after
    assert len(after) == 3


def family(settings):
    """Runs of a tracker, told by what stays when it is rebuilt."""
    client = Mirror(settings).client
    experiment = client.get_experiment_by_name(f"{settings.experiment}-sweep").experiment_id
    runs = client.search_runs([experiment])
    keys = {run.info.run_id: run.data.tags["run_key"] for run in runs}
    return {
        run.data.tags["run_key"]: (
            run.info.run_name,
            run.info.status,
            keys.get(run.data.tags.get("mlflow.parentRunId")),
            run.data.metrics,
            run.data.params,
        )
        for run in runs
    }


def test_a_copy_of_the_files_alone_is_enough(tmp_path, settings):
    with run_in(tmp_path / "runs" / "a", settings, stage="words") as run:
        pass
    shutil.copytree(tmp_path / "runs", tmp_path / "copy" / "runs")
    assert mirror_all(settings, run_folders(tmp_path / "copy")) == []
    client = Mirror(settings).client
    experiment = client.get_experiment_by_name(f"{settings.experiment}-words").experiment_id
    assert [found.info.run_id for found in client.search_runs([experiment])] == [run.record["run_id"]]
