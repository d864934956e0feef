"""Published numbers beside measured ones, and only where both were made in the published setting."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Literal, Self

import pandas as pd
from pydantic import Field, model_validator

from multisk.claims.declared import RetrievalTerm, read_checked
from multisk.claims.measured import Measured
from multisk.claims.significance import Estimate, Term, estimate, estimate_median
from multisk.evaluation.ranking import found
from multisk.layout import Layout
from multisk.params import Benchmark, load_params
from multisk.results import ReportSources
from multisk.settings import Positive, Section

PAPER = "paper"  # the profile of the published setting
FEATURES = "R152+RX101"  # of the published setting
WEIGHTS = {"raw": "model.safetensors", "ema": "ema.safetensors"}

Percent = Annotated[float, Field(ge=0, le=100)]
Verdict = Literal["within the interval", "above it", "below it", "not transcribed", "not run", "not compared"]


class Values(Section):
    """A row's numbers; None: not transcribed."""

    R1: Percent | None
    R5: Percent | None
    R10: Percent | None
    MedR: Positive | None


class Row(Section):
    """A published result, and which of this project's numbers it corresponds to."""

    key: str
    name: str  # of the method, as published
    method: str  # of this project
    backbone: str
    benchmark: Benchmark
    setting: Literal["zero-shot", "fine-tuned"]
    query: Literal["text"]
    gallery: Literal["video", "video+audio", "not stated"]
    direction: str | None  # "headline" or as in a metrics file; None: the source does not say
    values: Values
    source: str


class Published(Section):
    """published.yaml as a whole."""

    fill_in: str  # how to transcribe what is not
    protocols: dict[Benchmark, str]
    rows: Annotated[tuple[Row, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _keys_are_unique(self) -> Self:
        keys = [row.key for row in self.rows]
        twice = {key for key in keys if keys.count(key) > 1}
        if twice:
            raise ValueError(f"the key {min(twice)!r} is used twice; give each row its own")
        return self


@dataclass(frozen=True)
class PublishedRow:
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
    verdict: Verdict
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


def read_published(path: Path) -> Published:
    """Read published.yaml; raise InputError with one line for what is wrong."""
    return read_checked(path, Published)


def published_against_measured(published: Published, sources: ReportSources) -> list[PublishedRow]:
    """Return each published number; at the scale of the paper, with the measured one beside it."""
    plain = [_plain(published, row, metric) for row in published.rows for metric in Values.model_fields]
    profile = load_params(sources.params).profile
    if profile != PAPER:
        reason = f"profile {profile} is not the published setting: the published number stands aside"
        return [_aside(row, reason) for row in plain]
    measured = Measured.read(sources)
    rows = {row.key: row for row in published.rows}
    return [_beside(row, rows[row.key], measured, sources) for row in plain]


def published_frame(rows: Sequence[PublishedRow]) -> pd.DataFrame:
    """Return a row per published number; run ids, files and checkpoints are joined by `;`."""
    lists = ("run_ids", "files", "checkpoints")
    return pd.DataFrame(
        [{**asdict(row), **{key: ";".join(getattr(row, key)) for key in lists}} for row in rows]
    )


def _plain(published: Published, row: Row, metric: str) -> PublishedRow:
    value = getattr(row.values, metric)
    return PublishedRow(
        **row.model_dump(include={"key", "name", "method", "backbone", "benchmark", "setting", "source"}),
        direction=row.direction or "",
        metric=metric,
        published=value,
        verdict="not transcribed" if value is None else "not compared",
        reason=published.fill_in if value is None else "",
    )


def _aside(row: PublishedRow, reason: str) -> PublishedRow:
    return row if row.published is None else replace(row, reason=reason)


def _beside(row: PublishedRow, declared: Row, measured: Measured, sources: ReportSources) -> PublishedRow:
    """Return the row with what was measured, unless the published number is of another setting."""
    if declared.direction is None:
        return _aside(row, "the source does not say what was searched")
    if declared.backbone != FEATURES:
        return _aside(row, f"other features: {declared.backbone}; here {FEATURES}")
    if not (measured.ranks["method"] == row.method).any():
        reason = f"no results of {row.method}; make method METHOD={row.method}"
        return replace(row, verdict="not run", reason=reason) if row.published is not None else row
    term = RetrievalTerm(weight=1, method=row.method, benchmark=declared.benchmark, setting=declared.setting)
    ranks = measured.ranks_of(term, declared.direction)
    estimated = _estimate(ranks, row.metric, measured.coverage(declared.benchmark))
    runs = measured.runs[measured.runs["method"] == row.method]
    filled = replace(
        row,
        measured=estimated.effect,
        low=estimated.low,
        high=estimated.high,
        seeds=estimated.runs,
        over_runs=estimated.over_runs,
        command="; ".join(dict.fromkeys(runs["command"])),
        run_ids=tuple(filter(None, runs["run_id"])),
        files=tuple(runs["file"]),
        checkpoints=_checkpoints(sources, term, list(ranks.index)),
    )
    if row.published is None:
        return filled
    return replace(
        filled, difference=estimated.effect - row.published, verdict=_verdict(row.published, estimated)
    )


def _estimate(ranks: pd.DataFrame, metric: str, coverage: float) -> Estimate:
    clusters, _ = pd.factorize(ranks.columns.get_level_values("video_id"))
    if metric == "MedR":
        median = estimate_median(ranks.to_numpy(), clusters)
        return median._replace(low=max(1.0, median.low))
    points = 100 * coverage * found(ranks, int(metric[1:])).to_numpy()
    share = estimate([Term(1, "method", "benchmark", points, clusters)])
    return share._replace(low=max(0.0, share.low), high=min(100.0, share.high))


def _verdict(published: float, estimated: Estimate) -> Verdict:
    if published > estimated.high:
        return "above it"
    return "below it" if published < estimated.low else "within the interval"


def _checkpoints(sources: ReportSources, term: RetrievalTerm, seeds: Sequence[int]) -> tuple[str, ...]:
    layout = Layout(sources.runs.parent)
    name = WEIGHTS[load_params(sources.params).evaluate.weights]
    folders = [
        layout.pretrained(term.method, seed)
        if term.setting == "zero-shot"
        else layout.finetuned(term.method, term.benchmark, seed)
        for seed in seeds
    ]
    return tuple(sources.name(folder / name) for folder in folders)
