"""The model registry, filled from run folders."""

import pytest
import torch
from safetensors.torch import save_file

from multisk.files import file_digest, write_json
from multisk.settings.tracking import Tracking
from multisk.tracking import Run
from multisk.tracking.registry import Registry, register


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    """One database for all tests: making a fresh one takes seconds."""
    return f"sqlite:///{tmp_path_factory.mktemp('registry') / 'mlflow.db'}"


@pytest.fixture
def settings(database, request, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return Tracking(experiment=request.node.name, uri=database, log_weights_megabytes=0.001)


@pytest.fixture
def runs(tmp_path):
    return tmp_path / "runs"


def pretrained(runs, settings, method, seed, recall=None, values=4):
    """A pretraining run, and if `recall` is given, its evaluation: R@10 by benchmark."""
    folder = runs / "pretrain" / method / f"seed-{seed}"
    facts = {"params": {}, "dataset_digest": "d", "profile": "tiny", "method": method, "seed": seed}
    with Run(folder, settings, stage="pretrain", **facts) as run:
        save_file({"weight": torch.full((values,), float(seed))}, folder / "model.safetensors")
    if recall:
        other = {"t2v": {"R10": 99.0}, "t2v+a": {"R10": 98.0}}
        measured = {
            name: {"zero-shot": {"t2va": {"R10": value}, **other}, "fine-tuned": other}
            for name, value in recall.items()
        }
        write_json(runs / "evaluate" / method / f"seed-{seed}" / "metrics.json", measured)
    return folder, run


def best(settings, benchmark):
    client = Registry(settings).mirror.client
    name = f"{settings.experiment}-tiny"
    return client.get_model_version_by_alias(name, f"best-zero-shot-{benchmark}")


def test_the_best_model_of_each_benchmark_has_an_alias(runs, settings):
    pretrained(runs, settings, "eao", 0, {"youcook2": 30.0, "msrvtt": 9.0})
    folder, run = pretrained(runs, settings, "eao", 1, {"youcook2": 20.0, "msrvtt": 11.0})
    pretrained(runs, settings, "eao", 2)
    lines = register(settings, runs, "raw")
    assert len(lines) == 2
    found = best(settings, "msrvtt")
    assert found.run_id == run.record["run_id"]
    assert found.tags["sha256"] == file_digest(folder / "model.safetensors")
    assert found.tags["msrvtt/zero-shot/R10"] == "11"
    assert best(settings, "youcook2").tags["seed"] == "0"


def test_a_method_without_audio_is_compared_by_what_video_alone_finds(runs, settings):
    pretrained(runs, settings, "eao", 0, {"msrvtt": 9.0})
    _, run = pretrained(runs, settings, "howto100m", 0)
    found = {"t2v": {"R10": 12.0}, "v2t": {"R10": 50.0}}
    measured = {"msrvtt": {"zero-shot": found, "fine-tuned": found}}
    write_json(runs / "evaluate/howto100m/seed-0/metrics.json", measured)
    (line,) = register(settings, runs, "raw")
    assert line.endswith("howto100m seed-0, R@10 12.0 (of 2)")
    assert best(settings, "msrvtt").run_id == run.record["run_id"]


def test_registering_again_adds_no_version_and_moves_the_alias_to_a_better_model(runs, settings):
    pretrained(runs, settings, "eao", 0, {"msrvtt": 9.0})
    register(settings, runs, "raw")
    first = best(settings, "msrvtt")
    register(settings, runs, "raw")
    client = Registry(settings).mirror.client
    assert len(client.search_model_versions(f"name = '{first.name}'")) == 1
    pretrained(runs, settings, "sspc", 0, {"msrvtt": 10.0})
    register(settings, runs, "raw")
    assert best(settings, "msrvtt").version != first.version
    assert len(client.search_model_versions(f"name = '{first.name}'")) == 2


def test_small_weights_are_kept_and_large_ones_named(runs, settings):
    _, small = pretrained(runs, settings, "small", 0)
    _, large = pretrained(runs, settings, "large", 0, values=1000)
    register(settings, runs, "raw")
    client = Registry(settings).mirror.client
    kept = {
        run: sorted(item.path for item in client.list_artifacts(run.record["run_id"], "weights"))
        for run in (small, large)
    }
    assert kept[small] == ["weights/model.json", "weights/model.safetensors"]
    assert kept[large] == ["weights/model.json"]


def test_a_run_that_did_not_end_is_not_registered(runs, settings):
    facts = {"params": {}, "dataset_digest": "d", "profile": "tiny", "method": "eao", "seed": 0}
    folder = runs / "pretrain" / "eao" / "seed-0"
    with pytest.raises(ValueError), Run(folder, settings, stage="pretrain", **facts):
        save_file({"weight": torch.ones(2)}, folder / "model.safetensors")
        raise ValueError
    assert register(settings, runs, "raw") == []
