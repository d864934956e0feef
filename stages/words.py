"""Stage `words`: what texts are made of: vectors learnt or published, or the text tower of a CLIP model."""

from pathlib import Path

import typer

from multisk import console
from multisk.corpora.manifest import Corpus
from multisk.features.clip import clip_digest, clip_name, import_clip_words
from multisk.features.words import train_words
from multisk.features.wordvectors import import_words, source_digest
from multisk.files import digest
from multisk.layout import Layout
from multisk.params import Params, load_params, sections
from multisk.pipeline.records import recorded

CODE = ("features/words.py", "features/clip.py", "features/wordvectors.py")


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
    with recorded(params, layout, "words", settings, source, layout.words, *CODE) as folder:
        if words.source == "skipgram":
            train_words(corpora, words, folder)
        elif clip:
            typer.echo(import_clip_words(clip, words, folder))
        else:
            typer.echo(import_words(Path(words.source), corpora, words, folder))


def _corpora(params: Params) -> list[str]:
    """Return whose texts matter: what is learnt from, or all that is looked up in a published file."""
    clips, source = params.clips, params.features.words.source
    if clip_name(source):
        return []
    others = [] if source == "skipgram" else [clips.youcook2.corpus, clips.msrvtt.corpus]
    return list(dict.fromkeys([clips.pretrain.corpus, *others]))


if __name__ == "__main__":
    console.run(main)
