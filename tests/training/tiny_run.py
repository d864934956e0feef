"""A training run small enough for tests; as a program, one that a test can kill.

python tiny_run.py DIRECTORY '{"settings": {...}, "wait_at": 9}'
"""

import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset

from multisk.models import build_model
from multisk.settings.models import Model
from multisk.settings.training import Method, Training
from multisk.stopping import Terminated
from multisk.training import Objective, Result, train

TEXT, VIDEO = 6, 10
MODEL = {
    "dimension": 16,
    "joint_dimension": 8,
    "depth": 1,
    "heads": 2,
    "mlp_ratio": 1,
    "davenet": {"layers": [1, 1], "widths": [4, 4, 8], "kernel": 3},
}
WEIGHTS = {m: {"t": 1.0, "v": 1.0, "a": 0.1} for m in "tva"}
METHOD = {
    "model": "per_modality",
    "contrastive": {
        "temperature": 0.05,
        "alpha": 1.0,
        "weights": {"t_v": 1.0, "t_a": 0.1, "v_a": 0.1, "t_va": 0.1, "v_ta": 0.1, "a_tv": 0.1},
    },
    "sspc": {
        "anchors": {"count": 4},
        "queue": 16,
        "temperature": 0.1,
        "beta": 1.0,
        "input_to_joint": WEIGHTS,
        "joint_to_input": WEIGHTS,
        "sinkhorn": {"fraction": 0.5, "epsilon": 0.07, "iterations": 5, "slots": "constant"},
    },
}
# Everything that a method can have beside SSPC: losses that look at videos, at a queue, at input features.
OTHER = {
    "model": "per_modality",
    "contrastive": {**METHOD["contrastive"], "loss": "mil_nce", "bag_seconds": 8.0},  # type: ignore[dict-item]
    "clustering": {"weight": 1.0, "centroids": 4, "queue": 16, "iterations": 2, "temperature": 0.1},
    "reconstruction": {"weight": 1.0},
}
SETTINGS = {
    "epochs": 4,
    "batch_size": 8,
    "learning_rate": 1e-3,
    "decay": 0.9,
    "ema": 0.9,
    "mixed_precision": "no",
    "freeze_batch_norm": False,
    "checkpoint_steps": 4,
    "workers": 0,
}


class Clips(Dataset[dict[str, torch.Tensor]]):
    """Random clips that depend on epoch and index alone; `loaded` says which were asked for."""

    def __init__(self, items: int = 42) -> None:
        self.items = items
        self.epoch = 0
        self.loaded: list[tuple[int, int]] = []

    def __len__(self) -> int:
        return self.items

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        self.loaded.append((self.epoch, index))
        random = np.random.RandomState((7, self.epoch, index))
        masks = {name: np.arange(n) < random.randint(0, n + 1) for name, n in [("text", 3), ("video", 4)]}
        return {
            "text": torch.from_numpy(random.randn(3, TEXT)).float(),
            "text_mask": torch.from_numpy(masks["text"]),
            "video": torch.from_numpy(random.randn(4, VIDEO)).float(),
            "video_mask": torch.from_numpy(masks["video"]),
            "audio": torch.from_numpy(random.randn(40, 16)).float(),
            "audio_mask": torch.ones(16, dtype=torch.bool),
            "video_index": torch.tensor(index // 4),
            "start": torch.tensor(5.0 * (index % 4)),
        }


def collate(items: list[dict[str, torch.Tensor]]) -> dict[str, Any]:
    batch: dict[str, Any] = {name: torch.stack([item[name] for item in items]) for name in items[0]}
    return {**batch, "caption": ["a caption"] * len(items)}


class Log:
    """Keeps steps in memory and, with a path, one per line in a file."""

    def __init__(self, path: Path | None = None) -> None:
        self.path = path
        lines = path.read_text().splitlines() if path and path.exists() else []
        self.rows: list[dict[str, float]] = [json.loads(line) for line in lines]
        self.rewound: list[int] = []

    def __call__(self, step: int, metrics: Mapping[str, float]) -> None:
        self.rows.append({"step": step, **metrics})
        self._write()

    def rewind(self, step: int) -> None:
        self.rewound.append(step)
        self.rows = [row for row in self.rows if row["step"] < step]
        self._write()

    def _write(self) -> None:
        if self.path:
            self.path.write_text("".join(json.dumps(row) + "\n" for row in self.rows))


class WaitingLog(Log):
    """Waits for a file `go`, or for its end, when a step is logged."""

    def __init__(self, path: Path, wait_at: int) -> None:
        super().__init__(path)
        self.folder = path.parent
        self.wait_at = wait_at

    def __call__(self, step: int, metrics: Mapping[str, float]) -> None:
        super().__call__(step, metrics)
        if step == self.wait_at:
            self.folder.joinpath("waiting").touch()
            while not self.folder.joinpath("go").exists():
                time.sleep(0.02)


def settings(**changes: Any) -> Training:
    return Training(**{**SETTINGS, **changes})


def objective(seed: int = 0, sspc: bool = True, other: bool = False, **sizes: Any) -> Objective:
    torch.manual_seed(seed)
    entry = OTHER if other else {**METHOD, "sspc": METHOD["sspc"] if sspc else None}
    method = Method.model_validate(entry)
    model = build_model(
        method.model,
        Model.model_validate({**MODEL, **sizes}),
        text_dimension=TEXT,
        video_dimension=VIDEO,
        anchors=method.anchors,
    )
    return Objective(model, method)


def run(directory: Path, log: Log | None = None, seed: int = 3, **changes: Any) -> Result:
    data = changes.pop("dataset", None) or Clips()
    module = changes.pop("objective", None) or objective()
    return train(module, data, collate, settings(**changes), directory, log or Log(), seed=seed)


def main() -> None:
    directory, options = Path(sys.argv[1]), json.loads(sys.argv[2])
    torch.set_num_threads(1)
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / "steps.jsonl"
    log = WaitingLog(path, options["wait_at"]) if "wait_at" in options else Log(path)
    try:
        run(directory, log, **options.get("settings", {}))
    except KeyboardInterrupt as stop:
        raise SystemExit(143 if isinstance(stop, Terminated) else 130) from None


if __name__ == "__main__":
    main()
