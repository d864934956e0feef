"""Stage `words`: word vectors, trained on the transcripts or read from a file."""

from multisk import console
from multisk.corpora.manifest import Corpus
from multisk.features.words import train_words
from multisk.layout import Layout
from multisk.params import load_params
from multisk.pipeline.inputs import sections
from multisk.pipeline.records import recorded

CODE = ("features/words.py",)


def main() -> None:
    """Write data/words."""
    params, layout = load_params(), Layout()
    corpus = Corpus.open(layout.corpus(params.clips.pretrain.corpus))
    settings = sections(params, "features.words")
    with recorded(params, layout, "words", settings, corpus.digest, layout.words, *CODE) as folder:
        train_words([corpus], params.features.words, folder)


if __name__ == "__main__":
    console.run(main)
