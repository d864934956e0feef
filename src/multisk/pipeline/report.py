"""The site, its data and its tables."""

from multisk.layout import Layout
from multisk.reporting.site import write_report
from multisk.results import ReportSources


def main() -> None:
    """Write the site into reports/site/, and its tables and verdicts into reports/."""
    write_report(ReportSources.below(), Layout().reports)
