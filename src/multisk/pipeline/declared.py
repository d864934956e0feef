"""The stages: what each is called with, reads, depends on and writes; dvc.yaml is written from here.

The code that a stage's result depends on is not listed: it is what the module `multisk.pipeline.<stage>`
imports (`closure.py`, which names what is left out). Benchmarks are gone over by `*`:
`${benchmarks.*.corpus}` stands for a line per benchmark.

Corpora that were published, and their features, are no outputs of a stage: `multisk import` takes them in,
or `multisk videos` and `multisk extract` make them, and corpora.rendered is empty. Stages depend on the
digests in corpus.json and index.parquet, which change with what they describe, and not on millions of files
or terabytes of features.
"""

from dataclasses import dataclass, field
from typing import Any

from multisk.pipeline.closure import code_of
from multisk.resumable import ChangedCode, Code

PRETRAINING = "${clips.pretrain.corpus}"
BENCHMARKS = "${benchmarks.*.corpus}"
TRAINING = ("batch_size", "learning_rate", "decay", "ema", "mixed_precision", "freeze_batch_norm")


@dataclass(frozen=True)
class Stage:
    """A stage of dvc.yaml.

    Attributes:
        name: of the stage, its script `stages/<name>.py` and its module `multisk.pipeline.<name>`.
        does: in a few words.
        reads: files and folders.
        params: keys of params.yaml that its result depends on.
        writes: outputs that DVC keeps.
        each: the key of params.yaml whose entries it is done for; empty: once.
        arguments: of the script.
        persists: its outputs consist of units that stay when the stage runs again (`resumable_units`).
        shows: metrics and plots, as DVC takes them.
    """

    name: str
    does: str
    reads: tuple[str, ...]
    params: tuple[str, ...]
    writes: tuple[str, ...]
    each: str = ""
    arguments: str = ""
    persists: bool = False
    shows: dict[str, list[Any]] = field(default_factory=dict)


def corpora(*names: str) -> tuple[str, ...]:
    """Return the manifests of corpora."""
    return tuple(f"data/corpora/{name}/corpus.json" for name in names)


def features(*names: str) -> tuple[str, ...]:
    """Return the indices of features."""
    return tuple(f"data/features/{name}/index.parquet" for name in names)


STAGES = (
    Stage(
        "corpora",
        "Render a small corpus of narrated videos",
        each="corpora.rendered",
        arguments="${item}",
        reads=(),
        params=(
            *("corpora.kind", "corpora.seed", "corpora.width", "corpora.height", "corpora.frames_per_second"),
            "corpora.${item}",
        ),
        writes=("data/corpora/mini-${item}", "runs/corpora/mini-${item}"),
    ),
    Stage(
        "words",
        "Make word vectors for what the corpora say",
        reads=corpora(PRETRAINING, BENCHMARKS),
        params=("features.words", "clips.pretrain.corpus", "benchmarks.*.corpus"),
        writes=("data/words", "runs/words/words"),
    ),
    Stage(
        "extractors",
        "Make the networks that turn frames into features",
        each="corpora.calibrating",
        arguments="mini-${item}",
        reads=("data/corpora/mini-${item}",),
        params=("features.appearance", "features.motion"),
        writes=("data/extractors", "runs/extractors/extractors"),
    ),
    Stage(
        "features",
        "Extract appearance, motion and log-mel features",
        each="corpora.rendered",
        arguments="mini-${item}",
        reads=("data/extractors", "data/corpora/mini-${item}"),
        params=("features.appearance", "features.motion", "features.shard_megabytes"),
        writes=("data/features/mini-${item}", "runs/features/mini-${item}"),
    ),
    Stage(
        "pretrain",
        "Pretrain a method on narrated videos, once per seed",
        each="methods",
        arguments="${key}",
        reads=(*corpora(PRETRAINING), *features(PRETRAINING), "data/words"),
        params=(
            *("clips.pretrain", "model", "methods.${key}", "pretrain.epochs"),
            *(f"pretrain.{name}" for name in TRAINING),
            "pretrain.seeds",
        ),
        writes=("runs/pretrain/${key}",),
        persists=True,
    ),
    Stage(
        "finetune",
        "Fine-tune a method's pretrained models on each benchmark",
        each="methods",
        arguments="${key}",
        reads=("runs/pretrain/${key}", *corpora(BENCHMARKS), *features(BENCHMARKS), "data/words"),
        params=(
            *("benchmarks.*.corpus", "benchmarks.*.splits", "benchmarks.*.clips", "benchmarks.*.finetune"),
            *("model", "methods.${key}", "pretrain.seeds", "finetune"),
        ),
        writes=("runs/finetune/${key}",),
        persists=True,
    ),
    Stage(
        "evaluate",
        "Measure each benchmark, zero-shot and fine-tuned",
        each="methods",
        arguments="${key}",
        reads=(
            *("runs/pretrain/${key}", "runs/finetune/${key}"),
            *(*corpora(BENCHMARKS), *features(BENCHMARKS), "data/words"),
        ),
        params=("benchmarks.*", "model", "methods.${key}", "pretrain.seeds", "evaluate"),
        writes=("runs/evaluate/${key}",),
        persists=True,
        shows={
            "metrics": [{"reports/metrics/${key}.json": {"cache": False}}],
            "plots": [{"runs/curves/${key}.csv": {"x": "step", "y": "loss", "title": "Pretraining loss"}}],
        },
    ),
    Stage(
        "sweep",
        "Run a study, or what is left of it",
        each="sweep.studies",
        arguments="${key}",
        reads=(*corpora(PRETRAINING, BENCHMARKS), *features(PRETRAINING, BENCHMARKS), "data/words"),
        params=(
            *("clips.pretrain", "benchmarks.*.corpus", "benchmarks.*.splits", "benchmarks.*.clips", "model"),
            *("methods.${item.methods[0]}", "methods.${item.methods[-1]}"),
            *(f"pretrain.{name}" for name in TRAINING),
            *("evaluate.weights", "sweep.validation", "sweep.names", "sweep.studies.${key}"),
            *("optuna.seed", "optuna.startup_trials", "optuna.importance"),
        ),
        writes=("runs/sweep/${key}",),
    ),
    Stage(
        "report",
        "Judge the claims and write the site",
        reads=(
            *("reports/claims.yaml", "src/multisk/benchmarks", "recipes"),
            *(*corpora(PRETRAINING, BENCHMARKS), *features(PRETRAINING, BENCHMARKS), "runs"),
        ),
        params=(
            *("profile", "report", "corpora.kind", "clips", "benchmarks", "features", "methods"),
            *("evaluate.weights", "sweep"),
        ),
        writes=("reports/site",),
        shows={
            "outs": [
                {f"reports/{name}": {"cache": False}} for name in ("results.md", "summary.md", "verdicts.csv")
            ]
        },
    ),
)


def stage_code(stage: str, changed: ChangedCode) -> Code:
    """Return the code that a stage's result depends on.

    changed: what to do with unfinished work that other code began
    """
    return Code(code_of([f"multisk.pipeline.{stage}"]), changed)
