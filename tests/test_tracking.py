import json
import multiprocessing
import time
from concurrent.futures import ProcessPoolExecutor

import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from multisk.files import file_digest, read_json, write_json
from multisk.settings.tracking import Tracking
from multisk.tracking import Mirror, Run, flatten, metric_name, read_steps
from multisk.tracking.files import moments
from multisk.tracking.sync import mirror_all, run_folders
from multisk.tracking.views import view_links


@pytest.fixture(scope="session")
def database(tmp_path_factory):
    """One database for all tests: making a fresh one takes seconds."""
    return f"sqlite:///{tmp_path_factory.mktemp('tracking') / 'mlflow.db'}"


@pytest.fixture
def settings(database, request, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # MLflow puts artifacts of experiments without a location here
    return Tracking(experiment=request.node.name, uri=database, log_weights_megabytes=1)


def run_in(folder, settings, **more):
    facts = {"stage": "pretrain", "method": "sspc", "seed": 3, **more}
    params = {"model": {"dimension": 8}, "clips.pretrain": {"corpus": "mini-howto"}}
    return Run(folder, settings, params=params, dataset_digest="d" * 64, profile="test", **facts)


def mirrored(settings, run):
    return Mirror(settings).client.get_run(run.record["run_id"])


def test_a_run_is_files_and_an_mlflow_run(tmp_path, settings):
    with run_in(tmp_path / "run", settings) as run:
        for step in range(5):
            run(step, {"loss": 1 / (step + 1)})
        run.finish({"youcook2": {"zero-shot": {"t2v+a": {"R10": 12.5}}}})
    record = read_json(tmp_path / "run" / "run.json")
    assert record["status"] == "finished"
    assert [row["step"] for row in read_steps(tmp_path / "run" / "steps.jsonl")] == list(range(5))
    found = mirrored(settings, run)
    assert found.info.run_id == record["run_id"]
    assert found.info.status == "FINISHED"
    assert found.data.params["model.dimension"] == "8"
    assert found.data.metrics["youcook2/zero-shot/t2v_a/R10"] == 12.5
    wanted = {"stage": "pretrain", "method": "sspc", "seed": "3", "dataset_digest": "d" * 64}
    assert wanted.items() <= found.data.tags.items()
    assert found.data.tags["device"] == record["device"]
    history = Mirror(settings).client.get_metric_history(found.info.run_id, "loss")
    assert [(point.step, point.value) for point in history] == [(step, 1 / (step + 1)) for step in range(5)]


def test_a_run_names_its_dataset_and_how_to_repeat_it(tmp_path, settings):
    with run_in(tmp_path, settings) as run:
        pass
    found = mirrored(settings, run)
    (read,) = found.inputs.dataset_inputs
    assert (read.dataset.name, read.dataset.digest) == ("mini-howto", "d" * 36)
    assert [(tag.key, tag.value) for tag in read.tags] == [("mlflow.data.context", "training")]
    assert f"multisk reproduce {run.run_key}" in found.data.tags["mlflow.note.content"]
    experiment = Mirror(settings).client.get_experiment(found.info.experiment_id)
    assert experiment.name == f"{settings.experiment}-pretrain"
    assert "Group by" in experiment.tags["mlflow.note.content"]


def test_an_experiment_has_a_view_of_means_over_seeds(tmp_path, settings):
    with run_in(tmp_path, settings) as run:
        pass
    experiment = Mirror(settings).client.get_experiment(mirrored(settings, run).info.experiment_id)
    state = json.loads(experiment.tags["mlflow.sharedViewState.means"])
    assert state["groupBy"]["groupByKeys"] == [{"mode": "tag", "groupByData": "method"}]
    (line,) = view_links(settings, "http://127.0.0.1:5000")
    address = f"http://127.0.0.1:5000/#/experiments/{experiment.experiment_id}/runs?viewStateShareKey=means"
    assert line.startswith(f"{experiment.name}: {address}")


def test_memory_and_processor_are_watched(tmp_path, settings, monkeypatch):
    monkeypatch.setattr("multisk.tracking.system.LOOK_SECONDS", 0.01)
    with run_in(tmp_path, settings) as run:
        ballast = bytearray(300_000_000)
        time.sleep(0.2)
        del ballast
        time.sleep(0.2)
    record = read_json(tmp_path / "run.json")
    (row,) = read_steps(tmp_path / "system.jsonl")
    assert record["peak_mb"] > row["process_memory_usage_megabytes"] + 200
    assert 0 <= row["cpu_utilization_percentage"] <= 100
    metrics = mirrored(settings, run).data.metrics
    assert metrics["system/peak_mb"] == record["peak_mb"]
    assert metrics["system/process_memory_usage_megabytes"] == row["process_memory_usage_megabytes"]


def test_samples_go_on_behind_a_line_cut_short(tmp_path, settings):
    (tmp_path / "system.jsonl").write_text('{"step": 0, "time": 1.0}\n{"step": 1, "ti')
    with run_in(tmp_path, settings):
        pass
    assert [row["step"] for row in read_steps(tmp_path / "system.jsonl")] == [0, 2]


def test_an_interrupted_run_goes_on_as_the_same_run(tmp_path, settings):
    with pytest.raises(KeyboardInterrupt), run_in(tmp_path, settings) as first:
        for step in range(4):
            first(step, {"loss": 1.0})
        raise KeyboardInterrupt
    with run_in(tmp_path, settings) as second:
        second.rewind(2)
        for step in range(2, 6):
            second(step, {"loss": 2.0})
    assert second.record["run_id"] == first.record["run_id"]
    assert second.record["started"] == first.record["started"]
    assert [row["loss"] for row in read_steps(tmp_path / "steps.jsonl")] == [1, 1, 2, 2, 2, 2]
    assert mirrored(settings, second).info.status == "FINISHED"


def test_pushing_twice_adds_nothing(tmp_path, settings):
    with run_in(tmp_path, settings) as run:
        run(0, {"loss": 1.0})
        run.finish({"R10": 5})
    again = Mirror(settings)
    assert again.push(tmp_path) == run.record["run_id"]
    for metric in ("loss", "R10", "system/peak_mb"):
        assert len(again.client.get_metric_history(run.record["run_id"], metric)) == 1


def test_weights_that_are_deleted_after_a_run_leave_its_mirror_as_it_was(tmp_path, settings):
    with run_in(tmp_path / "runs/a", settings) as run:
        run(0, {"loss": 1.0})
        (tmp_path / "runs/a/model.safetensors").write_bytes(b"weights")
        run.finish({"R10": 5})
    before = mirrored(settings, run)
    assert before.data.tags["sha256.model"] == file_digest(tmp_path / "runs/a/model.safetensors")
    (tmp_path / "runs/a/model.safetensors").unlink()
    for _ in range(2):
        assert mirror_all(settings, run_folders(tmp_path)) == []
    assert mirrored(settings, run).info.end_time == before.info.end_time
    for metric in ("loss", "R10", "system/seconds"):
        assert len(Mirror(settings).client.get_metric_history(run.record["run_id"], metric)) == 1


def test_a_run_that_goes_on_after_its_end_repeats_no_number(tmp_path, settings):
    for found in (5, 5, 7):
        with run_in(tmp_path, settings) as run:
            run.finish({"R10": found, "R50": 9})
    client = Mirror(settings).client
    values = {
        metric: [point.value for point in client.get_metric_history(run.record["run_id"], metric)]
        for metric in ("R10", "R50")
    }
    assert values == {"R10": [5, 7], "R50": [9]}
    assert mirrored(settings, run).data.metrics["R10"] == 7


@pytest.mark.parametrize("ended", ["2026-01-02T04:00:00.123+00:00", None])
def test_a_tracker_that_is_rebuilt_shows_when_a_run_began_and_ended(tmp_path, settings, ended):
    with run_in(tmp_path, settings) as run:
        run(0, {"loss": 1.0})
        run.finish({"R10": 5})
    times = {"started": "2026-01-02T03:00:00+00:00", "ended": ended, "seconds": 60.0}
    write_json(tmp_path / "run.json", {**read_json(tmp_path / "run.json"), **times})
    rebuilt = settings.model_copy(update={"experiment": f"{settings.experiment}-rebuilt"})
    client = Mirror(rebuilt).client
    found = client.get_run(Mirror(rebuilt).push(tmp_path))
    began = 1_767_322_800_000
    assert found.info.start_time == began
    assert found.info.end_time == began + (3_600_123 if ended else 60_000)
    for metric in ("loss", "R10"):
        (point,) = client.get_metric_history(found.info.run_id, metric)
        assert point.timestamp == found.info.end_time


def test_a_run_and_its_mirror_agree_on_its_times(tmp_path, settings):
    with run_in(tmp_path, settings) as run:
        pass
    info, record = mirrored(settings, run).info, read_json(tmp_path / "run.json")
    assert moments(record) == (info.start_time / 1000, info.end_time / 1000)
    assert info.start_time / 1000 <= time.time() - record["seconds"]
    assert abs(info.end_time / 1000 - time.time()) < 60


def test_a_run_that_ended_without_a_tracker_is_told_its_id_by_sync(tmp_path, settings):
    dead = settings.model_copy(update={"uri": "http://127.0.0.1:9"})
    record = tmp_path / "runs/a/run.json"
    with run_in(record.parent, dead):
        pass
    before = read_json(record)
    assert before["run_id"] is None
    assert mirror_all(settings, run_folders(tmp_path)) == []
    after = read_json(record)
    assert Mirror(settings).client.get_run(after["run_id"]).data.tags["run_key"] == before["run_key"]
    assert after == before | {"run_id": after["run_id"]}
    rebuilt = settings.model_copy(update={"experiment": f"{settings.experiment}-rebuilt"})
    assert mirror_all(rebuilt, run_folders(tmp_path)) == []
    assert read_json(record) == after, "an id that was known was lost"


def test_a_run_that_goes_on_is_left_to_its_own_process(tmp_path, settings):
    dead = settings.model_copy(update={"uri": "http://127.0.0.1:9"})
    with run_in(tmp_path / "runs/a", dead):
        assert mirror_all(settings, run_folders(tmp_path)) == []
        assert read_json(tmp_path / "runs/a/run.json")["run_id"] is None


def test_a_dead_tracker_stops_nothing_and_is_caught_up_with(tmp_path, settings, monkeypatch, caplog):
    dead = settings.model_copy(update={"uri": "http://127.0.0.1:9"})
    monkeypatch.setattr("multisk.tracking.run.MIRROR_SECONDS", 0)
    with run_in(tmp_path / "run", dead) as run:
        run(0, {"loss": 1.0})
    assert read_json(tmp_path / "run" / "run.json")["run_id"] is None
    assert "multisk sync" in caplog.text
    assert Mirror(settings).push(tmp_path / "run") is not None


def test_runs_side_by_side_are_all_mirrored(tmp_path, settings):
    """They find a tracker that knows nothing of their experiment, all at once."""
    folders = [tmp_path / str(number) for number in range(3)]
    with ProcessPoolExecutor(3, multiprocessing.get_context("spawn")) as pool:
        ids = list(pool.map(run_to_the_end, folders, [settings] * 3))
    assert all(ids)
    assert len({Mirror(settings).client.get_run(run_id).info.experiment_id for run_id in ids}) == 1


def test_a_dataset_that_another_run_names_at_the_same_moment_is_no_failure(tmp_path, settings, monkeypatch):
    log_inputs, left = MlflowClient.log_inputs, [MlflowException("UNIQUE constraint failed: datasets")]

    def raced(client, *arguments):
        if left:
            raise left.pop()
        log_inputs(client, *arguments)

    monkeypatch.setattr(MlflowClient, "log_inputs", raced)
    with run_in(tmp_path, settings) as run:
        pass
    assert left == []
    assert len(mirrored(settings, run).inputs.dataset_inputs) == 1


def run_to_the_end(folder, settings):
    with run_in(folder, settings) as run:
        run(0, {"loss": 1.0})
    return run.record["run_id"]


def test_what_a_tracker_lost_of_a_run_when_it_died_is_added(tmp_path, settings, monkeypatch):
    """It had made the run, and took no settings any more."""
    with monkeypatch.context() as dying:
        dying.setattr("multisk.tracking.mirror.datasets", lambda _: 1 / 0)
        with run_in(tmp_path, settings) as run:
            pass
    assert run.record["run_id"] is None
    found = Mirror(settings).client.get_run(Mirror(settings).push(tmp_path))
    assert found.data.params == {"model.dimension": "8", "clips.pretrain.corpus": "mini-howto"}
    assert len(found.inputs.dataset_inputs) == 1
    assert found.info.status == "FINISHED"


def test_a_failed_run_is_marked(tmp_path, settings):
    with pytest.raises(ValueError, match="bad"), run_in(tmp_path, settings) as run:
        raise ValueError("bad")
    assert read_json(tmp_path / "run.json")["status"] == "failed"
    assert mirrored(settings, run).info.status == "FAILED"


def test_a_trial_hangs_below_the_run_of_its_study(tmp_path, settings):
    with run_in(tmp_path / "study", settings, stage="sweep", name="anchors") as study:
        study.announce()
        with run_in(
            tmp_path / "elsewhere" / "7", settings, stage="sweep", parent=study.run_key, trial=7
        ) as trial:
            trial(0, {"loss": 1.0})
        found = mirrored(settings, trial)
        assert found.data.tags["mlflow.parentRunId"] == study.record["run_id"]
    assert found.info.run_name == "trial 7 seed-3"
    assert found.data.tags["trial"] == "7"
    assert mirrored(settings, study).info.run_name == "anchors"
    record = read_json(tmp_path / "elsewhere" / "7" / "run.json")
    assert (record["parent"], record["trial"]) == (study.run_key, 7)


def test_a_parent_that_is_mirrored_late_finds_its_children(tmp_path, settings):
    with run_in(tmp_path / "study", settings, stage="sweep") as study:
        with run_in(tmp_path / "trial", settings, stage="sweep", parent=study.run_key, trial=0) as trial:
            pass
        assert "mlflow.parentRunId" not in mirrored(settings, trial).data.tags
    assert mirrored(settings, trial).data.tags["mlflow.parentRunId"] == study.record["run_id"]


def test_a_trial_finds_the_parent_that_was_mirrored_beside_it(tmp_path, settings):
    """The same tracker has both of them under other names, too."""
    with run_in(tmp_path / "runs/study", settings, stage="sweep") as study:
        pass
    with run_in(tmp_path / "runs/trial", settings, stage="sweep", parent=study.run_key, trial=0) as trial:
        pass
    client = Mirror(settings).client
    for number in range(4):
        named = settings.model_copy(update={"experiment": f"{settings.experiment}-{number}"})
        assert mirror_all(named, run_folders(tmp_path)) == []
        experiment = client.get_experiment_by_name(f"{named.experiment}-sweep").experiment_id
        found = {run.data.tags["run_key"]: run for run in client.search_runs([experiment])}
        parent = found[trial.run_key].data.tags["mlflow.parentRunId"]
        assert parent == found[study.run_key].info.run_id


def test_a_parent_of_another_stage_is_found(tmp_path, settings):
    with run_in(tmp_path / "study", settings, stage="sweep") as study:
        pass
    with run_in(tmp_path / "part", settings, stage="pretrain", parent=study.run_key) as part:
        pass
    assert mirrored(settings, part).data.tags["mlflow.parentRunId"] == study.record["run_id"]


def test_a_line_cut_short_by_a_kill_is_left_out(tmp_path):
    path = tmp_path / "steps.jsonl"
    path.write_text(json.dumps({"step": 0}) + "\n" + '{"step": 1, "lo')
    assert read_steps(path) == [{"step": 0}]


def test_names_are_made_fit_for_mlflow():
    assert metric_name("youcook2/t2v+a/R10") == "youcook2/t2v_a/R10"
    assert dict(flatten({"a": {"b": 1, "c": [1, 2]}}, ".")) == {"a.b": 1, "a.c": [1, 2]}
