"""The tables of what ran: corpora, extractors, runs, minutes and memory."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pandas as pd

from multisk.params import Params
from multisk.reporting import wording
from multisk.reporting.cells import (
    NOTHING,
    Body,
    Cell,
    Link,
    Origin,
    Row,
    Table,
    at,
    linked,
    plain,
    texts,
)
from multisk.reporting.ledger import run_anchor, run_href
from multisk.reporting.studies import StudyResult

UNFINISHED = ("running", "failed")


def datasets(table: pd.DataFrame) -> Table:
    """Return the corpora and what extraction found in them."""
    rows = []
    for row in table.to_dict("records"):
        sizes = (_count(row[key]) for key in ("clips", "missing", "silent", "failed"))
        videos = _count(row["videos"]), f"{row['minutes']:.0f}"
        rows.append(
            Row(texts(str(row["corpus"]), str(row["role"]), *videos, *sizes, str(row["digest"])[:12]))
        )
    heads = ("corpus", "role", "videos", "minutes", "clips listed", "clips missing", "without audio")
    caption = (
        "The corpora. Clips listed: over all splits. Missing: listed without a file. Without audio: videos "
        "with no audio track. Failed: videos of which a stream could not be read. "
        f"{NOTHING}: does not apply or not run."
    )
    return plain("datasets", caption, (*heads, "failed", "digest"), rows, words=2, after=1)


def extractors(params: Params) -> Table:
    """Return which networks made the features, and where their weights come from."""
    look, motion, words = params.features.appearance, params.features.motion, params.features.words
    moving = (NOTHING, NOTHING)
    if motion:
        blocks = "-".join(map(str, motion.blocks))
        moving = (
            f"3-D ResNeXt, blocks {blocks}, width {motion.width}",
            _weights(motion.weights, motion.seed),
        )
    rows = (
        ("appearance", look.model, _weights(look.weights, look.seed)),
        ("motion", *moving),
        ("text", f"word vectors, {words.dimension}-d", _word_source(words.source)),
        ("audio", "log-mel, 40 bands; its network is trained with the rest", NOTHING),
    )
    heads = ("stream", "extractor", "weights")
    return plain("extractors", "What made the features.", heads, (Row(texts(*row)) for row in rows), words=3)


def _weights(weights: str, seed: int) -> str:
    return f"random, seeded ({seed})" if weights == "random" else weights


def _word_source(source: str) -> str:
    return "skip-gram, trained on the narrations" if source == "skipgram" else source


def facts(runs: pd.DataFrame, params: Params) -> list[tuple[str, str]]:
    """Return terms and values that describe what ran and where; several values are all named."""
    commits = runs["git_commit"].replace("", "no commit").str[:12]
    dirty = runs["git_dirty"].map(lambda flag: " with uncommitted changes" if flag else "")
    seeds = sorted({int(seed) for seed in runs["seed"].dropna()})
    found = [
        ("profile", wording.listed(_distinct(runs["profile"]))),
        ("commit", wording.listed(_distinct(commits + dirty))),
        ("device", wording.listed(_distinct(runs["device"].map(wording.device_name)))),
        ("seeds", wording.listed([str(seed) for seed in seeds])),
        ("methods", wording.listed([wording.method_name(method) for method in params.methods])),
    ]
    unfinished = runs[runs["status"].isin(UNFINISHED)]
    if len(unfinished):
        found.append(("unfinished", wording.listed(list(unfinished["file"]))))
    return found


def versions(runs: pd.DataFrame) -> list[tuple[str, str]]:
    """Return packages and versions over all runs."""
    seen: dict[str, dict[str, None]] = {}
    for installed in runs["versions"]:
        for package, version in (installed if isinstance(installed, Mapping) else {}).items():
            seen.setdefault(package, {})[str(version)] = None
    return [(package, wording.listed(list(found))) for package, found in seen.items()]


def costs(runs: pd.DataFrame, studies: Mapping[str, StudyResult]) -> Table:
    """Return minutes and peak memory per stage and method, corpus or study, over seeds and benchmarks."""
    runs = runs.assign(seconds=runs["seconds"].fillna(0).astype(float), peak_mb=runs["peak_mb"].astype(float))
    rows = []
    for names, found in runs.groupby(["stage", "method", "corpus"], sort=False):
        stage, method, corpus = map(str, names)
        of = wording.method_name(method) or corpus or NOTHING
        benchmarks = ", ".join(_distinct(found["benchmark"])) or NOTHING
        links = [Link(_seed(run), run_href(run["run_key"])) for run in found.to_dict("records")]
        rows.append(Row((*texts(stage, of, benchmarks), *_spent(found), linked(links))))
    spent = [runs[["file", "seconds", "peak_mb"]]]
    for name, study in studies.items():
        # A study's table stands for the records of its trials.
        spent.append(study.trials[["seconds", "peak_mb"]].astype(float).assign(file=study.place))
        link = Link("trials", f"ablations.html#study-{name}")
        rows.append(Row((*texts("sweep", f"study {name}", NOTHING), *_spent(spent[-1]), linked([link]))))
    rows.append(Row((*texts("all", NOTHING, NOTHING), *_spent(_joined(spent)), Cell("")), kind="total"))
    heads = ("stage", "of", "benchmarks", "minutes", "peak memory (MB)", "runs")
    caption = (
        "Minutes by the runs' own clocks, summed, and the largest peak of memory; runs are linked. The "
        f"rows of studies hold all trials, stopped and failed ones, too. {wording.PEAK}"
    )
    return plain("costs", caption, heads, rows, words=3, after=1)


def _joined(spent: Sequence[pd.DataFrame]) -> pd.DataFrame:
    return pd.concat([found for found in spent if len(found)] or list(spent), ignore_index=True)


def _spent(found: pd.DataFrame) -> Iterator[Cell]:
    yield Cell(f"{found['seconds'].sum() / 60:.1f}", _of_all(found, "seconds", "minutes"))
    measured = found[found["peak_mb"].notna()]
    if measured.empty:
        yield Cell("not measured")
    else:
        yield Cell(f"{measured['peak_mb'].max():,.0f}", _of_all(measured, "peak_mb", "largest"))


def _of_all(found: pd.DataFrame, key: str, made: str) -> Origin:
    return Origin(tuple(dict.fromkeys(found["file"])), (key,), made)


def _seed(run: Mapping[Any, Any]) -> str:
    seed = "run" if pd.isna(run["seed"]) else f"seed {run['seed']:.0f}"
    return f"{run['benchmark']} {seed}" if run["benchmark"] else seed


def records(runs: pd.DataFrame, beside: Mapping[str, Sequence[str]]) -> Table:
    """Return each run with what makes it again, a body per stage.

    beside: by record, the files beside it that say more: steps, final numbers, weights
    """
    unit = wording.time_unit(runs["seconds"].dropna())
    bodies = [
        Body(
            tuple(_record(run, unit, beside.get(run["file"], ())) for run in found.to_dict("records")),
            str(stage),
        )
        for stage, found in runs.groupby("stage", sort=False)
    ]
    caption = (
        "Every run: its id in MLflow, its commit (* with uncommitted changes; the difference is kept beside "
        "the record), the command that made it, its record and what lies beside it. "
        "multisk reproduce with the id of a run prints what it takes to repeat it."
    )
    return Table("records", caption, (*record_heads(unit), "beside it"), tuple(bodies), words=3, after=4)


def _record(run: Mapping[Any, Any], unit: tuple[str, int], beside: Sequence[str]) -> Row:
    seed = "" if pd.isna(run["seed"]) else f"seed {run['seed']:.0f}"
    parts = (wording.method_name(run["method"]), run["benchmark"], run["corpus"], seed)
    name = " ".join(filter(None, parts)) or run["stage"]
    files = Cell(" ".join(beside) or NOTHING, code=True)
    return record_row(run, name, unit, lambda key: at(run["file"], key), files)


def record_heads(unit: tuple[str, int]) -> tuple[str, ...]:
    """Return the heads of the cells that every run has."""
    return ("run", "MLflow run", "commit", unit[0], "status", "made by", "record")


def record_row(
    run: Mapping[Any, Any], name: str, unit: tuple[str, int], where: Callable[[str], Origin], *more: Cell
) -> Row:
    """Return a run's row; `where` says where its id and its seconds stand."""
    commit = f"{run['git_commit'][:12] or NOTHING}{'*' if run['git_dirty'] else ''}"
    cells = (
        Cell(name),
        Cell(run["run_id"], where("run_id"), code=True) if run["run_id"] else Cell("not mirrored"),
        Cell(commit, code=True),
        taken(run["seconds"], unit, where("seconds")) if pd.notna(run["seconds"]) else Cell(NOTHING),
        Cell(run["status"], mark=run["status"]),
        Cell(run["command"], at(run["file"], "command"), code=True)
        if run["command"]
        else Cell("no record here"),
        Cell(run["file"], code=True),
        *more,
    )
    return Row(cells, id=run_anchor(run["run_key"]), data={"record": run["file"], "run": run["run_id"]})


def taken(seconds: float, unit: tuple[str, int], origin: Origin) -> Cell:
    """Return a time in a unit of wording.time_unit."""
    name, length = unit
    return Cell(f"{seconds / length:.1f}", replace(origin, made=name))


def _distinct(values: pd.Series) -> list[str]:
    return [str(value) for value in values.unique() if value]


def _count(value: Any) -> str:
    return NOTHING if value is None or pd.isna(value) else f"{int(value):,}"
