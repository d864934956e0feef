"""The paper's profile on files in the released formats: imported, checked, trained, evaluated, reported."""

import json
import pickle
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from ruamel.yaml import YAML
from safetensors.numpy import load_file

from multisk.features.store import FeatureStore
from multisk.files import read_json
from multisk.params.profiles import compose, use
from multisk.tracking import read_steps

pytestmark = pytest.mark.slow

DIMENSION = 2048
THINGS = ("onion", "tomato", "Paris", "pan", "carrot", "fish", "bread", "knife")
MISSPELT = "tomatoe"  # said in a caption; the word vectors do not have it
TRAINED = ("pretrain/sspc/seed-0", "finetune/sspc/msrvtt/seed-0")
COMMANDS = {
    "msrvtt": ("--train", "msrvtt_train.pkl", "--test", "msrvtt_test.pkl", "--test-list", "jsfusion.csv"),
    "youcook2": ("--train", "youcook_train.pkl", "--validation", "youcook_val.pkl"),
    "howto100m": ("--list", "howto.csv", "--captions", "caption.json", "--features", "tree"),
}


@dataclass
class Files:
    """Writes files as they were released, with features that tell things apart."""

    folder: Path
    rng: np.random.Generator

    def arrays(self, thing: int, seconds: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return appearance [s, 2048], motion [1.5 s, 2048] and log-mel [40, 100 s] of a clip."""
        look = np.random.default_rng(thing).random((2, DIMENSION), np.float32)
        appearance = look[0] + 0.1 * self.rng.random((seconds, DIMENSION), np.float32)
        motion = look[1] + 0.1 * self.rng.random((seconds * 3 // 2, DIMENSION), np.float32)
        logmel = -80 * self.rng.random((40, 100 * seconds), np.float32)
        logmel[thing * 4 : thing * 4 + 4] /= 8
        return appearance, motion, logmel

    def msrvtt(self) -> None:
        """Six training clips; five test clips of the seven that the 1k-A list names."""
        train = [
            self._msrvtt_item(k, k, caption=[f"cut the {w}", f"a {w}"]) for k, w in enumerate(THINGS[:6])
        ]
        test = [
            self._msrvtt_item(100 + k, k, eval_caption=f"someone cuts the {w}")
            for k, w in enumerate(THINGS[:5])
        ]
        self._pickle("msrvtt_train.pkl", train)
        self._pickle("msrvtt_test.pkl", test)
        rows = [(f"video{100 + k}", f"someone cuts the {THINGS[k]}") for k in range(7)]
        pd.DataFrame(rows, columns=["video_id", "sentence"]).to_csv(self.folder / "jsfusion.csv", index=False)

    def youcook2(self) -> None:
        """Five training clips; six of validation, one of them without features."""
        for split, count in (("train", 5), ("val", 6)):
            items = [self._youcook_item(f"{split}{k}", k) for k in range(count)]
            if split == "val":
                del items[-1]["2d_full"]
            self._pickle(f"youcook_{split}.pkl", items)

    def howto100m(self) -> None:
        """Four videos of 30 seconds; the last one has no sound."""
        paths, said = [], {}
        for k in range(4):
            video_id = f"vid-{k}-{'x' * 5}"
            path = f"food_and_entertaining/video_{k}/{video_id}"
            place = self.folder / "tree" / path
            place.mkdir(parents=True)
            appearance, motion, logmel = self.arrays(k, 30)
            np.savez(place / f"{video_id}_2d.npz", features=appearance.astype(np.float16))
            np.savez(place / f"{video_id}_3d.npz", features=motion.astype(np.float16))
            if k < 3:
                np.savez(place / f"{video_id}_spec.npz", logmel.astype(np.float16))
            paths.append(path)
            start = [float(s) for s in range(0, 27, 3)]
            text = [f"now we cut the {THINGS[(k + s) % 6]}" for s in range(8)] + [f"the {MISSPELT}"]
            said[video_id] = {"start": start, "end": [s + 2.5 for s in start], "text": text}
        pd.DataFrame({"path": paths}).to_csv(self.folder / "howto.csv", index=False)
        (self.folder / "caption.json").write_text(json.dumps(said))

    def words(self, path: Path) -> None:
        """Write GoogleNews' layout: a header, then word, space, 300 floats, without line breaks."""
        words = ["</s>", "someone", "cuts", "cut", "the", "a", "now", "we", *THINGS, "unused"]
        path.parent.mkdir(parents=True)
        with path.open("wb") as file:
            file.write(f"{len(words)} 300\n".encode())
            for word in words:
                file.write(word.encode() + b" " + self.rng.standard_normal(300).astype("<f4").tobytes())

    def _msrvtt_item(self, number: int, thing: int, **said: Any) -> dict[str, Any]:
        appearance, motion, logmel = self.arrays(thing, 10)
        return {"id": f"video{number}", "2d": appearance, "3d": motion, "audio": logmel, **said}

    def _youcook_item(self, name: str, thing: int) -> dict[str, Any]:
        appearance, motion, logmel = self.arrays(thing, 12)
        clip = {"id": name, "caption": f"cut the {THINGS[thing]}", "audio": logmel}
        return {**clip, "2d_full": appearance, "3d_full": motion}

    def _pickle(self, name: str, items: list[dict[str, Any]]) -> None:
        (self.folder / name).write_bytes(pickle.dumps(items))


def shrunk(profiles: Path) -> dict[str, Any]:
    """The paper's profile with smaller sizes, one method, and no mixed precision, which a CPU has not."""
    settings = compose("paper", profiles)
    settings["model"] |= {"dimension": 32, "joint_dimension": 48, "heads": 4}
    settings["model"]["davenet"] |= {"layers": [1] * 6, "widths": [4, 4, 4, 8, 8, 16, 16]}
    settings["methods"] = {"sspc": settings["methods"]["sspc"]}
    settings["methods"]["sspc"]["sspc"] |= {"anchors": {"count": 8}, "queue": 40}
    training = {"mixed_precision": "no", "workers": 0}
    settings["pretrain"] |= {"epochs": 2, "batch_size": 2, **training}
    for benchmark in ("youcook2", "msrvtt"):
        settings["benchmarks"][benchmark]["finetune"] |= {"epochs": 1, "batch_size": 3, **training}
    return settings


def multisk(folder: Path, *arguments: str) -> str:
    """Run the command line; return what it prints."""
    command = [sys.executable, "-m", "multisk", *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, f"{arguments}: {done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture
def world(repository: Path, tmp_path: Path) -> Path:
    """A folder with the released files and the settings; nothing is imported yet."""
    settings = shrunk(repository / "profiles")
    YAML().dump(settings, tmp_path / "params.yaml")
    files = Files(tmp_path, np.random.default_rng(0))
    files.msrvtt()
    files.youcook2()
    files.howto100m()
    files.words(tmp_path / settings["features"]["words"]["source"])
    return tmp_path


def test_released_files_go_all_the_way_to_the_report(world: Path, stage: Any) -> None:
    for name, options in COMMANDS.items():
        multisk(world, "import", name, *options)
    assert "the pipeline can run" in multisk(world, "preflight")
    for name, *arguments in (
        ("words",), ("pretrain", "sspc"), ("finetune", "sspc"), ("evaluate", "sspc"), ("report",)
    ):  # fmt: skip
        done = stage(world, name, *arguments)
        assert done.returncode == 0, f"{name}: {done.stderr}"
    check_features(world)
    check_words(world)
    check_training(world)
    check_metrics(world)
    check_page(world)


def check_features(world: Path) -> None:
    for corpus in ("msrvtt", "youcook2"):
        store = FeatureStore.open(world / "data/features" / corpus)
        assert (store.dimension("appearance"), store.dimension("motion")) == (DIMENSION, DIMENSION)
        shard = next(store.folder.glob("appearance-*.safetensors"))
        assert load_file(shard)["features"].dtype == np.float16
    assert not list((world / "data/features/howto100m").glob("*.safetensors")), "the tree is used in place"


def check_words(world: Path) -> None:
    vocabulary = (world / "data/words/vocabulary.txt").read_text().split()
    assert {"Paris", "someone", "onion"} <= set(vocabulary), "words of all corpora, in their own case"
    assert "unused" not in vocabulary
    unknown = pd.read_csv(world / "data/words/unknown.csv").set_index("word")["count"]
    assert unknown[MISSPELT] == 4


def check_training(world: Path) -> None:
    steps = read_steps(world / "runs/pretrain/sspc/seed-0/steps.jsonl")
    assert len(steps) == 4, "two epochs of four videos, two at a time"
    assert all(np.isfinite(row["loss"]) for row in steps)
    assert any("sspc/input_to_joint/t-v" in row for row in steps), (
        "the queue of 40 is full after two steps of 20 clips"
    )
    first, last = (load_file(world / f"runs/{part}/model.safetensors") for part in TRAINED)
    assert first.keys() == last.keys()
    assert any((first[name] != last[name]).any() for name in first)


def check_metrics(world: Path) -> None:
    metrics = read_json(world / "runs/evaluate/sspc/metrics.json")
    assert metrics["clips"]["msrvtt"] == {"present": 5, "complete": 1000, "missing": 995}
    assert metrics["clips"]["youcook2"] == {"present": 5, "complete": 3350, "missing": 3345}
    for benchmark, complete in (("msrvtt", 1000), ("youcook2", 3350)):
        for setting in ("zero-shot", "fine-tuned"):
            found = metrics[benchmark][setting]["seed-0"]["t2v+a"]
            assert found["R10"] == pytest.approx(100 * 5 / complete), "all that are there, of all that count"
            assert 1 <= found["MedR"] <= 5


def check_page(world: Path) -> None:
    page = "\n".join(path.read_text() for path in sorted((world / "reports" / "site").glob("*.html")))
    assert "someone cuts the" in page
    assert "data:image/jpeg" not in page, "there are no videos to take pictures from"
    assert re.search(r"no (frame|video|picture) of val\d", page), "which is said"


@pytest.mark.parametrize(("profile", "makes"), [("miniature", True), ("smoke", True), ("paper", False)])
def test_the_pipeline_makes_only_what_it_renders(
    repository: Path, tmp_path: Path, profile: str, makes: bool
) -> None:
    (tmp_path / ".dvc").mkdir()
    (tmp_path / ".dvc" / "config").write_text("[core]\n  no_scm = true\n  analytics = false\n")
    shutil.copyfile(repository / "dvc.yaml", tmp_path / "dvc.yaml")
    use(profile, tmp_path / "params.yaml", repository / "profiles")
    command = [sys.executable, "-m", "dvc", "stage", "list", "--all", "--name-only"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    stages = {name.partition("@")[0] for name in done.stdout.split()}
    assert {"words", "pretrain", "finetune", "evaluate", "report"} <= stages
    rendering = {"corpora", "extractors", "features"}
    assert stages & rendering == (rendering if makes else set())
    assert ("sweep" in stages) == makes, "at the paper's scale each trial is a whole pretraining"


def test_no_training_stage_depends_on_terabytes(repository: Path) -> None:
    stages = YAML(typ="safe").load(repository / "dvc.yaml")["stages"]
    for name in ("words", "pretrain", "finetune", "evaluate", "sweep", "report"):
        stage = stages[name].get("do", stages[name])
        data = [dep for dep in stage["deps"] if dep.startswith(("data/corpora", "data/features"))]
        assert data, name
        assert all(dep.endswith(("/corpus.json", "/index.parquet")) for dep in data), name
