"""The stages as commands: what they leave behind, how they resume, what they say of bad input."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from multisk.files import read_json
from multisk.tracking import read_steps

pytestmark = pytest.mark.slow


def test_every_run_says_what_it_was(trained):
    records = {
        path.parent.relative_to(trained / "runs"): read_json(path)
        for path in (trained / "runs").rglob("run.json")
    }
    stages = {record["stage"] for record in records.values()}
    assert stages == {"corpora", "words", "extractors", "features", "pretrain", "finetune", "evaluate"}
    for where, record in records.items():
        assert record["status"] == "finished", where
        assert record["run_id"], where
        assert record["seconds"] > 0, where
        assert record["command"].startswith("python"), where
        assert {"python", "torch"} <= set(record["versions"]), where


def test_every_run_is_in_mlflow(trained):
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{trained / 'tracking' / 'mlflow.db'}")
    for path in (trained / "runs").rglob("run.json"):
        record = read_json(path)
        run = client.get_run(record["run_id"])
        assert run.info.status == "FINISHED"
        assert run.data.tags["run_key"] == record["run_key"]
    evaluated = read_json(trained / "runs/evaluate/sspc/seed-0/run.json")
    run = client.get_run(evaluated["run_id"])
    metrics = read_json(trained / "runs/evaluate/sspc/metrics.json")
    wanted = metrics["msrvtt"]["zero-shot"]["seed-0"]["t2v+a"]["R10"]
    assert run.data.metrics["msrvtt/zero-shot/t2v_a/R10"] == wanted


def test_missing_clips_are_counted_as_errors(trained):
    metrics = read_json(trained / "runs/evaluate/sspc/metrics.json")
    sizes = metrics["clips"]["msrvtt"]
    assert sizes["missing"] > 0
    assert sizes["present"] + sizes["missing"] == sizes["complete"]
    ranks = pd.read_parquet(trained / "runs/evaluate/sspc/ranks.parquet")
    chosen = ranks.query("benchmark == 'msrvtt' and setting == 'zero-shot' and direction == 't2v+a'")
    assert len(chosen) == sizes["present"]
    found = 100 * (chosen["rank"] < 6).sum() / sizes["complete"]
    assert metrics["msrvtt"]["zero-shot"]["seed-0"]["t2v+a"]["R5"] == found


def test_the_page_is_written(trained):
    page = (trained / "reports" / "site" / "index.html").read_text()
    assert "sspc" in page.lower()
    assert (trained / "reports" / "results.md").exists()


def test_a_killed_pretraining_ends_in_the_same_weights(world, trained):
    started = start(world, "pretrain", "sspc")
    wait_for(lambda: list(world.rglob("runs/pretrain/.sspc.unfinished/seed-0/*/checkpoint.pt")), started)
    os.killpg(started.pid, signal.SIGKILL)
    started.wait()
    (checkpoint,) = world.rglob("runs/pretrain/.sspc.unfinished/seed-0/*/checkpoint.pt")
    state = torch.load(checkpoint, weights_only=True)
    assert sum("queue" in name.lower() for name in state["objective"]) >= 6
    assert state["random"]
    assert not (world / "runs/pretrain/sspc").exists()
    again = start(world, "pretrain", "sspc")
    assert again.wait(timeout=300) == 0
    expected = load_file(trained / "runs/pretrain/sspc/seed-0/model.safetensors")
    found = load_file(world / "runs/pretrain/sspc/seed-0/model.safetensors")
    assert expected.keys() == found.keys()
    assert all(torch.equal(expected[name], found[name]) for name in expected)
    steps = [row["step"] for row in read_steps(world / "runs/pretrain/sspc/seed-0/steps.jsonl")]
    assert steps == list(range(len(steps)))
    assert not (world / "runs/pretrain/sspc/seed-0/checkpoint.pt").exists()


def start(folder, stage, *arguments):
    script = Path(__file__).parents[2] / "stages" / f"{stage}.py"
    return subprocess.Popen(
        [sys.executable, str(script), *arguments],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def wait_for(condition, process, seconds=240):
    end = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, "the process ended before it could be killed"
        assert time.monotonic() < end, "nothing happened in time"
        time.sleep(0.02)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("pretrain", "nothing"),
            "params.yaml: methods.nothing: no such entry; known: contrastive, sspc, mcn, eao",
        ),
        (("features", "nothing"), "data/corpora/nothing/corpus.json: no such file"),
        (("evaluate", "sspc"), "runs/pretrain/sspc/seed-0/model.safetensors"),
        (("corpora", "nothing"), "params.yaml: corpora.nothing: no such entry"),
    ],
)
def test_what_is_missing_is_named_in_one_line(world, stage, arguments, message):
    done = stage(world, *arguments)
    assert done.returncode == 2
    lines = [line for line in done.stderr.splitlines() if line.startswith("error:")]
    assert len(lines) == 1
    assert message in lines[0]
    assert "Traceback" not in done.stderr


def test_a_misspelt_key_is_named(world, stage, settings, write_settings):
    settings["pretrain"]["learning_rat"] = settings["pretrain"].pop("learning_rate")
    write_settings(world, settings)
    done = stage(world, "pretrain", "sspc")
    assert done.returncode == 2
    assert "params.yaml: pretrain.learning_rat: unknown key, did you mean learning_rate?" in done.stderr


def test_features_that_are_not_finite_are_named(world, stage):
    from safetensors.numpy import load_file as load
    from safetensors.numpy import save_file

    shard = next((world / "data/features/mini-howto").glob("motion-*.safetensors"))
    features = load(shard)
    features["features"][:] = float("nan")
    save_file(features, shard)
    done = stage(world, "pretrain", "contrastive")
    assert done.returncode == 2
    assert shard.name in done.stderr
    assert "not finite" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_damaged_video_is_recorded_and_stops_nothing(world, stage):
    import shutil

    videos = sorted((world / "data/corpora/mini-howto/videos").glob("*.mp4"))
    videos[0].write_bytes(videos[0].read_bytes()[:2000])
    shutil.rmtree(world / "data/features/mini-howto")
    assert stage(world, "features", "mini-howto").returncode == 0
    index = pd.read_parquet(world / "data/features/mini-howto/index.parquet")
    failed = index[index["status"] == "failed"]
    assert set(failed["video_id"]) == {videos[0].stem}
    assert failed["reason"].str.len().min() > 0
    assert stage(world, "pretrain", "contrastive").returncode == 0


def test_a_stage_ends_when_its_dvc_was_killed(world):
    """The parent stands for DVC: it starts the stage, as DVC does, and dies alone."""
    script = Path(__file__).parents[2] / "stages" / "pretrain.py"
    begin = f"import subprocess, time; p = subprocess.Popen([{sys.executable!r}, {str(script)!r}, 'sspc']); "
    begin += "print(p.pid, flush=True); time.sleep(600)"
    variables = {**os.environ, "OMP_NUM_THREADS": "1", "DVC_STAGE": "pretrain@sspc"}
    parent = subprocess.Popen(
        [sys.executable, "-c", begin], cwd=world, env=variables, stdout=subprocess.PIPE, text=True
    )
    stage_pid = int(parent.stdout.readline())
    wait_for(lambda: list(world.rglob("runs/pretrain/.sspc.unfinished/seed-0/*/checkpoint.pt")), parent)
    parent.kill()
    parent.wait()
    end = time.monotonic() + 20
    while Path(f"/proc/{stage_pid}").exists() and time.monotonic() < end:
        time.sleep(0.1)
    assert not Path(f"/proc/{stage_pid}").exists()
