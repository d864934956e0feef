"""A corpus with its features and the word vectors, opened together."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from multisk.corpora.manifest import Corpus
from multisk.errors import InputError
from multisk.features.clip import ClipWords
from multisk.features.store import FeatureStore
from multisk.features.words import WordVectors, open_words, words_digest
from multisk.layout import Layout
from multisk.params import Params, Training
from multisk.published.stores import open_features
from multisk.resumable import digest, file_digest
from multisk.sampling.reader import video_dimension

PACE: Any = {
    "pretrain": Training.PACE,
    "finetune": {"youcook2": Training.PACE, "msrvtt": Training.PACE},
}


@dataclass(frozen=True)
class Inputs:
    """What clips are cut from; `digest` identifies its content."""

    corpus: Corpus
    store: FeatureStore
    words: WordVectors | ClipWords
    digest: str

    @classmethod
    def open(cls, layout: Layout, corpus: str) -> Self:
        """Open a corpus by name; raise InputError for what is missing, damaged or does not fit."""
        manifest = Corpus.open(layout.corpus(corpus))
        store = open_features(layout.features(corpus))
        _same_videos(manifest, store, layout.features(corpus))
        identity = {
            "corpus": manifest.digest,
            "features": file_digest(layout.features(corpus) / "index.parquet"),
            "words": words_digest(layout.words),
        }
        return cls(manifest, store, open_words(layout.words), digest(identity))

    @property
    def dimensions(self) -> dict[str, int]:
        """Widths of text and video tokens, as the models take them."""
        return {"text_dimension": self.words.dimension, "video_dimension": video_dimension(self.store)}


def sections(params: Params, *names: str) -> dict[str, Any]:
    """Return the named sections of the settings (`clips.pretrain`) as plain data, for records.

    Settings that no result depends on (workers) are left out, and so are options that a method does not
    use: what is added to the choice later leaves the records of earlier runs as they are.

    Raises InputError for a section that there is not.
    """
    settings = params.model_dump(mode="json", exclude=PACE, exclude_defaults=True)
    chosen = {}
    for name in names:
        value = settings
        *path, last = name.split(".")
        for part in path:
            value = value[part]
        if last not in value:
            known = ", ".join(value)
            raise InputError(f"params.yaml: {name}: no such entry; known: {known}")
        chosen[name] = value[last]
    return chosen


def _same_videos(corpus: Corpus, store: FeatureStore, folder: Path) -> None:
    unknown = set(store.status["video_id"]) - set(corpus.videos["video_id"])
    if unknown:
        raise InputError(
            f"{folder}: features of {len(unknown)} videos that {corpus.name} lacks, such as "
            f"{min(unknown)!r}; extract or import the features again"
        )
