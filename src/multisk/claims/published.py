"""Published numbers beside measured ones, and only where both were made in the published setting."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Literal

import pandas as pd

from multisk.benchmarks.definition import Definition, PublishedResult, Values
from multisk.claims.declared import RetrievalTerm
from multisk.claims.measured import Measured
from multisk.claims.significance import Estimate, Term, estimate, estimate_median
from multisk.evaluation.ranking import found
from multisk.layout import WEIGHTS, Layout
from multisk.params import Params

PAPER = "paper"  # the profile of the published setting
FEATURES = "R152+RX101"  # of the published setting
FILL_IN = (  # what is not transcribed
    "Open the paper's PDF (arXiv 2308.13077), find the row of this dataset and setting in its retrieval "
    "tables, write the numbers into `values` and the table's number into `source`, and run "
    "`dvc repro report`."
)

Standing = Literal[
    "within the interval", "above it", "below it", "not transcribed", "not run", "not compared"
]


@dataclass(frozen=True)
class ComparedNumber:
    """One published number, and the measured one where there is one to set beside it.

    Attributes:
        key, name, method, backbone, benchmark, setting, source: of the row.
        direction: "" where the source does not say what was searched.
        metric, published: R1, R5, R10 in percent or MedR; None: not transcribed.
        measured, low, high: mean over seeds with its 95 % interval; over queries alone unless `over_runs`.
        difference: measured minus published.
        verdict: where the published number lies, seen from the interval; or why that is not said.
        reason: the same in a sentence, where there is more to say.
        command, run_ids, files, checkpoints: what made the measured number.
    """

    key: str
    name: str
    method: str
    backbone: str
    benchmark: str
    setting: str
    direction: str
    source: str
    metric: str
    published: float | None
    verdict: Standing
    reason: str = ""
    measured: float | None = None
    low: float | None = None
    high: float | None = None
    difference: float | None = None
    seeds: int = 0
    over_runs: bool = False
    command: str = ""
    run_ids: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    checkpoints: tuple[str, ...] = ()


def against_measured(
    published: Mapping[str, Definition], measured: Measured, params: Params
) -> list[ComparedNumber]:
    """Return each published number; at the scale of the paper, with the measured one beside it.

    published: by benchmark
    """
    plain = [
        _plain(benchmark, row, metric)
        for benchmark, definition in published.items()
        for row in definition.rows
        for metric in Values.model_fields
    ]
    if params.profile != PAPER:
        reason = f"profile {params.profile} is not the published setting: the published number stands aside"
        return [_aside(number, reason) for number in plain]
    rows = {row.key: row for definition in published.values() for row in definition.rows}
    return [_beside(number, rows[number.key], measured, params.evaluate.weights) for number in plain]


def published_frame(numbers: Sequence[ComparedNumber]) -> pd.DataFrame:
    """Return a row per published number; run ids, files and checkpoints are joined by `;`."""
    lists = ("run_ids", "files", "checkpoints")
    return pd.DataFrame(
        [{**asdict(number), **{key: ";".join(getattr(number, key)) for key in lists}} for number in numbers]
    )


def _plain(benchmark: str, row: PublishedResult, metric: str) -> ComparedNumber:
    value = getattr(row.values, metric)
    return ComparedNumber(
        **row.model_dump(include={"key", "name", "method", "backbone", "setting", "source"}),
        benchmark=benchmark,
        direction=row.direction or "",
        metric=metric,
        published=value,
        verdict="not transcribed" if value is None else "not compared",
        reason=FILL_IN if value is None else "",
    )


def _aside(number: ComparedNumber, reason: str) -> ComparedNumber:
    return number if number.published is None else replace(number, reason=reason)


def _beside(number: ComparedNumber, row: PublishedResult, measured: Measured, weights: str) -> ComparedNumber:
    """Return the number with what was measured, unless it is of another setting."""
    if row.direction is None:
        return _aside(number, "the source does not say what was searched")
    if row.backbone != FEATURES:
        return _aside(number, f"other features: {row.backbone}; here {FEATURES}")
    if not (measured.ranks["method"] == row.method).any():
        reason = f"no results of {row.method}; make method METHOD={row.method}"
        return replace(number, verdict="not run", reason=reason) if number.published is not None else number
    term = RetrievalTerm(weight=1, method=row.method, benchmark=number.benchmark, setting=row.setting)
    ranks = measured.ranks_of(term, row.direction)
    estimated = _estimate(ranks, number.metric, measured.coverage(number.benchmark))
    runs = measured.evaluations([row.method])
    filled = replace(
        number,
        measured=estimated.effect,
        low=estimated.low,
        high=estimated.high,
        seeds=estimated.runs,
        over_runs=estimated.over_runs,
        command="; ".join(dict.fromkeys(runs["command"])),
        run_ids=tuple(filter(None, runs["run_id"])),
        files=tuple(runs["file"]),
        checkpoints=_checkpoints(term, list(ranks.index), WEIGHTS[weights]),
    )
    if number.published is None:
        return filled
    return replace(
        filled,
        difference=estimated.effect - number.published,
        verdict=_standing(number.published, estimated),
    )


def _estimate(ranks: pd.DataFrame, metric: str, coverage: float) -> Estimate:
    clusters, _ = pd.factorize(ranks.columns.get_level_values("video_id"))
    if metric == "MedR":
        median = estimate_median(ranks.to_numpy(), clusters)
        return median._replace(low=max(1.0, median.low))
    points = 100 * coverage * found(ranks, int(metric[1:])).to_numpy()
    share = estimate([Term(1, "method", "benchmark", points, clusters)])
    return share._replace(low=max(0.0, share.low), high=min(100.0, share.high))


def _standing(published: float, estimated: Estimate) -> Standing:
    if published > estimated.high:
        return "above it"
    return "below it" if published < estimated.low else "within the interval"


def _checkpoints(term: RetrievalTerm, seeds: Sequence[int], name: str) -> tuple[str, ...]:
    layout = Layout()
    folders = [
        layout.pretrained(term.method, seed)
        if term.setting == "zero-shot"
        else layout.finetuned(term.method, term.benchmark, seed)
        for seed in seeds
    ]
    return tuple(str(folder / name) for folder in folders)
