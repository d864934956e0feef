"""Corpora that the project renders itself."""

from miniature.render import render_corpus
from miniature.settings import Miniature
from multisk.errors import InputError
from multisk.layout import Layout
from multisk.params import load_params, sections
from multisk.pipeline.records import recorded

SHARED = ("kind", "seed", "width", "height", "frames_per_second")


def main(corpus: str) -> None:
    """Render howto, youcook2 or msrvtt into data/corpora/mini-<corpus>."""
    params, layout = load_params(), Layout()
    if not isinstance(params.corpora, Miniature):
        raise InputError(
            "params.yaml: corpora.kind: published corpora are not rendered; run multisk preflight"
        )
    settings = sections(params, *(f"corpora.{key}" for key in (*SHARED, corpus)))
    with recorded(params, layout, "corpora", settings, "", layout.corpus(f"mini-{corpus}")) as folder:
        render_corpus(params.corpora, corpus, folder)
