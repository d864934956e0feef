"""The tables of trials and of evaluation strategies."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import pandas as pd

from multisk.files import read_json
from multisk.params import Params
from multisk.reporting import wording
from multisk.reporting.cells import (
    NOTHING,
    Body,
    Cell,
    Origin,
    Row,
    Table,
    at,
    column,
    either,
    linked,
    over_seeds,
    plain,
)
from multisk.reporting.facts import record_heads, record_row, taken
from multisk.reporting.ledger import seed_links
from multisk.reporting.order import groups
from multisk.reporting.studies import HEAD, METHOD, TRIALS, StudyResult, interval
from multisk.results import ordered

STRATEGIES = {  # of evaluation/strategies.py
    "at-once": "the features of a clip as they come, cut where the model's tokens end",
    "clips": "the clip in equal pieces, embedded one by one and averaged",
    "nearest": "tokens spread over the whole clip, each the features nearest to its place",
    "max-pool": "tokens spread over the whole clip, each the maximum of the features around its place",
    "long-video": "text finds a whole video, the mean of its clips' embeddings, by the mean of its captions'",
}
SHOWN = 40  # trials of a study, the best ones; its CSV has all


def counts(study: StudyResult) -> dict[str, Cell]:
    """Return how many trials ended how, with how many epochs and which seeds."""
    head, file = study.head, study.place.replace(TRIALS, HEAD)
    numbers = {name: Cell(str(count), at(file, f"trials/{name}")) for name, count in head["trials"].items()}
    seeds = Cell(
        ", ".join(map(str, head["seeds"])), at(file, f"seeds/{either(range(len(head['seeds'])))}", "values")
    )
    return {**numbers, "epochs": Cell(str(head["epochs"]), at(file, "epochs")), "seeds": seeds}


def trial_table(study: StudyResult) -> Table:
    """Return the finished trials of a study, the best of its first objective on top."""
    first, unit = study.objectives[0], wording.time_unit(study.means["seconds"])
    best = study.means.sort_values(first, ascending=first in study.smaller, kind="stable").head(SHOWN)
    keys = ordered(study.space, [METHOD])
    heads = (
        "trial",
        *(wording.setting_name(key) for key in keys),
        *(study.objective_axis(name) for name in study.objectives),
        *(unit[0], "peak memory (MB)", "runs"),
    )
    several = study.finished["seed"].nunique() > 1
    caption = (
        f"Study {study.study}: the finished trials, the best on top"
        + (f" ({SHOWN} of {len(study.means)})" if len(study.means) > SHOWN else "")
        + (", means over seeds with 95 % intervals" if several else "")
        + f". R@10 on the validation part of the training clips. {wording.PEAK}"
    )
    rows = [_trial_row(study, keys, unit, row) for row in best.to_dict("records")]
    return plain(f"trials-{study.study}", caption, heads, rows, words=1 + (METHOD in keys), after=1)


def _trial_row(study: StudyResult, keys: Sequence[str], unit: tuple[str, int], row: Mapping[Any, Any]) -> Row:
    number = int(row["number"])
    runs = study.finished[study.finished["number"] == number].sort_values("seed")
    settings = (_setting(study, key, row[key], number) for key in keys)
    reached = (_reached(study, name, number, runs) for name in study.objectives)
    time = taken(row["seconds"], unit, _origin(study, "seconds", number, unit[0]))
    memory = Cell("not measured")
    if pd.notna(row["peak_mb"]):
        memory = Cell(f"{row['peak_mb']:,.0f}", _origin(study, "peak_mb", number, "largest"))
    front = " (Pareto)" if len(study.objectives) > 1 and row["pareto"] else ""
    return Row((Cell(f"{number}{front}"), *settings, *reached, time, memory, linked(seed_links(runs))))


def _reached(study: StudyResult, name: str, number: int, runs: pd.DataFrame) -> Cell:
    low, high = interval(list(runs[name]))
    spread, made = (f" [{low:.1f}, {high:.1f}]", "mean [interval]") if low == low else ("", "mean")
    return Cell(f"{runs[name].mean():.1f}{spread}", _origin(study, f"value/{name}", number, made))


def _origin(study: StudyResult, name: str, number: int, made: str) -> Origin:
    return at(study.place, column(name, number=number), made)


def _setting(study: StudyResult, key: str, value: Any, number: int) -> Cell:
    if key == METHOD:
        return Cell(wording.method_name(value))
    text = f"{value:.4g}" if isinstance(value, float) else str(value)
    return Cell(text, _origin(study, f"param/{key}", number, "mean"))


def trial_records(studies: Mapping[str, StudyResult], root: Path) -> Table:
    """Return every trial's run with its id in MLflow; commit and command where its record lies in `root`."""
    seconds = [float(time) for study in studies.values() for time in study.trials["seconds"].dropna()]
    unit = wording.time_unit(seconds)
    bodies = [
        Body(
            tuple(_trial_record(study, run, unit, root) for run in study.trials.to_dict("records")),
            f"study {name}",
        )
        for name, study in studies.items()
        if len(study.trials)
    ]
    caption = (
        "Every trial of the studies. Commit (* with uncommitted changes) and command are those of its "
        "record, which lies in the working copy that ran it; the table of the study keeps the rest."
    )
    heads = record_heads(unit)
    return Table("trial-records", caption, heads, tuple(bodies), words=3, after=3)


def _trial_record(study: StudyResult, run: Mapping[Any, Any], unit: tuple[str, int], root: Path) -> Row:
    rows = {"number": run["number"], "seed": run["seed"]}
    file = root / run["file"]
    record = read_json(file) if file.exists() else {}
    facts = {key: record.get(key) or "" for key in ("git_commit", "git_dirty", "command")}
    return record_row(
        {**run, **facts, "status": run["state"]},
        f"trial {run['number']} seed {run['seed']}",
        unit,
        lambda key: at(study.place, column(key, **rows)),
    )


def strategy_table(strategies: pd.DataFrame, params: Params) -> Table:
    """Return R@10 of each evaluation strategy: a body per benchmark and setting."""
    chosen = strategies[strategies["metric"] == "R10"]
    names = ordered(chosen["strategy"], STRATEGIES)
    bodies = []
    for (benchmark, setting), part in groups(chosen, ("benchmark", "setting"), params.benchmarks):
        title = f"{wording.benchmark_name(params, benchmark)}, {setting}"
        chance = Row((Cell("chance"), *_by_strategy(part, names, "chance"), Cell("")), kind="chance")
        bodies.append(Body((*_strategy_rows(part, names, params), chance), title))
    caption = (
        f"R@10 in percent, {wording.HEADLINE}, by how a clip is cut for evaluation: mean ± standard "
        "deviation over the seeds linked. Long videos are fewer candidates, so that chance is higher and the "
        f"column compares with no other. {NOTHING}: this benchmark was not measured so; long-video needs "
        "videos of several clips."
    )
    heads = ("method", *names, "runs of seeds")
    return Table("strategies", caption, heads, tuple(bodies), after=1)


def _strategy_rows(part: pd.DataFrame, names: list[str], params: Params) -> Iterator[Row]:
    for method in ordered(part["method"], params.methods):
        found = part[part["method"] == method].sort_values("seed")
        cells = _by_strategy(found, names, "value")
        yield Row((Cell(wording.method_name(method)), *cells, linked(seed_links(found))))


def _by_strategy(part: pd.DataFrame, names: Sequence[str], value: str) -> Iterator[Cell]:
    """Yield a cell per strategy: values over seeds, or what chance reaches, which is the same for all."""
    for name in names:
        found = part[part["strategy"] == name]
        if found.empty:
            yield Cell(NOTHING)
            continue
        first = found.iloc[0]
        rows = {key: first[key] for key in ("benchmark", "setting", "strategy", "direction", "metric")}
        values = list(found[value].head(1) if value == "chance" else found[value])
        yield over_seeds(values, first["file"], column(value, **rows))


def strategies_explained(strategies: pd.DataFrame) -> list[tuple[str, str]]:
    """Return each strategy that was measured with what it does."""
    names = ordered(strategies["strategy"], STRATEGIES)
    return [(name, STRATEGIES.get(name, "another way")) for name in names]


def coinciding(strategies: pd.DataFrame, params: Params) -> list[str]:
    """Return a sentence for each benchmark in which strategies have the same numbers everywhere."""
    sentences = []
    for benchmark in ordered(strategies["benchmark"], params.benchmarks):
        part = strategies[strategies["benchmark"] == benchmark]
        keys = ["method", "setting", "seed", "direction", "metric"]
        wide = part.pivot_table(index=keys, columns="strategy", values="value")
        pairs = [(a, b) for a, b in combinations(ordered(wide, STRATEGIES), 2) if wide[a].equals(wide[b])]
        if pairs:
            same = ordered((name for pair in pairs for name in pair), STRATEGIES)
            sentences.append(
                f"{wording.benchmark_name(params, benchmark)}: {wording.listed(same)} have the same numbers "
                "throughout, as they must where no clip is longer than what the model reads at once."
            )
    return sentences
