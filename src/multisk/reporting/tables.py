"""The tables of results: means and spreads over seeds, each cell with where its numbers stand."""

from collections.abc import Iterator

import pandas as pd

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
    either,
    linked,
    over_seeds,
    plain,
    texts,
)
from multisk.reporting.ledger import seed_links
from multisk.reporting.order import groups
from multisk.results import ordered

SSPC, OTHER = "sspc", "_other"  # the method that others are compared with, and what marks their columns
COLUMNS = ("R1", "R5", "R10", "R50", "MedR", "GeoMean")
SMALLER_IS_BETTER = ("MedR", "MeanR")
HEADS = ("method", "direction", *(wording.METRICS[key] for key in COLUMNS), "runs of seeds")


def result_table(
    name: str, caption: str, metrics: pd.DataFrame, chance: pd.DataFrame, params: Params
) -> Table:
    """Return a body per benchmark and setting; with one direction per method, the best are marked."""
    bodies = []
    for (benchmark, setting), part in groups(metrics, ("benchmark", "setting"), params.benchmarks):
        title = f"{wording.benchmark_title(params, benchmark)}, {setting}"
        bodies.append(Body((*_rows(part, params), *_chance_row(chance, benchmark)), title))
    return Table(name, caption, HEADS, tuple(bodies), words=2, after=1)


def _rows(part: pd.DataFrame, params: Params) -> Iterator[Row]:
    leaders = _leaders(part) if part.groupby("method")["direction"].nunique().max() == 1 else {}
    for method in ordered(part["method"], params.methods):
        for direction, found in part[part["method"] == method].groupby("direction", sort=False):
            cells = [metric_cell(found[found["metric"] == key], leaders.get(key)) for key in COLUMNS]
            names = texts(wording.method_name(method), str(direction))
            data = {key: found[key].iloc[0] for key in ("method", "benchmark", "setting")}
            yield Row((*names, *cells, linked(seed_links(found))), data=data)


def metric_cell(found: pd.DataFrame, leader: float | None = None) -> Cell:
    """Return one metric over the seeds of a method, bold where its mean is the leader's."""
    if found.empty:
        return Cell(NOTHING)
    found = found.sort_values("seed")
    values, best = list(found["value"]), found["value"].mean() == leader
    return over_seeds(values, found["file"].iloc[0], _key(found), best=best)


def _key(found: pd.DataFrame) -> str:
    first, seeds = found.iloc[0], either(f"seed-{seed}" for seed in found["seed"])
    return f"{first['benchmark']}/{first['setting']}/{seeds}/{first['direction']}/{first['metric']}"


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
    columns: dict[str, dict[str, str]] = {}
    for (benchmark, setting), part in groups(chosen, ("benchmark", "setting"), params.benchmarks):
        leader = _leaders(part).get(metric)
        column = columns[f"{wording.benchmark_name(params, benchmark)}, {setting}"] = {}
        for method, found in part.groupby("method"):
            text = wording.mean_and_spread(list(found["value"]))
            column[str(method)] = f"**{text}**" if found["value"].mean() == leader else text
    table = pd.DataFrame(columns, index=ordered(chosen["method"], params.methods)).fillna(NOTHING)
    return table.rename(index=wording.method_name).rename_axis("method").reset_index()


def differences(metrics: pd.DataFrame, params: Params) -> Table:
    """Return R@10 of SSPC minus every other method's, paired by seed."""
    recalls = metrics[metrics["metric"] == "R10"]
    ours = recalls[recalls["method"] == SSPC]
    name = wording.method_name(SSPC)
    bodies = []
    for other in ordered(recalls["method"], params.methods):
        theirs = recalls[recalls["method"] == other]
        pairs = ours.merge(theirs, on=["benchmark", "setting", "seed"], suffixes=("", OTHER))
        cells = groups(pairs.sort_values("seed"), ("benchmark", "setting"), params.benchmarks)
        rows = tuple(_difference_row(cell, params) for _, cell in cells) if other != SSPC else ()
        if rows:
            bodies.append(Body(rows, f"{name} minus {wording.method_name(other)}"))
    caption = f"R@10 of {name} minus each other method's, in points, paired by seed."
    heads = ("benchmark, setting", "mean", "by seed", "runs of seeds")
    return Table("differences", caption, heads, tuple(bodies), words=1, after=2)


def _difference_row(pairs: pd.DataFrame, params: Params) -> Row:
    theirs = pairs.assign(**{key: pairs[key + OTHER] for key in ("method", "direction", "file", "run_key")})
    sides = (pairs, theirs)
    files, keys = tuple(side["file"].iloc[0] for side in sides), tuple(map(_key, sides))
    runs = [link for side in sides for link in seed_links(side, wording.method_name(side["method"].iloc[0]))]
    gaps, first = pairs["value"] - pairs["value" + OTHER], pairs.iloc[0]
    place = f"{wording.benchmark_name(params, first['benchmark'])}, {first['setting']}"
    mean = Cell(wording.signed(gaps.mean()), Origin(files, keys, "mean difference"))
    each = Cell(", ".join(map(wording.signed, gaps)), Origin(files, keys, "differences"))
    return Row((Cell(place), mean, each, linked(runs)))


def test_sizes(counts: pd.DataFrame, params: Params) -> Table:
    """Return the sizes of the test sets that R@K divides by."""
    rows = []
    for benchmark in ordered(counts["benchmark"], params.benchmarks):
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
    return plain("sizes", caption, heads, rows)
