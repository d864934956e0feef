"""Stage `corpora`: render one of the small corpora of narrated videos."""

from multisk import console
from multisk.corpora.miniature import render_corpus
from multisk.layout import Layout
from multisk.params import load_params
from multisk.resumable import resumable


def main(corpus: str) -> None:
    """Render howto, youcook2 or msrvtt into data/corpora/mini-<corpus>."""
    settings = load_params().corpora
    identity = settings.model_dump(mode="json", include={corpus}, exclude={"workers"})
    shared = settings.model_dump(mode="json", include={"kind", "seed", "width", "height", "frames_per_second"})
    with resumable(Layout().corpus(f"mini-{corpus}"), identity | shared) as folder:
        render_corpus(settings, corpus, folder)


if __name__ == "__main__":
    console.run(main)
