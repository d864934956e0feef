"""The gallery: captions, and the clips that were found for them."""

from collections.abc import Iterator
from typing import Any

from multisk.corpora.manifest import Corpus
from multisk.reporting import gallery, wording
from multisk.reporting.inputs import Inputs
from multisk.reporting.ledger import run_href
from multisk.reporting.pages.page import Page
from multisk.results import ordered
from multisk.settings.benchmarks import SETTINGS


def build(inputs: Inputs) -> Page:
    """Return retrieval.html."""
    return Page(
        name="retrieval",
        label="Retrieval",
        title="Retrieval gallery",
        summary="A random sample of captions with the clips ranked highest for each.",
        context={"galleries": list(_galleries(inputs)), "seed": gallery.SAMPLE_SEED},
    )


def _galleries(inputs: Inputs) -> Iterator[dict[str, Any]]:
    """Yield a gallery per benchmark: SSPC's, or that of the last method that has one; zero-shot first."""
    for benchmark, entry in inputs.params.benchmarks.items():
        name, title = entry.corpus, wording.benchmark_title(inputs.params, benchmark)
        rows = inputs.gallery[inputs.gallery["benchmark"] == benchmark]
        folder = inputs.sources.corpora / name
        if rows.empty or not (folder / "corpus.json").exists():
            yield {"name": name, "title": title, "queries": None}
            continue
        method = ordered(rows["method"], ["sspc", *reversed(inputs.params.methods)])[0]
        rows_of = rows[rows["method"] == method]
        setting, seed = ordered(rows_of["setting"], SETTINGS)[0], int(rows_of["seed"].min())
        count = inputs.params.report.gallery_queries
        shown = gallery.queries(
            rows, Corpus.open(folder), method=method, setting=setting, seed=seed, count=count
        )
        yield {
            "name": name,
            "title": title,
            "method": wording.method_name(method),
            "setting": setting,
            "seed": seed,
            "file": rows_of["file"].iloc[0],
            "run": run_href(rows_of.loc[rows_of["seed"] == seed, "run_key"].iloc[0]),
            "queries": shown,
        }
