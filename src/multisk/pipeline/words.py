"""What texts are made of: vectors learnt or published, or the text tower of a CLIP model."""

from pathlib import Path

import typer

from multisk.corpora.manifest import Corpus
from multisk.errors import InputError
from multisk.features.clip import clip_digest, clip_name, import_clip_words
from multisk.features.words import train_words
from multisk.features.wordvectors import import_words, source_digest
from multisk.files import digest
from multisk.layout import Layout
from multisk.params import Params, load_params, sections
from multisk.pipeline.records import recorded

FREQUENT_WORDS = 200_000  # of a published file, which begins with the most frequent ones: 240 MB of vectors


def main() -> None:
    """Write data/words."""
    params, layout = load_params(), Layout()
    words, clip = params.features.words, clip_name(params.features.words.source)
    corpora = [Corpus.open(layout.corpus(name)) for name in _corpora(params)]
    digests = [corpus.digest for corpus in corpora]
    if words.source == "skipgram":
        source = digests[0]
    else:
        source = digest([clip_digest(clip) if clip else source_digest(Path(words.source)), *digests])
    settings = sections(params, "features.words")
    with recorded(params, layout, "words", settings, source, layout.words) as folder:
        if words.source == "skipgram":
            train_words(corpora, words, folder)
        elif clip:
            typer.echo(import_clip_words(clip, words, folder))
        else:
            typer.echo(import_words(Path(words.source), corpora, words, folder))


def _corpora(params: Params) -> list[str]:
    """Return whose texts matter: what is learnt from, or all that is looked up in a published file."""
    source = params.features.words.source
    if clip_name(source):
        return []
    tested = [] if source == "skipgram" else [one.corpus for one in params.benchmarks.values()]
    return list(dict.fromkeys([params.clips.pretrain.corpus, *tested]))


def make_missing_words(params: Params, layout: Layout) -> None:
    """Write data/words where there are none, from a published file or a CLIP model, without any corpus.

    Of a file the most frequent words are kept, for no corpus says which ones are used.
    Raises InputError for words that are learnt, and for a source that is missing or damaged.
    """
    if layout.words.exists():
        return
    words, clip = params.features.words, clip_name(params.features.words.source)
    if words.source == "skipgram":
        raise InputError(
            f"{layout.words}: no word vectors, and params.yaml: features.words.source: skipgram learns them "
            "from a corpus; run dvc repro first, or name a published file"
        )
    settings = sections(params, "features.words") | {"frequent": FREQUENT_WORDS}
    source = clip_digest(clip) if clip else source_digest(Path(words.source))
    with recorded(params, layout, "words", settings, source, layout.words) as folder:
        if clip:
            import_clip_words(clip, words, folder)
        else:
            import_words(Path(words.source), [], words, folder, frequent=FREQUENT_WORDS)
