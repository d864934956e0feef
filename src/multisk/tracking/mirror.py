"""The mirror: copies run folders to MLflow, and can be repeated."""

import logging
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from multisk.layout import home
from multisk.params import Tracking
from multisk.resumable import file_digest, read_json
from multisk.tracking.files import METRICS, PATCH, RECORD, STEPS, flatten, metric_name, numbers, read_steps

logger = logging.getLogger(__name__)

BATCH = 900  # MLflow takes at most 1000 metrics in one request
PARENT = "mlflow.parentRunId"
TAGS = (
    "stage", "method", "benchmark", "corpus", "seed", "trial", "profile", "dataset_digest", "params_digest",
    "git_commit", "git_dirty", "dvc_stage", "dvc_experiment", "device",
)  # fmt: skip


class Mirror:
    """Copies run folders to MLflow; pushing a folder again adds only what is new."""

    def __init__(self, tracking: Tracking) -> None:
        self.tracking = tracking
        self._client: Any = None
        self._down = False
        self._runs: dict[str, str] = {}
        self._pushed: dict[str, int] = {}
        self._orphans: set[str] = set()

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
        self._join_family(run_id, record)
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
            self._log(run_id, [(name, value, 0) for name, value in numbers(read_json(metrics)).items()])
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
            found = self._find([experiment], f"tags.run_key = '{key}'")
            run = found[0] if found else self._create(experiment, record)
            self._runs[key] = run.info.run_id
            self._pushed[run.info.run_id] = int(run.data.tags.get("mirrored_steps", 0))
            if record.get("parent") and PARENT not in run.data.tags:
                self._orphans.add(run.info.run_id)
        return self._runs[key]

    def _find(self, experiments: list[str], condition: str) -> list[Any]:
        # Asked for by pages: a study has more trials than one answer holds.
        found, token = [], None
        while True:
            page = self.client.search_runs(experiments, condition, page_token=token)
            found += page
            token = page.token
            if not token:
                return found

    def _join_family(self, run_id: str, record: Mapping[str, Any]) -> None:
        """Hang a run below its parent, and below itself the runs that were mirrored before it."""
        if run_id in self._orphans:
            everywhere = [experiment.experiment_id for experiment in self.client.search_experiments()]
            parents = self._find(everywhere, f"tags.run_key = '{record['parent']}'")
            if parents:
                self.client.set_tag(run_id, PARENT, parents[0].info.run_id)
                self._orphans.discard(run_id)
        if record["status"] != "running":
            experiment = self._experiment(f"{self.tracking.experiment}-{record['stage']}")
            for child in self._find([experiment], f"tags.parent_run_key = '{record['run_key']}'"):
                if child.data.tags.get(PARENT) != run_id:
                    self.client.set_tag(child.info.run_id, PARENT, run_id)

    def _create(self, experiment: str, record: Mapping[str, Any]) -> Any:
        from mlflow.entities import Param

        tags = {tag: str(record[tag]) for tag in TAGS if record.get(tag) is not None}
        tags |= {"run_key": record["run_key"], "mlflow.source.name": record["command"]}
        tags |= {"mlflow.source.git.commit": record["git_commit"] or ""}
        tags |= {"parent_run_key": record["parent"]} if record.get("parent") else {}
        run = self.client.create_run(experiment, tags=tags, run_name=run_name(record))
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


def run_name(record: Mapping[str, Any]) -> str:
    """Return what people read in lists: `sspc msrvtt seed-0`, `trial 7 seed-0`."""
    if record.get("name"):
        return record["name"]
    trial, seed = record.get("trial"), record["seed"]
    what = ("benchmark",) if trial is not None else ("method", "benchmark", "corpus")
    parts = [f"trial {trial}"] if trial is not None else []
    parts += [record[part] for part in what if record[part]]
    parts += [f"seed-{seed}"] if seed is not None else []
    return " ".join(parts) or record["stage"]


def tracking_uri(tracking: Tracking) -> str:
    """Return the tracker's URI: params.yaml's, or an sqlite file in tracking/, by absolute path."""
    if tracking.uri:
        return tracking.uri
    folder = home() / "tracking"
    folder.mkdir(parents=True, exist_ok=True)
    return f"sqlite:///{folder / 'mlflow.db'}"


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0][:200]
