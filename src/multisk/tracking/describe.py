"""What MLflow shows of a run record: names, tags, descriptions, datasets."""

from collections.abc import Mapping
from typing import Any

from multisk.tracking.files import PATCH, flatten

TAGS = (
    "stage", "method", "benchmark", "corpus", "seed", "trial", "profile", "dataset_digest", "params_digest",
    "git_commit", "git_dirty", "dvc_stage", "dvc_experiment", "device",
)  # fmt: skip
NOTE = "mlflow.note.content"
DIGEST_LENGTH = 36  # as much of a digest as MLflow keeps

EXPERIMENTS = {
    "corpora": "Corpora that the project renders itself. One run per corpus.",
    "words": "Word vectors, trained on transcripts or read from a file.",
    "extractors": "The networks that turn frames into features.",
    "features": "Appearance, motion and log-mel features. One run per corpus.",
    "pretrain": "Pretraining on narrated videos. One run per method and seed.\n\n"
    "To compare methods: *Chart*, then *Group by* `method` - curves become means over seeds. "
    "`loss` is the sum; the other terms stand beside it.",
    "finetune": "Pretrained models, trained further. One run per method, benchmark and seed.\n\n"
    "To compare methods: filter ``tags.benchmark = 'msrvtt'``, *Chart*, *Group by* `method`.",
    "evaluate": "Retrieval on the test clips of all benchmarks, zero-shot and fine-tuned. One run per "
    "method and seed.\n\nMetrics are named `benchmark/setting/direction/metric`: "
    "`msrvtt/zero-shot/t2v_a/R10` is text -> video+audio (`t2va`: fused) on MSR-VTT. "
    "Group by `method` for means over seeds; significance is in the report.",
    "sweep": "Studies of Optuna. One run per study, and below it one per trial and seed.\n\n"
    "Trials are chosen on validation clips; no number here was measured on test clips.",
}


def experiment_note(stage: str) -> str:
    """Return what an experiment's page says at its top."""
    return EXPERIMENTS.get(stage, f"Runs of the stage `{stage}`.")


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


def run_tags(record: Mapping[str, Any]) -> dict[str, str]:
    """Return a run's tags; `run_key` is what it is found by."""
    tags = {tag: str(record[tag]) for tag in TAGS if record.get(tag) is not None}
    tags |= {"run_key": record["run_key"], NOTE: _run_note(record)}
    tags |= {"mlflow.source.name": record["command"], "mlflow.source.git.commit": record["git_commit"] or ""}
    if record.get("parent"):
        tags["parent_run_key"] = record["parent"]
    if record.get("run_id"):
        tags["recorded_run_id"] = record["run_id"]  # of the tracker that this one was rebuilt after
    return tags


def datasets(record: Mapping[str, Any]) -> list[Any]:
    """Return what a run read, as MLflow's inputs: the corpora's names and their common digest.

    The digest covers videos, features and word vectors, and is cut to the length that MLflow allows; the
    tag `dataset_digest` has it in full.
    """
    from mlflow.entities import Dataset, DatasetInput, InputTag

    names = corpora(record)
    if not names or not record["dataset_digest"]:
        return []
    places = ", ".join(f"data/corpora/{name}" for name in names)
    context = {"pretrain": "training", "finetune": "training", "evaluate": "testing"}
    dataset = Dataset(
        name=" + ".join(names),
        digest=record["dataset_digest"][:DIGEST_LENGTH],
        source_type="local",
        source=f'{{"uri": "{places}"}}',
    )
    return [DatasetInput(dataset, [InputTag("mlflow.data.context", context.get(record["stage"], "input"))])]


def corpora(record: Mapping[str, Any]) -> list[str]:
    """Return the corpora that a run's settings name."""
    if record["stage"] == "features":
        return [record["corpus"]]
    settings = flatten(record["params"], ".")
    return [value for name, value in settings if name.endswith(".corpus")]


def _run_note(record: Mapping[str, Any]) -> str:
    commit, changed = record["git_commit"], f" with the changes of `{PATCH}`" if record["git_dirty"] else ""
    source = f"commit `{commit[:12]}`{changed}" if commit else "a folder without git"
    return (
        f"`{record['command']}` of {source}, profile {record['profile']}, on {record['device']}.\n\n"
        f"Again: `multisk reproduce {record['run_key']}`"
    )
