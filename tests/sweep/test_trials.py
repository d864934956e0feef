"""Trials in the tiny world: pruning, seeds, shares of the videos, and what is exported of them."""

from collections import Counter
from types import SimpleNamespace

import pandas as pd
import pytest

from multisk.files import read_json
from multisk.layout import Layout
from multisk.params import load_params
from multisk.resumable import Code
from multisk.sampling.source import ClipSource
from multisk.sweep import seed
from multisk.sweep.study import sweep
from multisk.sweep.validation import validation_corpus
from multisk.sweep.watch import Watch
from multisk.tracking import Mirror
from multisk.tracking.files import moments
from multisk.tracking.sync import mirror_all, run_folders


class Scores:
    """Stands for the validation: a trial with more anchors is worse, and each epoch is better."""

    def __init__(self, params, _benchmarks):
        self.count = params.methods["sspc"].sspc.anchors.count
        self.calls = 0

    def __call__(self, _model):
        self.calls += 1
        return {
            "youcook2": 10.0 * self.calls - self.count,
            "msrvtt": 0.0,
            "mean": 5.0 * self.calls - self.count / 2,
        }


@pytest.fixture
def run(world, settings, write_settings, monkeypatch):
    """Run a study `pruned` with some entries changed; return study.json and trials.parquet."""

    def run_study(**changes):
        settings["sweep"]["others"]["pruned"] = {
            "methods": ["sspc"],
            "sampler": "grid",
            "objectives": ["youcook2"],
            "pruner": None,
            "epochs": 4,
            "seeds": [0],
            "trials": None,
            "space": {"anchors": [4, 6, 8, 10, 12]},
            **changes,
        }
        write_settings(world, settings)
        monkeypatch.chdir(world)
        content = sweep(load_params(), "pruned", Layout(), Code({}))
        return content, pd.read_parquet(world / "runs/sweep/pruned/trials.parquet")

    return run_study


@pytest.mark.parametrize("pruner", ["median", "halving"])
def test_hopeless_trials_are_stopped_by_the_validation_during_training(world, run, monkeypatch, pruner):
    monkeypatch.setattr(seed, "Validation", Scores)
    content, table = run(pruner=pruner)
    assert content["trials"]["pruned"] > 0
    assert content["trials"]["finished"] + content["trials"]["pruned"] == 5
    assert content["pareto"] == [0]
    for row in table.itertuples():
        folder = (world / row.file).parent
        steps = (folder / "steps.jsonl").read_text().splitlines()
        assert len(steps) == 2 * row.epochs, "four videos make two steps of two"
        assert (row.epochs < 4) == (row.state == "pruned")
        assert read_json(folder / "metrics.json")["training"]["epochs"] == row.epochs
        assert read_json(folder / "run.json")["status"] == "finished"
        assert len(read_json(folder / "validation.json")) == row.epochs
        assert not (folder / "checkpoint.pt").exists()


def test_without_a_pruner_every_trial_is_trained_to_its_end(run, monkeypatch):
    monkeypatch.setattr(seed, "Validation", Scores)
    content, table = run()
    assert content["trials"] == {"finished": 5, "pruned": 0, "failed": 0}
    assert set(table["epochs"]) == {4}
    assert table["value/youcook2"].tolist() == [6.0, 4.0, 2.0, 0.0, -2.0]
    assert content["importance"] == {"evaluator": "fanova", "values": {"youcook2": {"anchors": 1.0}}}


def test_a_trial_is_the_mean_of_its_seeds_which_are_kept(run, world):
    content, table = run(objectives=["youcook2", "msrvtt"], seeds=[0, 5], space={"anchors": [4, 8]}, epochs=1)
    assert Counter(zip(table["number"], table["seed"], strict=True)) == {
        (number, seed): 1 for number in (0, 1) for seed in (0, 5)
    }
    assert content["trials"]["finished"] == 2
    assert [entry["name"] for entry in content["objectives"]] == ["youcook2", "msrvtt"]
    means = table.groupby("number")[["value/youcook2", "value/msrvtt"]].mean()
    assert content["best"] == {
        "youcook2": means["value/youcook2"].max(),
        "msrvtt": means["value/msrvtt"].max(),
    }
    for row in table.itertuples():
        metrics = read_json((world / row.file).parent / "metrics.json")
        assert metrics["validation"]["youcook2"] == table.loc[row.Index, "value/youcook2"]
        assert read_json(world / row.file)["seed"] == row.seed
    assert table["peak_mb"].gt(0).all()
    assert set(table.loc[table["pareto"], "number"]) == set(content["pareto"])


def test_what_chance_would_score_is_exported(run, world):
    content, _ = run(space={"anchors": [4, 8]}, epochs=1)
    params, layout = load_params(world / "params.yaml"), Layout(world)
    for name, benchmark in params.benchmarks.items():
        inputs = ClipSource.open(layout, benchmark.corpus)
        listed = validation_corpus(inputs.corpus, "train", params.sweep.validation).clips["video_id"]
        present = int(listed.isin(inputs.store.videos()).sum())
        assert content["chance"][name] == 100 * min(10, present) / len(listed)
    assert content["chance"]["mean"] == (content["chance"]["youcook2"] + content["chance"]["msrvtt"]) / 2
    assert read_json(world / "runs/sweep/pruned/study.json")["chance"] == content["chance"]


def test_a_share_of_the_videos_takes_as_many_steps(run, world):
    _, table = run(space={"share": [0.5, 1.0]}, epochs=2, methods=["contrastive", "sspc"])
    assert table["method"].tolist() == ["contrastive", "contrastive", "sspc", "sspc"]
    assert table["param/share"].tolist() == [0.5, 1.0, 0.5, 1.0]
    logs = [(world / file).parent / "steps.jsonl" for file in table["file"]]
    assert [len(log.read_text().splitlines()) for log in logs] == [4, 4, 4, 4]


def test_the_export_is_the_same_when_it_is_repeated(run, world):
    run(space={"anchors": [4, 8]}, epochs=1)
    files = [world / "runs/sweep/pruned" / name for name in ("study.json", "trials.parquet")]
    before = [path.read_bytes() for path in files]
    run(space={"anchors": [4, 8]}, epochs=1)
    assert [path.read_bytes() for path in files] == before


@pytest.mark.parametrize(("epochs", "own"), [(1, 1), (4, 4), (3, 5), (6, 24), (7, 22)])
def test_a_validation_knows_after_how_many_epochs_of_the_trial_it_was_made(epochs, own, tmp_path):
    study = SimpleNamespace(epochs=epochs, pruner="median", objectives=("mean",))
    paced = SimpleNamespace(pretrain=SimpleNamespace(epochs=own), evaluate=SimpleNamespace(weights="raw"))
    reports = SimpleNamespace(report=lambda *_: None, should_prune=lambda: False)
    judged = []
    watch = Watch(reports, study, 0, paced, lambda _: judged.append(done) or {"mean": 1.0}, tmp_path)
    for done in range(1, own + 1):
        watch(done, None, None)
        if judged:
            assert watch.trained == judged[-1]
    assert len(judged) == epochs
    assert watch.trained == own


def test_syncing_after_a_study_changes_nothing_in_the_tracker(run, world):
    run(space={"anchors": [4, 8]}, epochs=1)
    before = shown(world)
    assert len(before) == 3
    for _ in range(2):
        assert mirror_all(load_params().tracking, run_folders(world)) == []
        assert shown(world) == before
    for folder in run_folders(world):
        record = read_json(folder / "run.json")
        if record["stage"] == "sweep":
            assert before[record["run_key"]][:2] == moments(record)


def shown(world):
    """What the tracker says of a world's sweeps: begin, end, and every point of every metric."""
    client = Mirror(load_params(world / "params.yaml").tracking).client
    experiment = client.get_experiment_by_name("multisk-sweep").experiment_id
    found = {}
    for run in client.search_runs([experiment]):
        points = {
            metric: [
                (point.step, point.value) for point in client.get_metric_history(run.info.run_id, metric)
            ]
            for metric in run.data.metrics
        }
        assert all(len(set(steps)) == len(steps) for steps in points.values())
        found[run.data.tags["run_key"]] = (run.info.start_time / 1000, run.info.end_time / 1000, points)
    return found
