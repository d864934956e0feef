"""What the evaluations left, as declared comparisons need it."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import pandas as pd

from multisk.claims.declared import (
    HEADLINE,
    AnchorComparison,
    AnchorTerm,
    Declared,
    RetrievalComparison,
    RetrievalTerm,
)
from multisk.claims.significance import (
    Estimate,
    Term,
    combine,
    estimate,
    jackknife_deviations,
    run_spread,
)
from multisk.errors import InputError
from multisk.evaluation.headline import HEADLINE as HEADLINES
from multisk.evaluation.headline import headline
from multisk.evaluation.ranking import found
from multisk.params import load_params
from multisk.results import (
    RANK_COLUMNS,
    ReportSources,
    read_chance,
    read_clip_counts,
    read_evaluations,
    read_runs,
)
from multisk.settings.benchmarks import Benchmark, anchor_benchmark

ANCHOR_COLUMNS = ("seed", "group", "modality", "space", "label", "kind", "nmi", "ami")


@dataclass(frozen=True)
class Measured:
    """What the evaluations left.

    ranks: method and RANK_COLUMNS
    anchors: method and ANCHOR_COLUMNS; a group lacks a part of the videos, ALL_CLIPS lacks none
    chance: benchmark, metric, value
    sizes: benchmark, which (present, complete, missing), value
    runs: run records
    methods, benchmarks: those of params.yaml
    """

    ranks: pd.DataFrame
    anchors: pd.DataFrame
    chance: pd.DataFrame
    sizes: pd.DataFrame
    runs: pd.DataFrame
    methods: frozenset[str]
    benchmarks: Mapping[str, Benchmark]

    @classmethod
    def read(cls, sources: ReportSources) -> Self:
        """Read what there is; raise InputError for what is malformed."""
        params = load_params(sources.params)
        return cls(
            ranks=read_evaluations(sources, "ranks", RANK_COLUMNS),
            anchors=read_evaluations(sources, "anchors_jackknife", ANCHOR_COLUMNS),
            chance=read_chance(sources),
            sizes=read_clip_counts(sources),
            runs=read_runs(sources),
            methods=frozenset(params.methods),
            benchmarks=params.benchmarks,
        )

    def missing(self, declared: Declared) -> str:
        """Return why a comparison cannot be made, or nothing."""
        retrieval = isinstance(declared, RetrievalComparison)
        if isinstance(declared, RetrievalComparison) and (unmeasured := self._unmeasured(declared)):
            return unmeasured
        for method in dict.fromkeys(term.method for term in declared.terms):
            if method not in self.methods:
                return f"{method} is not among the methods of params.yaml (multisk add {method})"
            rows = self.ranks if retrieval else self.anchors
            rows = rows[rows["method"] == method]
            if rows.empty:
                return (
                    f"no results of {method}" if retrieval else f"no known content of the clips of {method}"
                )
            if retrieval and rows.groupby("benchmark")["video_id"].nunique().min() < 2:
                return f"{method} was tested on one video; an interval needs two"
            if not retrieval and rows["group"].max() < 1:
                return f"the anchors of {method} were compared on one video; an interval needs two"
        return ""

    def _unmeasured(self, declared: RetrievalComparison) -> str:
        """Return which condition of a comparison params.yaml leaves out, or nothing."""
        for term in declared.terms:
            benchmark = self.benchmarks.get(term.benchmark)
            name = term.benchmark
            if benchmark is None:
                return f"{name} is not among the benchmarks of params.yaml (multisk add {name})"
            if term.setting not in benchmark.settings:
                return f"models are not fine-tuned on {name} (params.yaml: benchmarks.{name}.finetune)"
        return ""

    def estimate(self, declared: Declared) -> tuple[Estimate, int]:
        """Return the estimate of a comparison, and how many test clips it rests on."""
        if isinstance(declared, RetrievalComparison):
            return self._retrieval(declared)
        return self._anchors(declared)

    def evaluations(self, methods: Collection[str]) -> pd.DataFrame:
        """Return the run records of the evaluations of methods."""
        return self.runs[(self.runs["stage"] == "evaluate") & self.runs["method"].isin(methods)]

    def _retrieval(self, declared: RetrievalComparison) -> tuple[Estimate, int]:
        tables = [self.points(declared, term) for term in declared.terms]
        seeds = _common_seeds(declared.terms, tables)
        groups = _groups(seeds)
        terms = []
        for term, table in zip(declared.terms, tables, strict=True):
            clusters, _ = pd.factorize(table.columns.get_level_values("video_id"))
            values = table.loc[seeds[term.method]].to_numpy()
            terms.append(Term(term.weight, groups[term.method], term.benchmark, values, clusters))
        samples = _shared_clips(declared.terms, tables)
        return estimate(terms, declared.threshold), samples

    def points(self, declared: RetrievalComparison, term: RetrievalTerm) -> pd.DataFrame:
        """Return what each query adds to R@K, in points: a row per seed, a column per video and clip.

        The mean of a row is the R@K of the complete benchmark, less the chance level if declared so.
        """
        ranks = self.ranks_of(term, declared.direction)
        points = 100 * self.coverage(term.benchmark) * found(ranks, int(declared.metric[1:]))
        return points - self._chance(term.benchmark, declared.metric) if declared.above_chance else points

    def ranks_of(self, term: RetrievalTerm, direction: str) -> pd.DataFrame:
        """Return ranks: a row per seed, a column per video and clip."""
        rows = self.ranks[
            (self.ranks["method"] == term.method)
            & (self.ranks["benchmark"] == term.benchmark)
            & (self.ranks["setting"] == term.setting)
        ]
        offered = set(rows["direction"])
        wanted = headline(offered) if direction == HEADLINE and offered & set(HEADLINES) else direction
        rows = rows[rows["direction"] == wanted]
        file = f"runs/evaluate/{term.method}/ranks.parquet"
        place = f"{term.benchmark}, {term.setting}, {wanted}"
        if rows.empty:
            raise InputError(f"{file}: no ranks of {place}; run dvc repro evaluate@{term.method}")
        ranks = rows.pivot(index="seed", columns=["video_id", "clip_id"], values="rank").sort_index(axis=1)
        if ranks.isna().any(axis=None):
            raise InputError(
                f"{file}: {place}: not every seed has every clip; run dvc repro evaluate@{term.method}"
            )
        return ranks

    def coverage(self, benchmark: str) -> float:
        """Return the share of the complete benchmark that is present."""
        sizes = self._sizes(benchmark)
        return float(sizes["present"] / sizes["complete"])

    def _sizes(self, benchmark: str) -> pd.Series:
        return self.sizes[self.sizes["benchmark"] == benchmark].set_index("which")["value"]

    def _chance(self, benchmark: str, metric: str) -> float:
        rows = self.chance[(self.chance["benchmark"] == benchmark) & (self.chance["metric"] == metric)]
        return float(rows["value"].iloc[0])

    def _anchors(self, declared: AnchorComparison) -> tuple[Estimate, int]:
        tables = [self._information(declared, term) for term in declared.terms]
        seeds = _common_seeds(declared.terms, tables)
        groups = _groups(seeds)
        parts: dict[str, np.ndarray] = {}
        for term, table in zip(declared.terms, tables, strict=True):
            part_RG = term.weight * table.loc[seeds[term.method]].to_numpy()
            parts[groups[term.method]] = parts.get(groups[term.method], 0) + part_RG
        # Columns are groups of videos in order: ALL_CLIPS comes first.
        contrast_G = np.sum([part_RG.mean(axis=0) for part_RG in parts.values()], axis=0)
        spread = run_spread([part_RG[:, 0] for part_RG in parts.values()])
        deviations = jackknife_deviations(contrast_G[1:])
        estimated = combine(float(contrast_G[0]), deviations, *spread, declared.threshold)
        return estimated, int(self._sizes(anchor_benchmark(self.benchmarks))["present"])

    def _information(self, declared: AnchorComparison, term: AnchorTerm) -> pd.DataFrame:
        """Return the mean over modalities and labels: a row per seed, a column per group of videos."""
        rows = self.anchors[
            (self.anchors["method"] == term.method)
            & (self.anchors["kind"] == term.kind)
            & (self.anchors["space"] == declared.space)
            & self.anchors["modality"].isin(declared.modalities)
            & self.anchors["label"].isin(declared.labels)
        ]
        file = f"runs/evaluate/{term.method}/anchors_jackknife.parquet"
        places = rows.groupby(["seed", "group"]).size()
        if places.empty or (places != len(declared.modalities) * len(declared.labels)).any():
            raise InputError(
                f"{file}: {term.kind}, {declared.space}: not every modality and label is there; "
                f"run dvc repro evaluate@{term.method}"
            )
        return rows.pivot_table(index="seed", columns="group", values=declared.metric).sort_index(axis=1)


def _common_seeds(
    terms: Sequence[RetrievalTerm | AnchorTerm], tables: Sequence[pd.DataFrame]
) -> dict[str, list[int]]:
    """Return, by method, the seeds that all of its tables have."""
    seeds: dict[str, set[int]] = {}
    for term, table in zip(terms, tables, strict=True):
        seeds[term.method] = seeds.get(term.method, set(table.index)) & set(table.index)
    return {method: sorted(common) for method, common in seeds.items()}


def _groups(seeds: dict[str, list[int]]) -> dict[str, str]:
    """Return, by method, whose runs vary together: those of all methods, if they have the same seeds.

    A seed is the same first weights and the same batches for each method, so that runs of a seed are alike.
    """
    paired = len({tuple(own) for own in seeds.values()}) == 1
    return {method: "seeds" if paired else method for method in seeds}


def _shared_clips(terms: Sequence[RetrievalTerm], tables: Sequence[pd.DataFrame]) -> int:
    """Return the number of clips of all benchmarks; raise InputError where methods have different ones."""
    clips: dict[str, pd.Index] = {}
    for term, table in zip(terms, tables, strict=True):
        if not clips.setdefault(term.benchmark, table.columns).equals(table.columns):
            raise InputError(
                f"runs/evaluate/{term.method}/ranks.parquet: {term.benchmark}: other clips than those of "
                f"{terms[0].method}; run dvc repro evaluate"
            )
    return sum(len(columns) for columns in clips.values())
