"""Find a recorded run, and say how to repeat it."""

import shlex
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from multisk.errors import InputError, one_line
from multisk.files import read_json
from multisk.settings.tracking import Tracking
from multisk.tracking.describe import corpora
from multisk.tracking.files import PATCH, RECORD
from multisk.tracking.mirror import Mirror, tracking_uri
from multisk.tracking.sync import run_folders

SHORTEST = 6  # characters of a run id that may stand for all
STAGES = ("pretrain", "finetune", "evaluate")  # whose runs are repeated
CHECKPOINT = "evaluate-checkpoint"  # the command that evaluates without having trained


@dataclass(frozen=True)
class Recorded:
    """A run's record and the folder that holds its files."""

    folder: Path
    record: Mapping[str, Any]

    @property
    def patch(self) -> Path | None:
        """The changes that were not committed; None for a clean checkout."""
        path = self.folder / PATCH
        return path if self.record["git_dirty"] and path.exists() else None

    @property
    def is_trial(self) -> bool:
        """Whether it is one training of a study."""
        return self.record.get("trial") is not None

    @property
    def of_checkpoint(self) -> bool:
        """Whether it is the evaluation of a checkpoint, which belongs to no method."""
        return self.record["stage"] == "evaluate" and self.record["method"] is None

    @property
    def script(self) -> list[str]:
        """What Python runs to repeat it; a trial is a pretraining with settings of its own.

        Raises InputError for a run that is not repeated by itself: it says what is.
        """
        stage, words = self.record["stage"], shlex.split(self.record["command"])
        if self.is_trial:
            return ["stages/pretrain.py", self.record["method"]]
        if stage == "sweep":
            trial = shlex.quote(str(self.folder / "trial-0" / "seed-0"))
            raise InputError(
                f"{self.folder}: a study; its trials are repeated: multisk reproduce {trial} --run"
            )
        if stage not in STAGES:
            made_by_dvc = f"dvc repro {self.record['dvc_stage'] or stage}"
            again = self.record["command"] if words[0] == "multisk" else made_by_dvc
            raise InputError(
                f"{self.folder}: --run repeats {', '.join(STAGES)} and trials; a run of {stage} writes data: "
                f"{again}"
            )
        if self.of_checkpoint:
            return ["-m", "multisk", *words[words.index(CHECKPOINT) :]]
        return [f"stages/{Path(words[1]).name}", *words[2:]]

    def describe(self) -> list[str]:
        """Return what the run was, a line per fact."""
        record = self.record
        versions = ", ".join(f"{name} {version}" for name, version in sorted(record["versions"].items()))
        facts = {
            "run": f"{record['run_key']} ({record['status']}; MLflow {record['run_id'] or 'unknown'})",
            "what": " ".join(
                str(record[key]) for key in ("stage", "method", "benchmark", "corpus") if record[key]
            )
            + (f" trial {record['trial']}" if self.is_trial else "")
            + (f" seed-{record['seed']}" if record["seed"] is not None else ""),
            "files": str(self.folder),
            "started": f"{record['started']}, {record['seconds']:.0f} s",
            "profile": record["profile"],
            "device": record["device"],
            "versions": versions,
            "requirements": f"sha256 {record.get('requirements_digest') or 'not recorded'}",
            "commit": record["git_commit"] or "none: the folder was not in git",
            "changes": self._changes(),
            "dataset": f"{' + '.join(corpora(record)) or '-'}, digest {record['dataset_digest'] or '-'}",
            "settings": f"digest {record['params_digest']}, in {self.folder / RECORD}",
            "command": record["command"],
        }
        return [f"{name:13}{text}" for name, text in facts.items()]

    def commands(self, origin: str) -> list[str]:
        """Return what a person types to repeat the run in a fresh clone of `origin`.

        A trial has settings of its own, which no command names: `--run` puts them in place.
        """
        record = self.record
        if self.is_trial:
            return [f"multisk reproduce {shlex.quote(str(self.folder))} --run"]
        if record["git_commit"] is None:
            return [record["command"]]
        lines = [f"git clone {shlex.quote(origin)} again && cd again", f"git checkout {record['git_commit']}"]
        lines += [f"git apply {shlex.quote(str(self.patch.resolve()))}"] if self.patch else []
        lines += ["make setup && source .venv/bin/activate"]
        lines += (
            [f"dvc repro {record['dvc_stage']}  # or, where its inputs are:"] if record["dvc_stage"] else []
        )
        return [*lines, record["command"]]

    def _changes(self) -> str:
        if not self.record["git_dirty"]:
            return "none that was not committed" if self.record["git_commit"] else "unknown"
        return f"not committed, in {self.patch}" if self.patch else f"not committed, and {PATCH} is missing"


def find_run(name: str, home: Path, tracking: Tracking) -> Recorded:
    """Find a run by folder, run_key or MLflow run id (or how they begin), in the files or the tracker.

    Raises InputError when there is none, or more than one.
    """
    place = Path(name)
    if (place / RECORD).exists():
        return _opened(place)
    if place.name == RECORD and place.exists():
        return _opened(place.parent)
    return _among_files(name, home) or _in_tracker(name, home, tracking)


def _among_files(name: str, home: Path) -> Recorded | None:
    runs = [_opened(folder) for folder in run_folders(home)]
    found = [
        run
        for run in runs
        if any(
            len(name) >= SHORTEST and str(run.record[key]).startswith(name) for key in ("run_key", "run_id")
        )
    ]
    if len(found) > 1:
        places = ", ".join(str(run.folder) for run in found[:3])
        raise InputError(f"{name}: stands for {len(found)} runs ({places}, ...); give more of it")
    return found[0] if found else None


def _in_tracker(name: str, home: Path, tracking: Tracking) -> Recorded:
    """Find a run that only the tracker knows: its files are fetched into a temporary folder."""
    client, uri = Mirror(tracking).client, tracking_uri(tracking)
    try:
        experiments = [experiment.experiment_id for experiment in client.search_experiments()]
        conditions = [f"{key} = '{name}'" for key in ("tags.run_key", "tags.recorded_run_id", "run_id")]
        answers = [client.search_runs(experiments, condition) for condition in conditions if name.isalnum()]
        found = [run for answer in answers for run in answer]
        if not found:
            raise InputError(f"{name}: no such run in {home / 'runs'}, {home / 'sweeps'} or {uri}")
        key = found[0].data.tags.get("run_key", "")
        folder = Path(tempfile.mkdtemp(prefix="multisk-run-"))
        return (_among_files(key, home) if key else None) or _opened(
            Path(client.download_artifacts(found[0].info.run_id, "", str(folder)))
        )
    except InputError:
        raise
    except Exception as error:  # a tracker may raise anything; to a person it is one line
        raise InputError(f"{name}: not in the files, and {uri} fails ({one_line(error)[:200]})") from None


def _opened(folder: Path) -> Recorded:
    return Recorded(folder, read_json(folder / RECORD))
