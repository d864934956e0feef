"""The mirror: copies run folders to MLflow, and can be repeated."""

import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from multisk.files import digest, file_digest, read_json
from multisk.layout import home
from multisk.settings.tracking import Tracking
from multisk.tracking.describe import EXPERIMENTS, NOTE, datasets, experiment_note, run_name, run_tags
from multisk.tracking.files import (
    METRICS,
    PATCH,
    RECORD,
    STEPS,
    SYSTEM,
    Tail,
    flatten,
    metric_name,
    moments,
    numbers,
)
from multisk.tracking.views import view_tags

logger = logging.getLogger(__name__)

BATCH = 900  # MLflow takes at most 1000 metrics in one request
PARENT = "mlflow.parentRunId"
KIND = "mlflow.experimentKind"  # MLflow shows a page for training, not one for chats
COPIED = (METRICS, PATCH, "training.json")  # beside run.json, which gets the run id


class Mirror:
    """Copies run folders to MLflow; pushing a folder again adds only what is new."""

    def __init__(self, tracking: Tracking) -> None:
        self.tracking = tracking
        self._client: Any = None
        self._down = False
        self._runs: dict[str, str] = {}
        self._pushed: dict[tuple[str, str], int] = {}  # by run id and file: the first step not mirrored
        self._tails: dict[Path, Tail] = {}
        self._complete: dict[str, str] = {}
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
            self._runs.clear()
            self.forget()
            return None
        self._down = False
        return run_id

    def forget(self) -> None:
        """Read the files from their beginning next time: a run was rewound, or not all was mirrored."""
        self._tails.clear()

    def _push(self, directory: Path, record: Mapping[str, Any]) -> str:
        run_id = self._run_of(record)
        self._join_family(run_id, record)
        _, now = moments(record)
        self._push_rows(run_id, directory / STEPS, "mirrored_steps", "", now)
        self._push_rows(run_id, directory / SYSTEM, "mirrored_samples", "system/", now)
        if record["status"] != "running":
            self._finish(run_id, directory, record)
        return run_id

    def _push_rows(self, run_id: str, path: Path, tag: str, prefix: str, now: float) -> None:
        """Log the rows of a file that the tracker lacks; `now` stands for the time of rows that have none."""
        done = self._pushed[run_id, tag]
        rows = [row for row in self._tails.setdefault(path, Tail(path)).rows() if row["step"] >= done]
        if not rows:
            return
        self._log(
            run_id,
            [
                (prefix + name, value, int(row["step"]), row.get("time", now))
                for row in rows
                for name, value in row.items()
                if name not in ("step", "time")
            ],
        )
        self._pushed[run_id, tag] = int(rows[-1]["step"]) + 1
        self.client.set_tag(run_id, tag, str(self._pushed[run_id, tag]))

    def _finish(self, run_id: str, directory: Path, record: Mapping[str, Any]) -> None:
        """Add what only an ended run has; nothing, when it was added before.

        Weights do not tell whether it was: those of trials are deleted once a trial has ended.
        """
        files = [directory / name for name in COPIED if (directory / name).exists()]
        content = digest([record["status"], record["seconds"], [file_digest(path) for path in files]])
        if self._complete.get(run_id) == content:
            return
        final = numbers(read_json(directory / METRICS)) if (directory / METRICS).exists() else {}
        used = {name: record.get(name) for name in ("seconds", "peak_mb", "peak_gpu_mb")}
        final |= {f"system/{name}": value for name, value in used.items() if value is not None}
        known, (_, ended) = self.client.get_run(run_id).data.metrics, moments(record)
        new = {name: value for name, value in final.items() if known.get(metric_name(name)) != value}
        self._log(run_id, [(name, value, 0, ended) for name, value in new.items()])
        self.client.log_dict(run_id, {**record, "run_id": run_id}, RECORD)
        for path in files:
            self.client.log_artifact(run_id, str(path))
        for path in sorted(directory.glob("*.safetensors")):
            self.client.set_tag(run_id, f"sha256.{path.stem}", file_digest(path))
        status = "FINISHED" if record["status"] == "finished" else "FAILED"
        self.client.set_terminated(run_id, status, round(1000 * ended))
        self.client.set_tag(run_id, "mirrored", content)
        self._complete[run_id] = content

    def _log(self, run_id: str, values: list[tuple[str, float, int, float]]) -> None:
        from mlflow.entities import Metric

        metrics = [
            Metric(metric_name(name), value, round(1000 * moment), step)
            for name, value, step, moment in values
        ]
        for start in range(0, len(metrics), BATCH):
            self.client.log_batch(run_id, metrics=metrics[start : start + BATCH])

    def _run_of(self, record: Mapping[str, Any]) -> str:
        key = record["run_key"]
        if key not in self._runs:
            experiment = self._experiment(record["stage"])
            found = self._find([experiment], f"tags.run_key = '{key}'")
            run = found[0] if found else self._create(experiment, record)
            self._describe(run, record)
            self._remember(key, run)
        return self._runs[key]

    def _remember(self, key: str, run: Any) -> None:
        run_id, tags = run.info.run_id, run.data.tags
        self._runs[key] = run_id
        for tag in ("mirrored_steps", "mirrored_samples"):
            self._pushed[run_id, tag] = int(tags.get(tag, 0))
        self._complete[run_id] = tags.get("mirrored", "")
        if "parent_run_key" in tags and PARENT not in tags:
            self._orphans.add(run_id)

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
            # A tracker may have the same runs under another name, too: mirrored from a copy of the files.
            own = {f"{self.tracking.experiment}-{stage}" for stage in EXPERIMENTS}
            found = self.client.search_experiments()
            everywhere = [experiment.experiment_id for experiment in found if experiment.name in own]
            parents = self._find(everywhere, f"tags.run_key = '{record['parent']}'")
            if parents:
                self.client.set_tag(run_id, PARENT, parents[0].info.run_id)
                self._orphans.discard(run_id)
        if record["status"] != "running":
            experiment = self._experiment(record["stage"])
            for child in self._find([experiment], f"tags.parent_run_key = '{record['run_key']}'"):
                if child.data.tags.get(PARENT) != run_id:
                    self.client.set_tag(child.info.run_id, PARENT, run_id)

    def _create(self, experiment: str, record: Mapping[str, Any]) -> Any:
        began, _ = moments(record)
        return self.client.create_run(experiment, round(1000 * began), run_tags(record), run_name(record))

    def _describe(self, run: Any, record: Mapping[str, Any]) -> None:
        """Log what a run read and its settings, unless they are there: a tracker can die in between."""
        from mlflow.entities import Param
        from mlflow.exceptions import MlflowException

        params = [Param(name, str(value)) for name, value in flatten(record["params"], ".")]
        if len(run.data.params) == len(params):
            return
        inputs = datasets(record)
        if inputs:
            try:
                self.client.log_inputs(run.info.run_id, inputs)
            except MlflowException:  # a run beside this one made the dataset's entry at this moment
                self.client.log_inputs(run.info.run_id, inputs)
        for start in range(0, len(params), 100):
            self.client.log_batch(run.info.run_id, params=params[start : start + 100])

    def _experiment(self, stage: str) -> str:
        from mlflow.exceptions import MlflowException

        name = f"{self.tracking.experiment}-{stage}"
        found = self.client.get_experiment_by_name(name)
        if found:
            return found.experiment_id
        artifacts = None if self.tracking.uri else (home() / "tracking" / "artifacts" / name).as_uri()
        tags = {NOTE: experiment_note(stage), KIND: "custom_model_development", **view_tags(stage)}
        try:
            return self.client.create_experiment(name, artifact_location=artifacts, tags=tags)
        except MlflowException:  # a run beside this one was faster
            found = self.client.get_experiment_by_name(name)
            if not found:
                raise
            return found.experiment_id

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


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0][:200]
