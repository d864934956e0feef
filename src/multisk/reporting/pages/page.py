"""What a page is to the site that it belongs to."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from multisk.reporting.panels import Figure


@dataclass(frozen=True)
class Page:
    """A page: its template's name and context, its figures, and further data that it offers."""

    name: str  # of its template
    label: str  # in the navigation
    title: str
    summary: str
    context: Mapping[str, Any]
    figures: Mapping[str, Figure | None] = field(default_factory=dict)
    data: Mapping[str, pd.DataFrame] = field(default_factory=dict)

    @property
    def shown(self) -> list[Figure]:
        """Its figures that have something to show."""
        return [figure for figure in self.figures.values() if figure and figure.panels]

    @property
    def file(self) -> str:
        """The name of its file."""
        return f"{self.name}.html"
