"""Stage `report`: the page, its data and its tables."""

from multisk import console
from multisk.layout import Layout
from multisk.reporting.page import write_report
from multisk.reporting.results import ReportSources


def main() -> None:
    """Write reports/index.html, reports/results.md and reports/data."""
    write_report(ReportSources.below(), Layout().reports / "index.html")


if __name__ == "__main__":
    console.run(main)
