"""The model registry: a version per pretrained model, and which one finds most, zero-shot."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from multisk.evaluation.headline import headline
from multisk.files import file_digest, read_json
from multisk.layout import WEIGHTS
from multisk.settings.tracking import Tracking
from multisk.tracking.files import METRICS, RECORD
from multisk.tracking.mirror import Mirror

METRIC = "R10"
ARTIFACTS = "weights"  # folder of a run's artifacts that a version points to


@dataclass(frozen=True)
class Pretrained:
    """A finished pretraining run, with its zero-shot R@10 (percent) by benchmark, where measured."""

    folder: Path
    record: Mapping[str, Any]
    weights: Path
    recall: Mapping[str, float]

    @property
    def model(self) -> str:
        """The registered model's name without the experiment: numbers of two profiles never compete."""
        return self.record["profile"]


def pretrained_runs(runs: Path, kind: Literal["raw", "ema"]) -> list[Pretrained]:
    """Return the finished pretraining runs below runs/, by method and seed.

    kind: the weights that were evaluated
    """
    found = []
    for path in sorted(runs.glob(f"pretrain/*/seed-*/{RECORD}")):
        record, weights = read_json(path), path.parent / WEIGHTS[kind]
        if record["status"] == "finished" and weights.exists():
            found.append(Pretrained(path.parent, record, weights, _zero_shot(runs, path.parent)))
    return found


def register(tracking: Tracking, runs: Path, kind: Literal["raw", "ema"]) -> list[str]:
    """Register each pretrained model once; return a line per alias. Repeating it changes nothing.

    Raises whatever the tracker does.
    """
    registry = Registry(tracking)
    versions: dict[str, list[tuple[Pretrained, str]]] = {}
    for run in pretrained_runs(runs, kind):
        versions.setdefault(registry.name(run), []).append((run, registry.version(run)))
    lines = []
    for name, candidates in versions.items():
        for benchmark in sorted({benchmark for run, _ in candidates for benchmark in run.recall}):
            measured = [(run, version) for run, version in candidates if benchmark in run.recall]
            # max takes the first of equals: the order of methods and seeds decides, not that of versions
            best, version = max(measured, key=lambda candidate: candidate[0].recall[benchmark])
            alias = f"best-zero-shot-{benchmark}"
            registry.point(name, alias, version)
            where = f"{best.record['method']} seed-{best.record['seed']}"
            lines.append(
                f"{name}@{alias}: version {version}, {where}, R@10 {best.recall[benchmark]:.1f} "
                f"(of {len(measured)})"
            )
    return lines


class Registry:
    """MLflow's model registry, asked through the mirror's client."""

    def __init__(self, tracking: Tracking) -> None:
        self.tracking = tracking
        self.mirror = Mirror(tracking)

    def name(self, run: Pretrained) -> str:
        """Return the registered model's name; make it when it is missing."""
        from mlflow.exceptions import MlflowException

        name = f"{self.tracking.experiment}-{run.model}"
        try:
            self.mirror.client.get_registered_model(name)
        except MlflowException:
            self.mirror.client.create_registered_model(name, description=_model_note(run.model))
        return name

    def version(self, run: Pretrained) -> str:
        """Return the version of a pretrained model; make it when it is missing."""
        client, name, sha256 = self.mirror.client, self.name(run), file_digest(run.weights)
        run_id = self.mirror.push(run.folder)
        if run_id is None:
            raise ConnectionError(f"{run.folder}: not mirrored")
        known = [
            version
            for version in client.search_model_versions(f"name = '{name}' AND run_id = '{run_id}'")
            if version.tags.get("sha256") == sha256
        ]
        number = known[0].version if known else self._create(run, name, run_id, sha256)
        for benchmark, recall in run.recall.items():
            client.set_model_version_tag(name, number, f"{benchmark}/zero-shot/{METRIC}", f"{recall:.4g}")
        return number

    def _create(self, run: Pretrained, name: str, run_id: str, sha256: str) -> str:
        client, size = self.mirror.client, run.weights.stat().st_size
        logged = size <= self.tracking.log_weights_megabytes * 1e6
        facts = {"file": run.weights.name, "sha256": sha256, "bytes": size, "logged": logged}
        client.log_dict(run_id, facts | _tensors(run.weights), f"{ARTIFACTS}/{run.weights.stem}.json")
        if logged:
            client.log_artifact(run_id, str(run.weights), ARTIFACTS)
        record = run.record
        tags = {
            tag: str(record[tag]) for tag in ("method", "seed", "run_key", "dataset_digest", "git_commit")
        }
        made = client.create_model_version(
            name,
            source=f"{client.get_run(run_id).info.artifact_uri}/{ARTIFACTS}",
            run_id=run_id,
            tags=tags | {"sha256": sha256, "format": "safetensors", "file": str(run.weights)},
            description=f"`{record['method']}`, seed {record['seed']}: `{record['command']}`",
        )
        return made.version

    def point(self, name: str, alias: str, version: str) -> None:
        """Let an alias name a version."""
        if self.mirror.client.get_registered_model(name).aliases.get(alias) != version:
            self.mirror.client.set_registered_model_alias(name, alias, version)


def _zero_shot(runs: Path, folder: Path) -> dict[str, float]:
    """Return a pretrained model's R@10 of its headline direction by benchmark, zero-shot."""
    path = runs / "evaluate" / folder.parent.name / folder.name / METRICS
    if not path.exists():
        return {}
    measured = {name: part["zero-shot"] for name, part in read_json(path).items() if "zero-shot" in part}
    return {name: part[headline(part)][METRIC] for name, part in measured.items()}


def _tensors(weights: Path) -> dict[str, int]:
    from math import prod

    from safetensors import safe_open

    with safe_open(weights, "numpy") as file:
        shapes = [file.get_slice(name).get_shape() for name in file.keys()]  # noqa: SIM118
    return {"tensors": len(shapes), "parameters": sum(prod(shape) for shape in shapes)}


def _model_note(profile: str) -> str:
    return (
        f"Models pretrained with the profile `{profile}`, one version per run. "
        "An alias `best-zero-shot-<benchmark>` names the version with the highest R@10 of "
        "text -> video+audio (without audio: text -> video) on the *test* clips: a bookmark, not a selection "
        "to report numbers of."
    )
