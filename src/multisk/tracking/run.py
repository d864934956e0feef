"""A run: the folder that says what it was and holds its numbers."""

import json
import time
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TextIO

from multisk.files import digest, read_json, write_json, write_text
from multisk.provenance import provenance, source_difference
from multisk.settings.tracking import Tracking
from multisk.tracking.files import METRICS, PATCH, RECORD, STEPS, SYSTEM, read_steps
from multisk.tracking.mirror import Mirror
from multisk.tracking.system import Monitor

MIRROR_SECONDS = 20.0
KEPT = ("run_key", "run_id", "seconds", "started", "peak_mb", "peak_gpu_mb", "code")  # by a run that goes on


class Run:
    """One tracked run in a folder; entering it again after an interruption goes on with the same run.

    Calling it logs one step's metrics; it is the `StepLog` that the training loop writes to.

    Args:
        directory: the run's folder; made when it is missing.
        tracking: the section of params.yaml.
        stage: the stage of dvc.yaml that it belongs to.
        params: the settings that its numbers depend on.
        dataset_digest: identifies what it read.
        profile: the name of the settings as a whole.
        code: digest of the sources that do the work; the record has all that had a part in it.
        method: as in params.yaml.
        benchmark: as in params.yaml.
        corpus: what a data stage makes.
        seed: of the run's random numbers.
        parent: `run_key` of the run that this one is a part of, wherever that run's folder lies.
        trial: its number among the parent's trials.
        name: what people read in lists; default: trial, method, benchmark, corpus, seed.
    """

    def __init__(
        self,
        directory: Path,
        tracking: Tracking,
        *,
        stage: str,
        params: Mapping[str, Any],
        dataset_digest: str,
        profile: str,
        code: str = "",
        method: str | None = None,
        benchmark: str | None = None,
        corpus: str | None = None,
        seed: int | None = None,
        parent: str | None = None,
        trial: int | None = None,
        name: str | None = None,
    ) -> None:
        self.directory = directory
        self.tracking = tracking
        self.identity = {
            "stage": stage,
            "method": method,
            "benchmark": benchmark,
            "corpus": corpus,
            "seed": seed,
            "parent": parent,
            "trial": trial,
            "name": name,
            "profile": profile,
            "dataset_digest": dataset_digest,
            "params": dict(params),
            "params_digest": digest(params),
        }
        self.code = code
        self.mirror = Mirror(tracking)
        self.monitor = Monitor(directory / SYSTEM)
        self._mirrored = time.monotonic()

    def __enter__(self) -> Self:
        self.directory.mkdir(parents=True, exist_ok=True)
        record = self.directory / RECORD
        earlier = read_json(record) if record.exists() else {"run_key": uuid.uuid4().hex, "seconds": 0.0}
        facts = provenance()
        self.record = {**self.identity, **facts, "status": "running", "run_id": None}
        finished = earlier.get("status") == "finished"
        kept = tuple(earlier) if finished else KEPT
        self.record |= {key: earlier[key] for key in kept if key in earlier}
        if not finished:
            self.record["code"] = [*self.record.get("code", []), *self._new_code(facts)]
        self._began, self._before = time.monotonic(), float(self.record["seconds"])
        if self.record["git_dirty"]:
            (self.directory / PATCH).write_text(source_difference())
        write_json(record, self.record)
        self._steps: TextIO = _append_to(self.directory / STEPS)
        if not finished:
            self.monitor.start()
        return self

    def _new_code(self, facts: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Return what is noted of the code, unless it is what had a part in the run last."""
        versions = self.record.get("code", [])
        if not self.code or (versions and versions[-1]["digest"] == self.code):
            return []
        return [{"digest": self.code, **{key: facts[key] for key in ("git_commit", "git_dirty", "started")}}]

    def __call__(self, step: int, metrics: Mapping[str, float]) -> None:
        """Log the metrics of a step."""
        self._steps.write(json.dumps({"step": step, **metrics}) + "\n")
        if time.monotonic() - self._mirrored > MIRROR_SECONDS:
            self.announce()

    @property
    def run_key(self) -> str:
        """The run's name for good: the tracker may be rebuilt and give another run id."""
        return self.record["run_key"]

    def announce(self) -> None:
        """Mirror what there is now, so that the tracker shows the run, and its parts below it."""
        self._save("running")

    def rewind(self, step: int) -> None:
        """Forget what was logged at and after a step: the run goes on from before it."""
        self._steps.close()
        path = self.directory / STEPS
        kept = [json.dumps(row) + "\n" for row in read_steps(path) if row["step"] < step]
        write_text(path, "".join(kept))
        self._steps = _append_to(path)
        self.mirror.forget()

    def finish(self, metrics: Mapping[str, Any]) -> None:
        """Keep the run's final numbers, nested or flat."""
        write_json(self.directory / METRICS, metrics)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.monitor.stop()
        self._steps.close()
        self._save("failed" if kind else "finished")

    def _save(self, status: str) -> None:
        for name, peak in self.monitor.peaks.copy().items():
            self.record[name] = max(peak, self.record.get(name, 0.0))
        self.record |= {"status": status, "seconds": self._before + time.monotonic() - self._began}
        if status != "running":
            self.record["ended"] = datetime.now(UTC).isoformat(timespec="milliseconds")
        write_json(self.directory / RECORD, self.record)
        self.record["run_id"] = self.mirror.push(self.directory) or self.record["run_id"]
        write_json(self.directory / RECORD, self.record)
        self._mirrored = time.monotonic()


def _append_to(path: Path) -> TextIO:
    # Line by line: what was logged survives a kill that follows.
    return path.open("a", buffering=1)
