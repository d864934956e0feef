"""The site: its pages, their data as CSV, the results as Markdown."""

import base64
import hashlib
import re
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from multisk.files import write_text
from multisk.reporting.inputs import Inputs
from multisk.reporting.markdown import results_markdown, summary_markdown
from multisk.reporting.notice import footer
from multisk.reporting.pages import ablations, anchors, claims, cost, results, retrieval, runs
from multisk.reporting.pages.page import Page
from multisk.results import ReportSources

PAGES = (results, ablations, claims, anchors, retrieval, runs, cost)


def write_report(sources: ReportSources, folder: Path) -> None:
    """Write the pages into `site/` of a folder and their data into `site/data/`; beside it what git keeps.

    `results.md`, `summary.md` and `verdicts.csv` hold no times, hosts or keys of runs: equal numbers give
    equal files. A part whose inputs are missing says so in its place. Raises InputError for malformed inputs.
    """
    inputs = Inputs.read(sources)
    pages = [page.build(inputs) for page in PAGES]
    for name, text in zip((page.file for page in pages), _rendered(pages, inputs), strict=True):
        write_text(folder / "site" / name, text)
    for tables in (inputs.decisions.tables, *map(_data, pages)):
        for name, table in tables.items():
            write_text(folder / "site" / "data" / f"{name}.csv", _csv(table))
    write_text(folder / "results.md", results_markdown(inputs))
    write_text(folder / "summary.md", summary_markdown(inputs))
    write_text(folder / "verdicts.csv", _csv(inputs.decisions.tables["verdicts"]))


def _csv(table: pd.DataFrame) -> str:
    return table.to_csv(index=False, lineterminator="\n")


def _data(page: Page) -> Mapping[str, pd.DataFrame]:
    drawn = {Path(figure.data_file).stem: figure.data for figure in page.shown}
    return {**drawn, **page.data}


def _rendered(pages: Sequence[Page], inputs: Inputs) -> list[str]:
    files = resources.files(__package__)
    script = files.joinpath("sort.js").read_text(encoding="utf-8")
    environment = Environment(
        loader=PackageLoader("multisk.reporting", "pages"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["prose"] = prose
    environment.globals.update(
        css=Markup(files.joinpath("style.css").read_text(encoding="utf-8")),
        script=Markup(script),
        script_digest=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        site=inputs.params.report.title,
        site_pages=pages,
        footer=footer(inputs.params),
    )
    return [
        environment.get_template(page.file).render(page=page, figures=page.figures, **page.context)
        for page in pages
    ]


def prose(text: str) -> Markup:
    """Return a text whose `words` are code, as markup."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))
