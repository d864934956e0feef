"""A folder in which nothing is missing: corpora and features as imports leave them, only narrower."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from multisk.corpora.manifest import CLIP_COLUMNS, VIDEO_COLUMNS, write_corpus
from multisk.features.store import StoreWriter, Stream
from multisk.layout import Layout
from multisk.params import Params, load_params
from multisk.params.profiles import compose
from multisk.preflight.checks import Check
from multisk.preflight.run import preflight

RATES = {"appearance": 1.0, "motion": 1.5, "logmel": 100.0}
Look = Callable[..., list[Check]]


@pytest.fixture
def settings(repository: Path) -> dict[str, Any]:
    """The paper's profile, small and for a machine without a GPU; to be changed at will."""
    values: dict[str, Any] = compose("paper", repository / "profiles")
    values["model"] |= {"dimension": 16, "joint_dimension": 16, "heads": 2}
    values["model"]["davenet"] |= {"layers": [1, 1], "widths": [4, 4, 8]}
    values["features"]["words"]["dimension"] = 5
    values["methods"] = {name: values["methods"][name] for name in ("contrastive", "sspc")}
    tuning = (benchmark["finetune"] for benchmark in values["benchmarks"].values())
    for training in (values["pretrain"], *tuning):
        training |= {"mixed_precision": "no", "batch_size": 2}
    return values


def write_features(folder: Path, videos: list[str], widths: dict[str, int] | None = None) -> None:
    """Write a store in which each video has one feature of each stream."""
    sizes = {"appearance": 3, "motion": 4, "logmel": 40, **(widths or {})}
    with StoreWriter(folder) as writer:
        for video in videos:
            streams = {
                name: Stream(np.ones((1, size), np.float16), RATES[name]) for name, size in sizes.items()
            }
            writer.add(video, 1.0, streams)


def write_clips(layout: Layout, name: str, present: dict[str, int], listed: dict[str, int]) -> None:
    """Write a captioned corpus of which some clips of each split have features."""
    rows = [
        (f"{split}{k}", f"{split}{k}", 0.0, 1.0, split, ["a pan"])
        for split in listed
        for k in range(listed[split])
    ]
    videos = [(f"{split}{k}", "", split, 1.0) for split in present for k in range(present[split])]
    write_corpus(
        layout.corpus(name),
        name=name,
        role="captioned",
        description="",
        videos=pd.DataFrame(videos, columns=list(VIDEO_COLUMNS)),
        clips=pd.DataFrame(rows, columns=list(CLIP_COLUMNS)),
        source={"files": [["test.pickle", "0123456789abcdef"]]},
    )
    write_features(layout.features(name), [video[0] for video in videos])


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All the published counts, and five narrated videos; not to be written to."""
    root = tmp_path_factory.mktemp("complete")
    layout = Layout(root)
    write_clips(layout, "msrvtt", {"train": 3, "test": 968}, {"train": 3, "test": 1000})
    write_clips(layout, "youcook2", {"train": 3, "validation": 3339}, {"train": 3, "validation": 3350})
    names = [f"vid{k}" for k in range(5)]
    said = pd.DataFrame({"start": [0.0], "end": [1.0], "text": ["a pan"]})
    write_corpus(
        layout.corpus("howto100m"),
        name="howto100m",
        role="narrated",
        description="",
        videos=pd.DataFrame([(name, "", "train", 1.0) for name in names], columns=list(VIDEO_COLUMNS)),
        captions=dict.fromkeys(names, said),
    )
    write_features(layout.features("howto100m"), names)
    path = root / "data/weights/GoogleNews-vectors-negative300.bin"
    path.parent.mkdir()
    path.write_bytes(b"2 5\n" + b"".join(word + np.ones(5, "<f4").tobytes() for word in (b"a ", b"pan ")))
    return root


@pytest.fixture
def complete(made: Path, tmp_path: Path) -> Layout:
    """A copy of it to work in."""
    shutil.copytree(made, tmp_path / "copy")
    return Layout(tmp_path / "copy")


@pytest.fixture
def look(complete: Layout, settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> Look:
    """Run preflight with the settings as they are at the moment of the call."""
    monkeypatch.chdir(complete.root)

    def run(**options: Any) -> list[Check]:
        (complete.root / "params.yaml").write_text(json.dumps(settings))
        params: Params = load_params(complete.root / "params.yaml")
        return preflight(params, Layout(), **options)

    return run
