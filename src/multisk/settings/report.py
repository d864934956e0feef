"""The settings of the site."""

from multisk.settings import Count, Section


class Report(Section):
    """The generated page."""

    title: str
    gallery_queries: Count
