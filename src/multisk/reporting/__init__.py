"""The report: a small site that shows what ran, what came out, and where each number stands."""

from multisk.reporting.results import ReportSources
from multisk.reporting.site import write_report

__all__ = ["ReportSources", "write_report"]
