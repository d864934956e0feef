"""Files first, MLflow as their mirror.

A run is a folder: `run.json` says what it was, `steps.jsonl` holds one JSON object per step, and
`metrics.json` its final numbers. The mirror copies them to MLflow while the run goes on. If the tracker
is down, the run goes on without it and `multisk sync` mirrors it later.
"""

import json
import logging
import os
import re
import time
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TextIO

from multisk.layout import home
from multisk.params import Tracking
from multisk.provenance import provenance, source_difference
from multisk.resumable import digest, file_digest, read_json, write_json

logger = logging.getLogger(__name__)

RECORD, STEPS, METRICS, PATCH = "run.json", "steps.jsonl", "metrics.json", "uncommitted.patch"
MIRROR_SECONDS = 20.0
BATCH = 900  # MLflow takes at most 1000 metrics in one request
TAGS = (
    "stage", "method", "benchmark", "corpus", "seed", "profile", "dataset_digest", "params_digest",
    "git_commit", "git_dirty", "dvc_stage", "dvc_experiment", "device",
)  # fmt: skip


class Run:
    """One tracked run in a folder; entering it again after an interruption goes on with the same run.

    Calling it logs one step's metrics; it is the `StepLog` that the training loop writes to.
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
        method: str | None = None,
        benchmark: str | None = None,
        corpus: str | None = None,
        seed: int | None = None,
    ) -> None:
        self.directory = directory
        self.tracking = tracking
        self.identity = {
            "stage": stage,
            "method": method,
            "benchmark": benchmark,
            "corpus": corpus,
            "seed": seed,
            "profile": profile,
            "dataset_digest": dataset_digest,
            "params": dict(params),
            "params_digest": digest(params),
        }
        self.mirror = Mirror(tracking)
        self._mirrored = time.monotonic()

    def __enter__(self) -> Self:
        self.directory.mkdir(parents=True, exist_ok=True)
        record = self.directory / RECORD
        earlier = read_json(record) if record.exists() else {"run_key": uuid.uuid4().hex, "seconds": 0.0}
        self.record = {**self.identity, **provenance(), "status": "running", "run_id": None}
        finished = earlier.get("status") == "finished"
        kept = tuple(earlier) if finished else ("run_key", "run_id", "seconds", "started")
        self.record |= {key: earlier[key] for key in kept if key in earlier}
        self._began, self._before = time.monotonic(), float(self.record["seconds"])
        if self.record["git_dirty"]:
            (self.directory / PATCH).write_text(source_difference())
        write_json(record, self.record)
        self._steps: TextIO = _append_to(self.directory / STEPS)
        return self

    def __call__(self, step: int, metrics: Mapping[str, float]) -> None:
        """Log the metrics of a step."""
        self._steps.write(json.dumps({"step": step, **metrics}) + "\n")
        if time.monotonic() - self._mirrored > MIRROR_SECONDS:
            self._save("running")

    def rewind(self, step: int) -> None:
        """Forget what was logged at and after a step: the run goes on from before it."""
        self._steps.close()
        path = self.directory / STEPS
        kept = [json.dumps(row) + "\n" for row in read_steps(path) if row["step"] < step]
        temporary = path.with_suffix(".tmp")
        temporary.write_text("".join(kept))
        temporary.replace(path)
        self._steps = _append_to(path)

    def finish(self, metrics: Mapping[str, Any]) -> None:
        """Keep the run's final numbers, nested or flat."""
        write_json(self.directory / METRICS, metrics)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._save("failed" if kind else "finished")
        self._steps.close()

    def _save(self, status: str) -> None:
        self.record |= {"status": status, "seconds": self._before + time.monotonic() - self._began}
        write_json(self.directory / RECORD, self.record)
        self.record["run_id"] = self.mirror.push(self.directory) or self.record["run_id"]
        write_json(self.directory / RECORD, self.record)
        self._mirrored = time.monotonic()


class Mirror:
    """Copies run folders to MLflow; pushing a folder again adds only what is new."""

    def __init__(self, tracking: Tracking) -> None:
        self.tracking = tracking
        self._client: Any = None
        self._down = False
        self._runs: dict[str, str] = {}
        self._pushed: dict[str, int] = {}

    def push(self, directory: Path) -> str | None:
        """Mirror a run folder; return its MLflow run id, or None when the tracker cannot be reached.

        After a failure only finished runs are tried, so that a dead tracker does not slow a run down.
        """
        record = read_json(directory / RECORD)
        if self._down and record["status"] == "running":
            return None
        try:
            run_id = self._push(directory, record)
        except Exception as error:  # whatever a tracker does must never stop the run that it watches
            logger.warning("%s: not mirrored (%s); run `multisk sync` later", directory, _first_line(error))
            self._client, self._down = None, True
            return None
        self._down = False
        return run_id

    def _push(self, directory: Path, record: Mapping[str, Any]) -> str:
        run_id = self._run_of(record)
        done = self._pushed[run_id]
        rows = [row for row in read_steps(directory / STEPS) if row["step"] >= done]
        self._log(
            run_id, [(name, row[name], int(row["step"])) for row in rows for name in row if name != "step"]
        )
        if rows:
            self._pushed[run_id] = int(rows[-1]["step"]) + 1
            self.client.set_tag(run_id, "mirrored_steps", str(self._pushed[run_id]))
        if record["status"] != "running":
            self._complete(run_id, directory, record["status"])
        return run_id

    def _complete(self, run_id: str, directory: Path, status: str) -> None:
        metrics = directory / METRICS
        if metrics.exists():
            numbers = [(name, value, 0) for name, value in flatten(read_json(metrics)) if _is_number(value)]
            self._log(run_id, numbers)
        for name in (RECORD, METRICS, PATCH, "training.json"):
            if (directory / name).exists():
                self.client.log_artifact(run_id, str(directory / name))
        for weights in directory.glob("*.safetensors"):
            self.client.set_tag(run_id, f"sha256.{weights.stem}", file_digest(weights))
        self.client.set_terminated(run_id, "FINISHED" if status == "finished" else "FAILED")

    def _log(self, run_id: str, values: list[tuple[str, float, int]]) -> None:
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        metrics = [Metric(metric_name(name), value, now, step) for name, value, step in values]
        for start in range(0, len(metrics), BATCH):
            self.client.log_batch(run_id, metrics=metrics[start : start + BATCH])

    def _run_of(self, record: Mapping[str, Any]) -> str:
        key = record["run_key"]
        if key not in self._runs:
            experiment = self._experiment(f"{self.tracking.experiment}-{record['stage']}")
            found = self.client.search_runs([experiment], f"tags.run_key = '{key}'", max_results=1)
            run = found[0] if found else self._create(experiment, record)
            self._runs[key] = run.info.run_id
            self._pushed[run.info.run_id] = int(run.data.tags.get("mirrored_steps", 0))
        return self._runs[key]

    def _create(self, experiment: str, record: Mapping[str, Any]) -> Any:
        from mlflow.entities import Param

        parts = [record[part] for part in ("method", "benchmark", "corpus") if record[part]]
        parts += [f"seed-{record['seed']}"] if record["seed"] is not None else []
        tags = {tag: str(record[tag]) for tag in TAGS if record[tag] is not None}
        tags |= {"run_key": record["run_key"], "mlflow.source.name": record["command"]}
        tags |= {"mlflow.source.git.commit": record["git_commit"] or ""}
        run = self.client.create_run(experiment, tags=tags, run_name=" ".join(parts) or record["stage"])
        params = [Param(name, str(value)) for name, value in flatten(record["params"], ".")]
        for start in range(0, len(params), 100):
            self.client.log_batch(run.info.run_id, params=params[start : start + 100])
        return run

    def _experiment(self, name: str) -> str:
        found = self.client.get_experiment_by_name(name)
        if found:
            return found.experiment_id
        artifacts = None if self.tracking.uri else (home() / "tracking" / "artifacts" / name).as_uri()
        return self.client.create_experiment(name, artifact_location=artifacts)

    @property
    def client(self) -> Any:
        """The MLflow client, made on first use: importing mlflow takes seconds."""
        if self._client is None:
            os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
            os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
            from mlflow import MlflowClient

            logging.getLogger("alembic").setLevel(logging.WARNING)
            self._client = MlflowClient(tracking_uri=tracking_uri(self.tracking))
        return self._client


def tracking_uri(tracking: Tracking) -> str:
    """Return the tracker's URI: params.yaml's, or an sqlite file in tracking/, by absolute path."""
    if tracking.uri:
        return tracking.uri
    folder = home() / "tracking"
    folder.mkdir(parents=True, exist_ok=True)
    return f"sqlite:///{folder / 'mlflow.db'}"


def metric_name(name: str) -> str:
    """Return a name as MLflow allows it: `t2v+a` becomes `t2v_a`."""
    return re.sub(r"[^\w\-. :/]", "_", name)


def flatten(nested: Mapping[str, Any], separator: str = "/") -> Iterator[tuple[str, Any]]:
    """Yield (path, value) for each leaf of nested mappings; lists are leaves."""
    for key, value in nested.items():
        if isinstance(value, Mapping):
            yield from ((f"{key}{separator}{path}", leaf) for path, leaf in flatten(value, separator))
        else:
            yield str(key), value


def read_steps(path: Path) -> list[dict[str, float]]:
    """Read steps.jsonl; a last line that a kill cut short is left out."""
    if not path.exists():
        return []
    lines = path.read_text().splitlines(keepends=True)
    return [json.loads(line) for line in lines if line.endswith("}\n")]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _append_to(path: Path) -> TextIO:
    # Line by line: what was logged survives a kill that follows.
    return path.open("a", buffering=1)


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0][:200]
