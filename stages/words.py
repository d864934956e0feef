"""Stage `words`: word vectors, trained on the transcripts or read from a published file."""

from pathlib import Path

import typer

from multisk import console
from multisk.corpora.manifest import Corpus
from multisk.features.words import train_words
from multisk.layout import Layout
from multisk.params import load_params
from multisk.pipeline.inputs import sections
from multisk.pipeline.records import recorded
from multisk.published.wordvectors import import_words, source_digest
from multisk.resumable import digest

CODE = ("features/words.py", "published/wordvectors.py")


def main() -> None:
    """Write data/words."""
    params, layout = load_params(), Layout()
    words, clips = params.features.words, params.clips
    names = [clips.pretrain.corpus]
    if words.source != "skipgram":  # a published file is read for all that is said or asked
        names += [clips.youcook2.corpus, clips.msrvtt.corpus]
    corpora = [Corpus.open(layout.corpus(name)) for name in dict.fromkeys(names)]
    identity = corpora[0].digest
    if words.source != "skipgram":
        identity = digest([source_digest(Path(words.source)), *(corpus.digest for corpus in corpora)])
    settings = sections(params, "features.words")
    with recorded(params, layout, "words", settings, identity, layout.words, *CODE) as folder:
        if words.source == "skipgram":
            train_words(corpora, words, folder)
        else:
            typer.echo(import_words(Path(words.source), corpora, words, folder))


if __name__ == "__main__":
    console.run(main)
