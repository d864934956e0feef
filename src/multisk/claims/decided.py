"""What the measurements of a working copy say: to the claims, and beside the published numbers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import pandas as pd

from multisk.benchmarks.definition import Definition, load_definition
from multisk.claims.declared import Claims
from multisk.claims.judged import ClaimResult, claims_frame, judge, scales_frame, verdicts_frame
from multisk.claims.measured import Measured
from multisk.claims.published import ComparedNumber, against_measured, published_frame
from multisk.params import Params
from multisk.results import ReportSources
from multisk.settings import read_checked


@dataclass(frozen=True)
class Decisions:
    """Verdicts and comparisons, decided once for all who show them.

    Attributes:
        declared: None without such a file.
        published: the benchmarks of params.yaml that have a file.
        claims, compared: a verdict per declared claim, a comparison per published number.
    """

    declared: Claims | None
    claims: Sequence[ClaimResult]
    published: Mapping[str, Definition]
    compared: Sequence[ComparedNumber]

    @classmethod
    def make(cls, sources: ReportSources, params: Params, measured: Measured) -> Self:
        """Decide; raise InputError for files or results that are malformed."""
        declared = read_checked(sources.claims, Claims) if sources.claims.exists() else None
        found = {name: load_definition(name, sources.benchmarks) for name in params.benchmarks}
        published = {name: definition for name, definition in found.items() if definition}
        return cls(
            declared=declared,
            claims=judge(declared, measured, params.profile) if declared else [],
            published=published,
            compared=against_measured(published, measured, params),
        )

    @cached_property
    def tables(self) -> Mapping[str, pd.DataFrame]:
        """The same as tables, by the names of their files."""
        return {
            "claims": claims_frame(self.claims),
            "verdicts": verdicts_frame(self.claims),
            "scales": scales_frame(self.claims),
            "published": published_frame(self.compared),
        }
