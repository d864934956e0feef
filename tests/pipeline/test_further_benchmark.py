"""A benchmark more, or one alone: a YAML file, ten lines that read its annotations, the whole pipeline."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from ruamel.yaml import YAML

from multisk.corpora.manifest import Corpus
from multisk.files import read_json

pytestmark = pytest.mark.slow
REPOSITORY = Path(__file__).parents[2]

DEFINITION = """
title: Kitchen
protocol: each clip is found by its caption
released: null
obtain: "multisk videos kitchen VIDEOS --captions kitchen.json"
videos: {reader: multisk.benchmarks.kitchen:read, files: {captions: what is seen}, optional: []}
rows: []
settings:
  task: retrieval
  domain: null
  corpus: kitchen
  splits: {train: train, test: test}
  complete_size: null
  clips: {video_tokens: 6, audio_frames: 384, words: 20, sampling: clip, segments: 1}
  segments: 2
  finetune: null
"""

READER = """
import json

from multisk.benchmarks.register import ListedClip, Listing


def read(files, findings):
    parts = json.loads(files["captions"].read_text())
    return Listing(
        [ListedClip(key, split, [text]) for split, clips in parts.items() for key, text in clips.items()]
    )
"""


@pytest.fixture
def project(tmp_path: Path, world: Path) -> Path:
    """A working copy in which the tiny world is made, and which has one benchmark more."""
    project = tmp_path / "project"
    shutil.copytree(world, project)
    for name in ("src", "stages", "recipes", "profiles", "reports"):
        shutil.copytree(
            REPOSITORY / name, project / name, ignore=shutil.ignore_patterns("__pycache__", "site")
        )
    benchmarks = project / "src/multisk/benchmarks"
    (benchmarks / "kitchen.yaml").write_text(DEFINITION)
    (benchmarks / "kitchen.py").write_text(READER)
    corpus = Corpus.open(project / "data/corpora/mini-msrvtt")
    clips = corpus.clips[corpus.clips["video_id"].isin(corpus.videos["video_id"])]
    annotations: dict[str, dict[str, str]] = {"train": {}, "test": {}}
    for row in clips.to_dict("records"):
        annotations[row["split"]][row["video_id"]] = row["captions"][0]
    (project / "kitchen.json").write_text(json.dumps(annotations))
    return project


def run(project: Path, *command: str) -> str:
    done = subprocess.run(
        [sys.executable, *command],
        cwd=project,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(project / "src")},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


@pytest.mark.parametrize("others", [("youcook2", "msrvtt"), ()], ids=["three", "alone"])
def test_a_further_benchmark_goes_all_the_way(project: Path, others: tuple[str, ...]) -> None:
    yaml = YAML()
    settings = yaml.load(project / "params.yaml")
    settings["methods"] = {"sspc": settings["methods"]["sspc"]}
    yaml.dump(settings, project / "params.yaml")
    videos = str(project / "data/corpora/mini-msrvtt/videos")
    assert "kitchen: " in run(
        project, "-m", "multisk", "videos", "kitchen", videos, "--captions", "kitchen.json"
    )
    run(project, "-m", "multisk", "add", "kitchen")
    settings = yaml.load(project / "params.yaml")
    for name in [name for name in settings["benchmarks"] if name not in (*others, "kitchen")]:
        del settings["benchmarks"][name]
    yaml.dump(settings, project / "params.yaml")

    run(project, "-m", "multisk", "dag")
    assert "benchmarks.kitchen.corpus" in (project / "dvc.yaml").read_text()
    run(project, "-m", "multisk", "extract", "kitchen")
    run(project, "stages/pretrain.py", "sspc")
    run(project, "stages/finetune.py", "sspc")
    run(project, "stages/evaluate.py", "sspc")
    run(project, "stages/report.py")

    metrics = read_json(project / "runs/evaluate/sspc/metrics.json")
    assert set(metrics) - {"chance", "clips"} == {*others, "kitchen"}
    assert list(metrics["kitchen"]) == ["zero-shot"]
    assert metrics["clips"]["kitchen"]["present"] == metrics["clips"]["kitchen"]["complete"] > 0
    ranks = pd.read_parquet(project / "runs/evaluate/sspc/ranks.parquet")
    assert set(ranks["benchmark"]) == {*others, "kitchen"}
    assert "kitchen" in (project / "reports/site/index.html").read_text()
    assert "kitchen" in (project / "reports/results.md").read_text()
