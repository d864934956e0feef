"""The studies that a sweep has exported: what was varied, and what each trial reached."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from multisk.errors import InputError
from multisk.files import read_json
from multisk.params import Params, load_params
from multisk.reporting import wording
from multisk.results import ReportSources, ordered, read_parquet
from multisk.settings.sweep import MEAN, METHOD

HEAD, TRIALS = "study.json", "trials.parquet"
COLUMNS = ("number", "seed", "state", "run_id", "run_key", "file", "seconds", "peak_mb", "pareto")
VALIDATION = "validation/"
FINISHED = "finished"
CONFIDENCE = 0.95


@dataclass(frozen=True)
class StudyResult:
    """An exported study: its description, and a row per trial and seed."""

    study: str
    head: Mapping[str, Any]  # study.json
    trials: pd.DataFrame  # trials.parquet; param/<key>, value/<objective>
    place: str  # of trials.parquet
    params: Params

    @property
    def space(self) -> Mapping[str, Any]:
        """What was varied, by key: a list of choices, or low, high and log."""
        return self.head["space"]

    @property
    def objectives(self) -> list[str]:
        """The names of what was sought, all to be large unless `smaller` has them."""
        return [objective["name"] for objective in self.head["objectives"]]

    @property
    def watched(self) -> list[str]:
        """The objectives, and R@10 on each benchmark where they are no objectives themselves."""
        others = (name for name in self.head["chance"] if name not in (MEAN, *self.objectives))
        return self.objectives + [f"{VALIDATION}{name}" for name in ordered(others, self.params.benchmarks)]

    @property
    def smaller(self) -> set[str]:
        """The objectives that are better when they are smaller."""
        return {found["name"] for found in self.head["objectives"] if found["direction"] == "minimize"}

    @cached_property
    def finished(self) -> pd.DataFrame:
        """The rows of finished trials, with plain columns for what was varied and reached."""
        rows = self.trials[self.trials["state"] == FINISHED]
        return rows.rename(columns=lambda name: name.removeprefix("param/").removeprefix("value/"))

    @cached_property
    def means(self) -> pd.DataFrame:
        """A row per finished trial: what was varied, and the means over its seeds of what it reached."""
        sums = dict.fromkeys(self.objectives, "mean") | {
            "seconds": "sum",
            "peak_mb": "max",
            "pareto": "first",
        }
        chosen = dict.fromkeys(self.space, "first") | sums
        return self.finished.groupby("number").agg(chosen).reset_index()

    @property
    def seeds(self) -> int:
        """The number of seeds of the finished trials."""
        return int(self.finished["seed"].nunique())

    def chance(self, objective: str) -> float | None:
        """Return what random rankings score by an objective, in percent; None where the study has none."""
        found = self.head["chance"].get(objective.removeprefix(VALIDATION))
        return None if found is None else float(found)

    def objective_name(self, objective: str, metric: str = "R@10") -> str:
        """Return what was sought or watched, in prose."""
        name = objective.removeprefix(VALIDATION)
        return f"{metric}, {wording.MEAN if name == MEAN else wording.domain_name(self.params, name)}"

    def objective_axis(self, objective: str) -> str:
        """Return an objective's name for an axis, with its unit."""
        return self.objective_name(objective, "R@10 (%)")

    def is_numeric(self, key: str) -> bool:
        """Tell whether a key was varied over numbers."""
        return pd.api.types.is_numeric_dtype(self.finished[key]) and self.finished[key].dtype != bool

    def is_log(self, key: str) -> bool:
        """Tell whether a key's values are best told apart by their ratios."""
        space = self.space[key]
        if isinstance(space, Mapping):
            return bool(space["log"])
        return self.is_numeric(key) and min(space) > 0 and max(space) / min(space) >= 8


def read_studies(sources: ReportSources) -> dict[str, StudyResult]:
    """Return the exported studies by name; raise InputError for one that is malformed."""
    found = {}
    for path in sorted((sources.runs / "sweep").glob(f"*/{HEAD}")):
        head, trials = read_json(path), path.with_name(TRIALS)
        for key in ("space", "objectives", "trials", "chance"):
            if key not in head:
                raise InputError(f"{path}: {key}: missing; run dvc repro sweep@{path.parent.name}")
        columns = [f"param/{key}" for key in head["space"]]
        columns += [f"value/{objective['name']}" for objective in head["objectives"]]
        columns += [f"{VALIDATION}{name}" for name in head["chance"]]
        name = path.parent.name
        table = read_parquet(trials, (*COLUMNS, *columns))
        found[name] = StudyResult(name, head, table, sources.name(trials), load_params(sources.params))
    return found


def interval(values: Sequence[float], confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Return Student's interval of a mean over seeds; NaN where one seed tells nothing of it."""
    from scipy import stats

    if len(values) < 2:
        return float("nan"), float("nan")
    low, high = stats.t.interval(
        confidence, len(values) - 1, loc=np.mean(values), scale=max(stats.sem(values), 1e-12)
    )
    return float(low), float(high)


def interval_table(rows: pd.DataFrame, keys: list[str], value: str) -> pd.DataFrame:
    """Return mean, low and high of a column for each group of rows, over their seeds."""
    grouped = ((key, list(found[value])) for key, found in rows.groupby(keys))
    found = [(*key, float(np.mean(values)), *interval(values)) for key, values in grouped]
    return pd.DataFrame(found, columns=[*keys, "mean", "low", "high"])


def gains(study: StudyResult, better: str = "sspc", than: str = "contrastive") -> pd.DataFrame:
    """Return what one method reached above the other, paired by seed and by everything else varied.

    Empty where the study has not both methods.
    """
    if METHOD not in study.space:
        return pd.DataFrame()
    keys = [key for key in study.space if key != METHOD]
    kept = [*keys, "seed", *study.watched, "run_key", "number"]
    sides = (study.finished.loc[study.finished[METHOD] == name, kept] for name in (better, than))
    ours, theirs = sides
    pairs = ours.merge(theirs, on=[*keys, "seed"], suffixes=("", "_other"))
    for objective in study.watched:
        pairs[f"gain/{objective}"] = pairs[objective] - pairs[f"{objective}_other"]
    return pairs
