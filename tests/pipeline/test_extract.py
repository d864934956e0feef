"""`multisk extract`: registered videos to features, with the real command on small films."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from ruamel.yaml import YAML
from tests.registering import register_msrvtt

from multisk.features.store import FeatureStore
from multisk.files import read_json
from multisk.params.profiles import compose
from multisk.pipeline.features import _share

pytestmark = pytest.mark.slow

REPOSITORY = Path(__file__).parents[2]
FILMS = 4


@pytest.fixture
def world(tmp_path: Path, made: Path) -> Path:
    """Videos of MSR-VTT's form, one damaged, one listed without a file, registered but not extracted."""
    films = sorted((made / "data/corpora/mini-msrvtt/videos").glob("*.mp4"))[:FILMS]
    (tmp_path / "videos").mkdir()
    for number, film in enumerate(films):
        shutil.copy(film, tmp_path / "videos" / f"video{number}.mp4")
    (tmp_path / "videos" / "video9.mp4").write_bytes(films[0].read_bytes()[:2000])
    names = [f"video{number}" for number in (*range(FILMS), 8, 9)]
    content = {
        "videos": [{"video_id": name, "start time": 0.0, "end time": 3.0} for name in names],
        "sentences": [
            {"video_id": name, "caption": f"film {name}", "sen_id": k} for k, name in enumerate(names)
        ],
    }
    (tmp_path / "MSRVTT_data.json").write_text(json.dumps(content))
    rows = [(name, f"film {name}") for name in names[2:]]
    pd.DataFrame(rows, columns=["video_id", "sentence"]).to_csv(tmp_path / "test.csv", index=False)
    register(tmp_path)
    settings = compose("smoke", REPOSITORY / "profiles")
    settings["clips"]["pretrain"]["corpus"] = "msrvtt"  # random networks take their statistics from it
    settings["features"] |= {"shard_megabytes": 0.01, "workers": 1}
    YAML().dump(settings, tmp_path / "params.yaml")
    return tmp_path


def register(folder: Path) -> None:
    register_msrvtt(
        folder / "videos",
        folder / "data/corpora/msrvtt",
        annotations=folder / "MSRVTT_data.json",
        test_list=folder / "test.csv",
    )


COMMAND = [sys.executable, "-m", "multisk", "extract", "msrvtt"]
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}


def extract(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *options],
        cwd=folder,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )


def test_every_file_is_told_of_and_nothing_is_done_twice(world: Path) -> None:
    done = extract(world)
    assert done.returncode == 0, done.stderr
    assert f"msrvtt: {FILMS + 1} files: " in done.stdout
    assert "1 failed (1 x " in done.stdout
    assert "see data/features/msrvtt/files.csv" in done.stdout
    table = pd.read_csv(world / "data/features/msrvtt/files.csv", keep_default_na=False)
    assert table.set_index("video_id")["status"]["video9"] == "failed"
    assert (table["reason"] != "").sum() == 1
    for stage, name in (("extractors", "extractors"), ("features", "msrvtt")):
        record = read_json(world / f"runs/{stage}/{name}/run.json")
        assert record["status"] == "finished"
        assert "features.motion" in record["params"]
    stamp = (world / "data/features/msrvtt/index.parquet").stat().st_mtime_ns
    again = extract(world)
    assert "extracted before; " in again.stdout
    assert (world / "data/features/msrvtt/index.parquet").stat().st_mtime_ns == stamp


def test_a_replaced_file_is_read_by_retry_alone(world: Path) -> None:
    refused = extract(world, "--retry")
    assert refused.returncode == 2
    assert "no features with failed files yet" in refused.stderr
    assert extract(world).returncode == 0
    folder = world / "data/features/msrvtt"
    before = {path.name: path.read_bytes() for path in folder.glob("*.safetensors")}
    shutil.copy(world / "videos/video1.mp4", world / "videos/video9.mp4")
    assert "1 failed" in extract(world).stdout
    done = extract(world, "--retry")
    assert done.returncode == 0, done.stderr
    assert f"msrvtt: {FILMS + 1} files: " in done.stdout
    assert " 0 failed" in done.stdout
    assert all((folder / name).read_bytes() == content for name, content in before.items())
    store = FeatureStore.open(folder)
    for stream in store.streams():
        np.testing.assert_array_equal(store.read("video9", stream), store.read("video1", stream))


def test_a_killed_extraction_goes_on(world: Path) -> None:
    assert extract(world).returncode == 0
    whole = shutil.move(world / "data/features/msrvtt", world / "whole")
    process = subprocess.Popen(
        COMMAND, cwd=world, env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    end = time.monotonic() + 200
    while not list(world.glob("data/features/.msrvtt.unfinished/*/index.parquet")):
        assert process.poll() is None
        assert time.monotonic() < end
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not (world / "data/features/msrvtt").exists()
    assert extract(world).returncode == 0
    for path in Path(whole).glob("*.safetensors"):
        assert (world / "data/features/msrvtt" / path.name).read_bytes() == path.read_bytes(), path.name


def test_videos_that_are_added_are_all_that_is_read(world: Path) -> None:
    assert extract(world).returncode == 0
    folder = world / "data/features/msrvtt"
    before = {path.name: path.read_bytes() for path in folder.glob("*.safetensors")}
    shutil.copy(world / "videos/video1.mp4", world / "videos/video8.mp4")
    register(world)
    done = extract(world)
    assert done.returncode == 0, done.stderr
    assert f"msrvtt: {FILMS + 2} files: " in done.stdout
    assert all((folder / name).read_bytes() == content for name, content in before.items())
    store = FeatureStore.open(folder)
    for stream in store.streams():
        np.testing.assert_array_equal(store.read("video8", stream), store.read("video1", stream))
    assert "extracted before; " in extract(world).stdout


def test_a_kill_while_files_are_shared_does_no_harm(tmp_path: Path) -> None:
    store, folder = tmp_path / "store", tmp_path / "folder"
    store.mkdir()
    folder.mkdir()
    for name in ("index.parquet", "motion-00000.safetensors", "files.csv"):
        (store / name).write_text(name)
    os.link(store / "files.csv", folder / "files.csv")  # so far it had come
    _share(store, folder)
    assert {path.name: path.read_text() for path in folder.iterdir()} == {
        path.name: path.name for path in store.iterdir()
    }


def test_features_of_something_else_are_never_replaced(world: Path) -> None:
    assert extract(world).returncode == 0
    settings = YAML(typ="safe").load(world / "params.yaml")
    settings["features"]["motion"]["seed"] = 1
    YAML().dump(settings, world / "params.yaml")
    done = extract(world)
    assert done.returncode == 2
    assert "features.motion: data/extractors/motion.safetensors has other settings" in done.stderr
    shutil.rmtree(world / "data/extractors")
    done = extract(world)
    assert done.returncode == 2
    assert "data/features/msrvtt: features of other videos or other extractors" in done.stderr
    assert FeatureStore.open(world / "data/features/msrvtt").length("video0", "motion") > 0


def test_corpora_that_are_not_registered_are_named(world: Path) -> None:
    shutil.rmtree(world / "data/corpora/msrvtt")
    done = extract(world)
    assert done.returncode == 2
    assert "data/corpora/msrvtt/corpus.json: no such file" in done.stderr
