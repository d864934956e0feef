"""Files in the released formats, written from the recorded arrays."""

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from multisk.features.howto_tree import HowtoTree

Items = list[dict[str, Any]]


@pytest.fixture(scope="session")
def recorded_clips(repository: Path) -> dict[str, Any]:
    """Recorded items of the two benchmarks."""
    case = repository / "tests" / "golden" / "E_data" / "msrvtt_youcook.pt"
    return torch.load(case, weights_only=True)


@pytest.fixture(scope="session")
def recorded_howto(repository: Path) -> dict[str, Any]:
    """Recorded items of narrated videos, and the features and captions that they were made from."""
    case = repository / "tests" / "golden" / "E_data" / "howto_dataset.pt"
    return torch.load(case, weights_only=True)


@pytest.fixture
def released_items(recorded_clips: dict[str, Any]) -> Callable[[str], Items]:
    """The recorded items of a benchmark as its pickle holds them."""

    def items(key: str) -> Items:
        return [
            {name: value.numpy() if torch.is_tensor(value) else value for name, value in item.items()}
            for item in recorded_clips[key]
        ]

    return items


@pytest.fixture
def write_pickle(tmp_path: Path) -> Callable[..., Path]:
    """Write an object as a pickle."""

    def write(content: Any, name: str = "items.pkl", protocol: int = 4) -> Path:
        path = tmp_path / name
        path.write_bytes(pickle.dumps(content, protocol))
        return path

    return write


@pytest.fixture
def howto_files(recorded_howto: dict[str, Any], tmp_path: Path) -> tuple[Path, HowtoTree]:
    """The listing and the tree of the recorded videos, with all names that files may have."""
    listing, root = tmp_path / "howto.csv", tmp_path / "tree"
    rows = recorded_howto["csv"].split()[1:]
    listing.write_text("\n".join(["path", f"None/{rows[0]}", *rows[1:]]) + "\n")
    for number, (video_id, video) in enumerate(recorded_howto["videos"].items()):
        folder = root / video["path"]
        folder.mkdir(parents=True)
        save: Any = np.savez_compressed if number == 1 else np.savez
        fallback = number % 2 == 1
        appearance = Path(f"{folder}_2d.npz") if fallback else folder / f"{video_id}_2d.npz"
        motion = folder / (f"{video_id}.npz" if fallback else f"{video_id}_3d.npz")
        save(appearance, features=video["features_2d"].numpy())
        save(motion, features=video["features_3d"].numpy())
        save(folder / f"{video_id}_spec.npz", video["mel"].numpy())
    return listing, HowtoTree(root, root, root)


@pytest.fixture(params=["pickle", "json", "csv"])
def howto_captions(request: pytest.FixtureRequest, recorded_howto: dict[str, Any], tmp_path: Path) -> Path:
    """The recorded captions in each of the three layouts."""
    said = {video_id: video["caption"] for video_id, video in recorded_howto["videos"].items()}
    if request.param == "csv":
        (tmp_path / "captions").mkdir()
        for video_id, caption in said.items():
            pd.DataFrame(caption).to_csv(tmp_path / "captions" / f"{video_id}.csv", index=False)
        return tmp_path / "captions"
    path = tmp_path / f"caption.{request.param}"
    path.write_bytes(pickle.dumps(said, 4) if request.param == "pickle" else json.dumps(said).encode())
    return path
