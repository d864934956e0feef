"""Stage `features`: appearance, motion and log-mel features of a corpus."""

from multisk import console
from multisk.corpora.manifest import Corpus
from multisk.features.extraction import extract
from multisk.layout import Layout
from multisk.params import load_params
from multisk.pipeline.inputs import sections
from multisk.pipeline.records import recorded
from multisk.resumable import digest, file_digest

CODE = ("features",)


def main(corpus: str) -> None:
    """Write data/features/<corpus>."""
    params, layout = load_params(), Layout()
    opened = Corpus.open(layout.corpus(corpus))
    settings = sections(params, "features.appearance", "features.motion", "features.shard_megabytes")
    source = digest([opened.digest, file_digest(layout.extractors / "extractors.json")])
    with recorded(params, layout, "features", settings, source, layout.features(corpus), *CODE) as folder:
        extract(opened, params.features, layout.extractors, folder)


if __name__ == "__main__":
    console.run(main)
