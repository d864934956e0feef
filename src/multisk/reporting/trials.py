"""The tables of trials and of evaluation strategies."""

from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from multisk.params import Params
from multisk.reporting import wording
from multisk.reporting.cells import NOTHING, Body, Cell, Link, Origin, Row, Table, column, linked, plain
from multisk.reporting.ledger import Ledger, run_anchor, run_href
from multisk.reporting.results import SETTINGS, ordered
from multisk.reporting.studies import METHOD, StudyResult, interval
from multisk.reporting.tables import seed_links

SHOWN = 40  # trials of a study, the best ones; its CSV has all


def trial_table(study: StudyResult) -> Table:
    """Return the finished trials of a study, the best of its first objective on top."""
    first = study.objectives[0]
    best = study.means.sort_values(first, ascending=first in study.smaller, kind="stable").head(SHOWN)
    heads = ("trial", *(wording.setting_name(key) for key in study.space))
    heads += (
        *(wording.objective_name(name) for name in study.objectives),
        "minutes",
        "peak memory (MB)",
        "runs",
    )
    several = study.finished["seed"].nunique() > 1
    caption = (
        f"Study {study.study}: the finished trials, the best on top"
        + (f" ({SHOWN} of {len(study.means)})" if len(study.means) > SHOWN else "")
        + (", means over seeds with 95 % intervals" if several else "")
        + ". R@10 on the validation part of the training clips."
    )
    rows = [_trial_row(study, int(row["number"]), row) for row in best.to_dict("records")]
    return plain(f"trials-{study.study}", caption, heads, rows, after=1)


def _trial_row(study: StudyResult, number: int, row: Mapping[Any, Any]) -> Row:
    runs = study.finished[study.finished["number"] == number].sort_values("seed")
    links = [Link(f"seed {run['seed']}", run_href(run["run_key"])) for run in runs.to_dict("records")]
    settings = (_setting(study, key, row[key], number) for key in study.space)
    reached = (_reached(study, name, number, runs) for name in study.objectives)
    minutes = Cell(f"{row['seconds'] / 60:.1f}", _origin(study, "seconds", number, "minutes"))
    memory = Cell("not measured")
    if pd.notna(row["peak_mb"]):
        memory = Cell(f"{row['peak_mb']:,.0f}", _origin(study, "peak_mb", number, "largest"))
    front = " (Pareto)" if len(study.objectives) > 1 and row["pareto"] else ""
    return Row((Cell(f"{number}{front}"), *settings, *reached, minutes, memory, linked(links)))


def _reached(study: StudyResult, name: str, number: int, runs: pd.DataFrame) -> Cell:
    low, high = interval(list(runs[name]))
    spread, made = (f" [{low:.1f}, {high:.1f}]", "mean [interval]") if low == low else ("", "mean")
    return Cell(f"{runs[name].mean():.1f}{spread}", _origin(study, f"value/{name}", number, made))


def _origin(study: StudyResult, name: str, number: int, made: str) -> Origin:
    return Origin((study.place,), (column(name, number=number),), made)


def _setting(study: StudyResult, key: str, value: Any, number: int) -> Cell:
    if key == METHOD:
        return Cell(wording.method_name(value))
    text = f"{value:.4g}" if isinstance(value, float) else str(value)
    return Cell(text, _origin(study, f"param/{key}", number, "mean"))


TRIAL_HEADS = ("run", "MLflow run", "study", "minutes", "status", "made by", "record")


def trial_records(studies: Mapping[str, StudyResult]) -> Table | None:
    """Return every trial's run: its id in MLflow, its command, its record."""
    bodies = [
        Body(tuple(_trial_record(study, run) for run in study.trials.to_dict("records")), f"study {name}")
        for name, study in studies.items()
        if len(study.trials)
    ]
    caption = (
        "Every trial of the studies. Records lie in the working copy that ran them; the table of the study "
        "keeps what they said."
    )
    return Table("trial-records", caption, TRIAL_HEADS, tuple(bodies), words=3, after=3) if bodies else None


def _trial_record(study: StudyResult, run: Mapping[Any, Any]) -> Row:
    rows = {"number": run["number"], "seed": run["seed"]}
    minutes, mirrored = Cell(NOTHING), Cell("not mirrored")
    if run["run_id"]:
        mirrored = Cell(run["run_id"], Origin((study.place,), (column("run_id", **rows),)), code=True)
    if pd.notna(run["seconds"]):
        key = column("seconds", **rows)
        minutes = Cell(f"{run['seconds'] / 60:.1f}", Origin((study.place,), (key,), "minutes"))
    cells = (
        Cell(f"trial {run['number']} seed {run['seed']}"),
        mirrored,
        Cell(study.study),
        minutes,
        Cell(run["state"], mark=run["state"]),
        Cell(f"multisk sweep --study {study.study}", code=True),
        Cell(run["file"], code=True),
    )
    return Row(cells, id=run_anchor(run["run_key"]), data={"record": run["file"], "run": run["run_id"]})


def strategy_table(strategies: pd.DataFrame, params: Params, ledger: Ledger) -> Table | None:
    """Return R@10 of each evaluation strategy: a body per benchmark and setting; None without any."""
    chosen = strategies[strategies["metric"] == "R10"]
    names = ordered(chosen["strategy"], ("at-once", "clips", "nearest", "max-pool", "long-video"))
    bodies = []
    for benchmark in ordered(chosen["benchmark"], wording.DOMAINS):
        for setting in ordered(chosen["setting"], SETTINGS):
            part = chosen[(chosen["benchmark"] == benchmark) & (chosen["setting"] == setting)]
            rows = tuple(_strategy_rows(part, names, params, ledger))
            if rows:
                title = f"{wording.benchmark_name(params, benchmark)}, {setting}"
                bodies.append(Body(rows, title))
    caption = (
        f"R@10 in percent, {wording.HEADLINE}, by how a clip is cut for evaluation: mean ± standard "
        "deviation over the seeds linked. Long video: a whole video is found by the mean of its clips; fewer "
        "candidates make it easier, so it compares with no other column."
    )
    heads = ("method", *names, "runs of seeds")
    return Table("strategies", caption, heads, tuple(bodies), after=1) if bodies else None


def _strategy_rows(part: pd.DataFrame, names: list[str], params: Params, ledger: Ledger) -> Iterator[Row]:
    for method in ordered(part["method"], params.methods):
        found = part[part["method"] == method]
        cells = (_strategy_cell(found[found["strategy"] == name].sort_values("seed")) for name in names)
        seeds = seed_links(ledger, method, sorted(found["seed"].unique()))
        yield Row((Cell(wording.method_name(method)), *cells, seeds))


def _strategy_cell(found: pd.DataFrame) -> Cell:
    if found.empty:
        return Cell(NOTHING)
    first = found.iloc[0]
    names = ("benchmark", "setting", "strategy", "direction", "metric")
    key = column("value", **{name: first[name] for name in names})
    made = "mean ± sd" if len(found) > 1 else "value"
    return Cell(wording.mean_and_spread(list(found["value"])), Origin((first["file"],), (key,), made))
