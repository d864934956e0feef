"""The report: a small site that shows what ran, what came out, and where each number stands."""

from multisk.reporting.site import write_report
from multisk.results import ReportSources

__all__ = ["ReportSources", "write_report"]
