"""What a study came to, as files: study.json and trials.parquet."""

import warnings
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from multisk.evaluation.tasks import TASKS
from multisk.files import read_json, replacing, write_json
from multisk.layout import home
from multisk.params import Params
from multisk.settings.sweep import MEAN, Between, Optuna, Study
from multisk.sweep.space import space_of
from multisk.sweep.trial import INDEX, seeds_of
from multisk.tracking import METRICS, RECORD

STATES = {"COMPLETE": "finished", "PRUNED": "pruned", "FAIL": "failed"}


def export(
    kept: Any,
    params: Params,
    name: str,
    study: Study,
    folder: Path,
    out: Path,
    chance: Mapping[str, float],
) -> dict[str, Any]:
    """Write a study into a folder; return what study.json says.

    kept: the study as Optuna keeps it
    folder: of the trials' runs
    chance: what random rankings score on the validation part, by benchmark and in the mean, in percent
    """
    trials = _trials(kept)
    best = {trial.user_attrs[INDEX] for trial in _best(kept)}
    table = _table(trials, study, folder, best, list(chance))
    content = {
        "study": name,
        "name": kept.study_name,
        "methods": list(study.methods),
        "method": study.methods[0] if len(study.methods) == 1 else None,
        "sampler": study.sampler,
        "pruner": study.pruner,
        "objectives": [
            {"name": objective, "direction": "maximize", "metric": _metric(params, objective)}
            for objective in study.objectives
        ],
        "space": {key: _plain(values) for key, values in space_of(study).items()},
        "names": {key: list(keys) for key, keys in params.sweep.names.items() if key in study.space},
        "seeds": list(study.seeds),
        "epochs": study.epochs,
        "validation": params.sweep.validation,
        "chance": dict(chance),
        "trials": _counts(trials),
        "importance": _importance(kept, study, params.optuna),
        "pareto": sorted(best),
        "best": _best_values(kept, study),
        "seconds": round(float(table["seconds"].sum()), 3),
    }
    out.mkdir(parents=True, exist_ok=True)
    with replacing(out / "trials.parquet") as temporary:
        table.to_parquet(temporary, index=False)
    write_json(out / "study.json", content)
    return content


def _metric(params: Params, objective: str) -> str:
    meant = params.benchmarks.values() if objective == MEAN else [params.benchmark(objective)]
    return ", ".join(dict.fromkeys(TASKS[benchmark.task].metric for benchmark in meant))


def _trials(kept: Any) -> list[Any]:
    """Return each trial that has ended, by its index; of one that was killed, what it came to in the end."""
    ended = [trial for trial in kept.get_trials(deepcopy=False) if trial.state.name in STATES]
    by_index = {trial.user_attrs[INDEX]: trial for trial in ended}  # the latest of an index
    return [by_index[index] for index in sorted(by_index)]


def _table(
    trials: list[Any], study: Study, folder: Path, best: set[int], parts: Sequence[str]
) -> pd.DataFrame:
    rows = [
        _row(trial, seed, study, folder / f"trial-{trial.user_attrs[INDEX]}" / f"seed-{seed}", best, parts)
        for trial in trials
        for seed in seeds_of(study, trial.user_attrs[INDEX])
    ]
    return pd.DataFrame([row for row in rows if row["file"]], columns=list(rows[0]) if rows else None)


def _row(
    trial: Any, seed: int, study: Study, folder: Path, best: set[int], parts: Sequence[str]
) -> dict[str, Any]:
    record, found = (
        read_json(folder / name) if (folder / name).exists() else {} for name in (RECORD, METRICS)
    )
    values = found.get("validation", {})
    index = trial.user_attrs[INDEX]
    return {
        "number": index,
        "seed": seed,
        "state": STATES[trial.state.name],
        "method": record.get("method"),
        "run_id": record.get("run_id") or "",
        "run_key": record.get("run_key", ""),
        "file": (folder / RECORD).relative_to(home()).as_posix() if record else "",
        "seconds": record.get("seconds"),
        "peak_mb": record.get("peak_gpu_mb", record.get("peak_mb")),
        "epochs": found.get("epochs"),
        **{f"param/{key}": trial.params.get(key) for key in space_of(study)},
        **{f"value/{objective}": values.get(objective) for objective in study.objectives},
        **{f"validation/{part}": values.get(part) for part in parts},
        "pareto": index in best,
    }


def _counts(trials: list[Any]) -> dict[str, int]:
    counted = Counter(STATES[trial.state.name] for trial in trials)
    return {state: counted[state] for state in STATES.values()}


def _best(kept: Any) -> list[Any]:
    """Return the Pareto front; of a single objective, the best trial."""
    if not any(trial.state.name == "COMPLETE" for trial in kept.get_trials(deepcopy=False)):
        return []
    return kept.best_trials


def _best_values(kept: Any, study: Study) -> dict[str, float]:
    done = [trial for trial in kept.get_trials(deepcopy=False) if trial.state.name == "COMPLETE"]
    return {
        objective: max(trial.values[position] for trial in done)
        for position, objective in enumerate(study.objectives)
        if done
    }


def _importance(kept: Any, study: Study, settings: Optuna) -> dict[str, Any] | None:
    """Return each key's share in the objectives' variation; None where there is too little to tell."""
    from optuna import importance

    done = [trial for trial in kept.get_trials(deepcopy=False) if trial.state.name == "COMPLETE"]
    values = {}
    for position, objective in enumerate(study.objectives):
        if len({trial.values[position] for trial in done}) < 2:
            return None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            shares = importance.get_param_importances(
                kept, evaluator=_evaluator(settings), target=_loss_at(position)
            )
        values[objective] = {key: float(share) for key, share in shares.items()}
    return {"evaluator": settings.importance, "values": values}


def _evaluator(settings: Optuna) -> Any:
    from optuna import importance

    if settings.importance == "ped_anova":
        return importance.PedAnovaImportanceEvaluator()
    if settings.importance == "fanova":
        return importance.FanovaImportanceEvaluator(seed=settings.seed)
    return importance.MeanDecreaseImpurityImportanceEvaluator(seed=settings.seed)


def _loss_at(position: int) -> Callable[[Any], float]:
    # PED-ANOVA looks at what makes the target small; the others take either sign.
    return lambda trial: -trial.values[position]


def _plain(values: Any) -> Any:
    return values.model_dump() if isinstance(values, Between) else list(values)
