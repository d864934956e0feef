"""The report: one page that shows what ran, what came out, and where each number stands."""

from multisk.reporting.page import write_report
from multisk.reporting.results import ReportSources

__all__ = ["ReportSources", "write_report"]
