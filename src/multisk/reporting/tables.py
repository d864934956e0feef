"""The tables of results: means and spreads over seeds, each cell with where its numbers stand."""

from collections.abc import Iterator, Sequence

import pandas as pd

from multisk.params import Params
from multisk.reporting import wording
from multisk.reporting.cells import NOTHING, Body, Cell, Link, Origin, Row, Table, at, either, linked, texts
from multisk.reporting.ledger import Ledger
from multisk.results import SETTINGS, ordered

COLUMNS = ("R1", "R5", "R10", "R50", "MedR", "GeoMean")
SMALLER_IS_BETTER = ("MedR", "MeanR")
HEADS = ("method", "direction", *(wording.METRICS[key] for key in COLUMNS), "runs of seeds")


def result_table(
    name: str, caption: str, metrics: pd.DataFrame, chance: pd.DataFrame, params: Params, ledger: Ledger
) -> Table:
    """Return a body per benchmark and setting; with one direction per method, the best are marked."""
    bodies = []
    for benchmark in ordered(metrics["benchmark"], wording.DOMAINS):
        for setting in ordered(metrics["setting"], SETTINGS):
            part = metrics[(metrics["benchmark"] == benchmark) & (metrics["setting"] == setting)]
            if part.empty:
                continue
            domain = wording.DOMAINS.get(benchmark, "own clips")
            title = f"{wording.benchmark_name(params, benchmark)} ({domain}), {setting}"
            rows = _rows(part, ordered(part["method"], params.methods), benchmark, setting, ledger)
            bodies.append(Body((*rows, *_chance_row(chance, benchmark)), title))
    return Table(name, caption, HEADS, tuple(bodies), words=2, after=1)


def _rows(
    part: pd.DataFrame, methods: Sequence[str], benchmark: str, setting: str, ledger: Ledger
) -> Iterator[Row]:
    leaders = _leaders(part) if part.groupby("method")["direction"].nunique().max() == 1 else {}
    place = {"benchmark": benchmark, "setting": setting}
    for method in methods:
        for direction, found in part[part["method"] == method].groupby("direction", sort=False):
            cells = [_cell(found[found["metric"] == metric], leaders.get(metric)) for metric in COLUMNS]
            runs = seed_links(ledger, method, sorted(found["seed"].unique()))
            names = texts(wording.method_name(method), str(direction))
            yield Row((*names, *cells, runs), data={"method": method, **place})


def _cell(found: pd.DataFrame, leader: float | None) -> Cell:
    if found.empty:
        return Cell(NOTHING)
    found = found.sort_values("seed")
    values, several = list(found["value"]), len(found) > 1
    text = wording.mean_and_spread(values)
    return Cell(text, over_seeds(found, "mean ± sd" if several else "value"), found["value"].mean() == leader)


def over_seeds(found: pd.DataFrame, made: str) -> Origin:
    """Return the origin of what is made of one metric's values of several seeds."""
    first = found.iloc[0]
    seeds = either(f"seed-{seed}" for seed in found["seed"])
    key = f"{first['benchmark']}/{first['setting']}/{seeds}/{first['direction']}/{first['metric']}"
    return at(first["file"], key, made)


def seed_links(ledger: Ledger, method: str, seeds: Sequence[int]) -> Cell:
    """Return links to the evaluations of a method's seeds."""
    return linked(_links(ledger, method, seeds, "seed"))


def _links(ledger: Ledger, method: str, seeds: Sequence[int], name: str) -> list[Link]:
    return [Link(f"{name} {seed}", ledger.href("evaluate", method, int(seed))) for seed in seeds]


def _leaders(part: pd.DataFrame) -> dict[str, float]:
    if part["method"].nunique() < 2:
        return {}
    means = part.groupby(["metric", "method"])["value"].mean()
    names = [metric for metric in COLUMNS if metric in means.index.get_level_values(0)]
    best = {True: pd.Series.min, False: pd.Series.max}
    return {metric: float(best[metric in SMALLER_IS_BETTER](means[metric])) for metric in names}


def _chance_row(chance: pd.DataFrame, benchmark: str) -> Iterator[Row]:
    levels = chance[chance["benchmark"] == benchmark].set_index("metric")
    if len(levels):
        cells = [
            Cell(f"{levels['value'][metric]:.1f}", at(levels["file"][metric], f"chance/{benchmark}/{metric}"))
            if metric in levels.index
            else Cell(NOTHING)
            for metric in COLUMNS
        ]
        yield Row((*texts("chance", ""), *cells, Cell("")), kind="chance")


def compact_table(metrics: pd.DataFrame, params: Params, metric: str = "R10") -> pd.DataFrame:
    """Return one metric as texts: a row per method, a column per benchmark and setting, the best bold."""
    chosen = metrics[metrics["metric"] == metric]
    rows: dict[str, dict[str, str]] = {
        wording.method_name(method): {} for method in ordered(chosen["method"], params.methods)
    }
    for benchmark in ordered(chosen["benchmark"], wording.DOMAINS):
        for setting in ordered(chosen["setting"], SETTINGS):
            part = chosen[(chosen["benchmark"] == benchmark) & (chosen["setting"] == setting)]
            leader = _leaders(part).get(metric)
            for method, found in part.groupby("method"):
                text = wording.mean_and_spread(list(found["value"]))
                bold = f"**{text}**" if found["value"].mean() == leader else text
                place = f"{wording.benchmark_name(params, benchmark)}, {setting}"
                rows[wording.method_name(str(method))][place] = bold
    return pd.DataFrame.from_dict(rows, orient="index").fillna(NOTHING).rename_axis("method").reset_index()


def differences(metrics: pd.DataFrame, params: Params, ledger: Ledger, method: str = "sspc") -> Table | None:
    """Return R@10 of `method` minus every other method's, paired by seed; None without a pair."""
    recalls = metrics[metrics["metric"] == "R10"]
    bodies = []
    for other in ordered(recalls["method"], params.methods):
        rows = tuple(_difference_rows(recalls, method, other, params, ledger)) if other != method else ()
        if rows:
            bodies.append(Body(rows, f"{wording.method_name(method)} minus {wording.method_name(other)}"))
    caption = f"R@10 of {wording.method_name(method)} minus each other method's, in points, paired by seed."
    heads = ("benchmark, setting", "mean", "by seed", "runs of seeds")
    return Table("differences", caption, heads, tuple(bodies), words=1, after=2) if bodies else None


def _difference_rows(
    recalls: pd.DataFrame, method: str, other: str, params: Params, ledger: Ledger
) -> Iterator[Row]:
    keys = ["benchmark", "setting", "seed"]
    columns = [*keys, "value", "direction", "metric", "file"]
    ours, theirs = (recalls.loc[recalls["method"] == name, columns] for name in (method, other))
    pairs = ours.merge(theirs, on=keys, suffixes=("", "_other")).sort_values("seed")
    for benchmark in ordered(pairs["benchmark"], wording.DOMAINS):
        for setting in ordered(pairs["setting"], SETTINGS):
            cell = pairs[(pairs["benchmark"] == benchmark) & (pairs["setting"] == setting)]
            if len(cell):
                yield _difference_row(cell, method, other, params, ledger)


def _difference_row(cell: pd.DataFrame, method: str, other: str, params: Params, ledger: Ledger) -> Row:
    first, gaps = cell.iloc[0], cell["value"] - cell["value_other"]
    theirs = cell.drop(columns=["file", "direction"]).rename(
        columns={"file_other": "file", "direction_other": "direction"}
    )
    left, right = over_seeds(cell, "value"), over_seeds(theirs, "value")
    files, keys = left.files + right.files, left.keys + right.keys
    seeds = list(cell["seed"])
    runs = [
        link for name in (method, other) for link in _links(ledger, name, seeds, wording.method_name(name))
    ]
    place = f"{wording.benchmark_name(params, first['benchmark'])}, {first['setting']}"
    mean = Cell(wording.signed(gaps.mean()), Origin(files, keys, "mean difference"))
    each = Cell(", ".join(map(wording.signed, gaps)), Origin(files, keys, "differences"))
    return Row((Cell(place), mean, each, linked(runs)))


def test_sizes(counts: pd.DataFrame, params: Params) -> Table | None:
    """Return the sizes of the test sets that R@K divides by; None without counts."""
    rows = []
    for benchmark in ordered(counts["benchmark"], wording.DOMAINS):
        found = counts[counts["benchmark"] == benchmark].set_index("which")
        cells = [
            Cell(f"{int(found['value'][which]):,}", at(found["file"][which], f"clips/{benchmark}/{which}"))
            if which in found.index
            else Cell(NOTHING)
            for which in ("complete", "present", "missing")
        ]
        rows.append(Row((Cell(wording.benchmark_name(params, benchmark)), *cells)))
    caption = (
        "Test clips. R@K divides by all of them: a missing clip is an error; MedR is over those present."
    )
    heads = ("benchmark", "all", "present", "missing")
    return Table("sizes", caption, heads, (Body(tuple(rows)),)) if rows else None
