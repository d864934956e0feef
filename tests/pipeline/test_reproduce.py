"""Runs of the tiny world, looked up and done again."""

import os
import shutil
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file

from multisk.errors import InputError
from multisk.files import read_json, write_json
from multisk.params import load_params
from multisk.reproduce import compare, find_run, validate

pytestmark = pytest.mark.slow


def multisk(folder, *arguments, **variables):
    command = [sys.executable, "-m", "multisk", *map(str, arguments)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", **variables}
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=300
    )


def state(folder):
    return {path: path.lstat().st_mtime_ns for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.parametrize(
    "place", ["pretrain/sspc/seed-0", "finetune/sspc/msrvtt/seed-0", "evaluate/sspc/seed-0"]
)
def test_a_run_done_again_gives_the_same_numbers_and_touches_nothing(trained, place):
    before = state(trained)
    done = multisk(trained, "reproduce", f"runs/{place}", "--run")
    assert done.returncode == 0, done.stdout + done.stderr
    last = done.stdout.splitlines()[-1]
    count = int(last.split()[0])
    assert last == f"{count} of {count} numbers are equal; the largest difference is 0"
    assert count > 5
    assert "dataset: the same" in done.stdout
    if not place.startswith("evaluate"):
        assert "weights: the same" in done.stdout
    assert state(trained) == before


def test_a_number_that_does_not_come_out_again_is_named(trained, tmp_path):
    other = tmp_path / "seed-0"
    shutil.copytree(trained / "runs/evaluate/sspc/seed-0", other)
    metrics = read_json(other / "metrics.json")
    metrics["msrvtt"]["zero-shot"]["t2v+a"]["R10"] += 0.5
    write_json(other / "metrics.json", metrics)
    done = multisk(trained, "reproduce", other, "--run")
    assert done.returncode == 1, done.stderr
    assert "msrvtt/zero-shot/t2v+a/R10: recorded" in done.stdout
    assert "difference -0.5" in done.stdout
    assert compare(other, trained / "runs/evaluate/sspc/seed-0", tolerance=0.6).same


@pytest.fixture
def checkout(made, tmp_path, repository):
    """A git repository with this project's sources, in which the tiny world's settings are not committed."""
    folder = tmp_path / "checkout"
    folder.mkdir()
    unwanted = shutil.ignore_patterns("__pycache__", "*.egg-info")
    for name in ("src", "stages"):
        shutil.copytree(repository / name, folder / name, ignore=unwanted)
    for name in ("params.yaml", "requirements.txt"):
        shutil.copyfile(repository / name, folder / name)
    (folder / ".gitignore").write_text("/data\n/runs/\n/tracking/\n__pycache__/\n")
    git(folder, "init", "-q")
    git(folder, "add", "-A")
    git(folder, "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "Begin")
    shutil.copyfile(made / "params.yaml", folder / "params.yaml")
    (folder / "data").symlink_to(made / "data")
    return folder


def git(folder, *arguments):
    subprocess.run(["git", *arguments], cwd=folder, check=True)


def test_a_run_with_uncommitted_changes_is_done_again_from_its_commit_and_patch(checkout):
    """A new module that training needs is a part of the patch; later changes do not matter."""
    (checkout / "src/multisk/pipeline/added.py").write_text("FACTOR = 1\n\n")
    source = checkout / "src/multisk/pipeline/pretrain.py"
    committed = source.read_text()
    source.write_text(committed + "\n\nfrom multisk.pipeline.added import FACTOR  # noqa\n\n")
    here = {"PYTHONPATH": str(checkout / "src"), "OMP_NUM_THREADS": "1"}
    script = [sys.executable, "stages/pretrain.py", "contrastive"]
    subprocess.run(script, cwd=checkout, env={**os.environ, **here}, check=True, capture_output=True)
    (record,) = [read_json(path) for path in checkout.glob("runs/pretrain/*/*/run.json")]
    assert record["git_dirty"]
    assert record["requirements_digest"]

    (checkout / "src/multisk/pipeline/added.py").unlink()
    source.write_text("raise SystemExit(9)")
    git(checkout, "checkout", "-q", "params.yaml")
    done = multisk(checkout, "reproduce", record["run_key"][:12], "--run", **here)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"git checkout {record['git_commit']}" in done.stdout
    assert "uncommitted.patch" in done.stdout
    assert "weights: the same" in done.stdout


def test_what_a_run_was_is_said_without_running_anything(trained):
    record = read_json(trained / "runs/pretrain/sspc/seed-0/run.json")
    for name in ("runs/pretrain/sspc/seed-0", record["run_key"], record["run_id"]):
        done = multisk(trained, "reproduce", name)
        assert done.returncode == 0, done.stderr
        for fact in (record["dataset_digest"], record["versions"]["torch"], record["device"], "mini-howto"):
            assert fact in done.stdout
        assert done.stdout.splitlines()[-1] == record["command"]


@pytest.fixture
def trial(world, settings, write_settings):
    """A trial that a study left, with settings that params.yaml lacks, validated after each epoch."""
    entry = dict(settings["sweep"]["others"]["assignments"], epochs=2, pruner="median", seeds=[1])
    settings["sweep"]["others"] = {"small": entry | {"space": {"anchors": [4, 8]}}}
    write_settings(world, settings)
    done = multisk(world, "sweep", "--study", "small", "--trials", "1")
    assert done.returncode == 0, done.stdout + done.stderr
    settings["evaluate"]["weights"], settings["sweep"]["validation"] = "ema", 1.0
    write_settings(world, settings)
    (folder,) = world.glob("sweeps/small-*/trial-0/seed-1")
    return folder


def test_a_trial_is_done_again_with_its_own_settings_and_validated(world, trial, tmp_path):
    work = tmp_path / "work"
    done = multisk(world, "reproduce", trial, "--run", "--keep", work)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"multisk reproduce {trial} --run" in done.stdout
    again = work / "runs/pretrain/sspc/seed-1"
    assert read_json(again / "run.json")["params"]["methods.sspc"]["sspc"]["anchors"]["count"] == 4
    used = load_params(work / "params.yaml")
    assert (used.evaluate.weights, used.sweep.validation) == ("raw", 0.5), "not those of the trial"
    recorded = read_json(trial / "metrics.json")["validation"]
    assert read_json(again / "metrics.json")["validation"] == recorded
    pairs = compare(trial, again).pairs
    assert {name for name in pairs if name.startswith("validation/")} == {
        f"validation/{part}" for part in ("youcook2", "msrvtt", "mean")
    }
    assert any(name.endswith("/loss") for name in pairs)


def test_a_trial_that_the_pruner_stopped_is_done_again_up_to_there(world, trial):
    """It stands for one: what a finished trial was after its first epoch, and a number that is wrong."""
    steps = (trial / "steps.jsonl").read_text().splitlines(keepends=True)
    (trial / "steps.jsonl").write_text("".join(steps[: len(steps) // 2]))
    first = read_json(trial / "validation.json")["1"] | {"youcook2": 1.5}
    write_json(trial / "metrics.json", {"validation": first, "epochs": 1, "training": {"epochs": 1}})
    done = multisk(world, "reproduce", trial, "--run")
    assert done.returncode == 1, done.stderr
    wrong = [line for line in done.stdout.splitlines() if ": recorded " in line]
    assert len(wrong) == 1
    assert wrong[0].startswith("validation/youcook2: recorded 1.5, reproduced ")


@pytest.mark.parametrize(("kind", "file"), [("raw", "model"), ("ema", "ema")])
def test_the_weights_that_are_validated_are_those_that_the_trial_was_judged_by(
    made, trained, settings, write_settings, tmp_path, monkeypatch, kind, file
):
    settings["evaluate"]["weights"] = kind
    write_settings(tmp_path, settings)
    (tmp_path / "data").symlink_to(made / "data")
    place = "runs/pretrain/sspc/seed-0"
    shutil.copytree(trained / place, tmp_path / place)
    weights = load_file(tmp_path / place / f"{file}.safetensors")

    def judge(model):
        assert all(torch.equal(weights[name], value.cpu()) for name, value in model.state_dict().items())
        return {"mean": 12.5}

    monkeypatch.setattr(validate, "Validation", lambda *_: judge)
    monkeypatch.chdir(tmp_path)
    before = read_json(tmp_path / place / "metrics.json")
    validate.main("sspc", 0)
    assert read_json(tmp_path / place / "metrics.json") == before | {"validation": {"mean": 12.5}}


def test_a_run_that_only_the_tracker_knows_is_fetched_from_it(trained, tmp_path, monkeypatch):
    record = read_json(trained / "runs/evaluate/sspc/seed-0/run.json")
    metrics = read_json(trained / "runs/evaluate/sspc/seed-0/metrics.json")
    shutil.copytree(trained / "tracking", tmp_path / "tracking")
    monkeypatch.chdir(tmp_path)
    tracking = load_params(trained / "params.yaml").tracking
    found = find_run(record["run_key"], tmp_path, tracking)
    assert found.record["run_id"] == record["run_id"]
    assert read_json(found.folder / "metrics.json") == metrics


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("0123456789abcdef",), "no such run"),
        (("runs/features/mini-howto", "--run"), "writes data: dvc repro features"),
        (("runs/pretrain/sspc/seed-0", "--run", "--keep", "data"), "--keep: data: is there already"),
    ],
)
def test_what_cannot_be_done_is_one_line(trained, arguments, message):
    done = multisk(trained, "reproduce", *arguments)
    assert done.returncode == 2
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("error:")]
    assert message in line


def test_a_short_name_must_stand_for_one_run(trained, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tracking = load_params(trained / "params.yaml").tracking
    for number in range(2):
        record = read_json(trained / "runs/evaluate/sspc/seed-0/run.json")
        write_json(tmp_path / f"runs/{number}/run.json", record | {"run_key": f"abcdef{number}"})
    with pytest.raises(InputError, match="stands for 2 runs"):
        find_run("abcdef", tmp_path, tracking)
    assert find_run("abcdef1", tmp_path, tracking).folder.name == "1"
