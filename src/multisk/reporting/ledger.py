"""Which run made which numbers, and where the site shows it."""

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from multisk.reporting import wording
from multisk.reporting.cells import Link

PLACE = ["stage", "method", "benchmark", "seed"]


@dataclass(frozen=True)
class Ledger:
    """The run records, by what they were for."""

    runs: pd.DataFrame  # of read_runs

    def links_to(self, records: Iterable[str]) -> list[Link]:
        """Return links to runs, by their records' files."""
        chosen = self.runs[self.runs["file"].isin(list(records))]
        return [Link(_name(run), run_href(run["run_key"])) for run in chosen.to_dict("records")]

    def traced(self, data: pd.DataFrame) -> pd.DataFrame:
        """Add the column run_key: of the run of a row's stage, or of the evaluation where it names none.

        One evaluation covers all benchmarks, so its place has none. Empty where no record was left.
        """
        keys = self.runs.drop_duplicates(PLACE, keep="last").set_index(PLACE)["run_key"]
        places = data if "stage" in data else data.assign(stage="evaluate", benchmark="")
        found = keys.reindex(pd.MultiIndex.from_frame(places[PLACE]))
        return data.assign(run_key=found.fillna("").to_numpy())


def _name(run: Mapping[Hashable, Any]) -> str:
    seed = "" if pd.isna(run["seed"]) else f"{run['seed']:.0f}"
    return " ".join(filter(None, (wording.method_name(run["method"]), run["benchmark"], seed)))


def seed_links(traced: pd.DataFrame, name: str = "seed") -> list[Link]:
    """Return a link to the run of each seed."""
    runs = traced.drop_duplicates("seed").sort_values("seed").to_dict("records")
    return [Link(f"{name} {run['seed']}", run_href(run["run_key"])) for run in runs]


def run_href(run_key: str) -> str:
    """Return the link to a run on the page of runs; to the page alone where no record was left."""
    return f"runs.html#{run_anchor(run_key)}" if run_key else "runs.html"


def run_anchor(run_key: str) -> str:
    """Return the id of a run's row on the page of runs."""
    return f"run-{run_key}"
