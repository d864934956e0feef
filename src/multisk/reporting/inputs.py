"""Everything that the site shows, read once."""

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from multisk.claims.decided import Decisions
from multisk.claims.measured import Measured
from multisk.methods.recipes import Recipe, load_recipes
from multisk.params import Params, load_params
from multisk.reporting.ledger import Ledger
from multisk.reporting.panels import Scale
from multisk.reporting.studies import StudyResult, read_studies
from multisk.results import (
    COUNT_COLUMNS,
    GALLERY_COLUMNS,
    NMI_COLUMNS,
    STRATEGY_COLUMNS,
    ReportSources,
    ordered,
    read_datasets,
    read_evaluations,
    read_metrics,
    read_training,
)


@dataclass(frozen=True)
class Inputs:
    """Tidy tables; measured rows have the key of the run that made them."""

    sources: ReportSources
    params: Params
    decisions: Decisions
    ledger: Ledger
    metrics: pd.DataFrame
    chance: pd.DataFrame
    sizes: pd.DataFrame
    runs: pd.DataFrame
    training: pd.DataFrame
    ranks: pd.DataFrame
    gallery: pd.DataFrame
    nmi: pd.DataFrame
    counts: pd.DataFrame
    strategies: pd.DataFrame
    datasets: pd.DataFrame
    studies: Mapping[str, StudyResult]
    recipes: Mapping[str, Recipe]

    @classmethod
    def read(cls, sources: ReportSources) -> "Inputs":
        """Read all sources; raise InputError for one that is malformed."""
        params, measured = load_params(sources.params), Measured.read(sources)
        ledger = Ledger(measured.runs)
        return cls(
            sources=sources,
            params=params,
            decisions=Decisions.make(sources, params, measured),
            ledger=ledger,
            metrics=ledger.traced(read_metrics(sources)),
            chance=measured.chance,
            sizes=measured.sizes,
            runs=measured.runs,
            training=ledger.traced(read_training(sources)),
            ranks=ledger.traced(measured.ranks),
            gallery=ledger.traced(read_evaluations(sources, "gallery", GALLERY_COLUMNS)),
            nmi=ledger.traced(read_evaluations(sources, "anchors_nmi", NMI_COLUMNS)),
            counts=ledger.traced(read_evaluations(sources, "anchors_counts", COUNT_COLUMNS)),
            strategies=ledger.traced(read_evaluations(sources, "strategies", STRATEGY_COLUMNS)),
            datasets=read_datasets(sources),
            studies=read_studies(sources),
            recipes=load_recipes(sources.recipes) if sources.recipes.is_dir() else {},
        )

    @property
    def scale(self) -> Scale:
        """The methods of params.yaml and any others that left results, in that order."""
        return Scale(tuple(ordered([*self.params.methods, *self.metrics["method"]], self.params.methods)))
