"""The results of a small working copy, as those who show them have them, too."""

from tests.reporting.conftest import complete, sources

__all__ = ["complete", "sources"]
