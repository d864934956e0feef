"""A corpus with its features and the word vectors, opened together."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

from multisk.corpora.manifest import Corpus
from multisk.errors import InputError
from multisk.features.clip import ClipWords
from multisk.features.store import FeatureStore
from multisk.features.tree_store import open_features
from multisk.features.words import WordVectors, open_words, words_digest
from multisk.files import digest, file_digest
from multisk.layout import Layout
from multisk.sampling.reader import video_dimension


@dataclass(frozen=True)
class ClipSource:
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


def _same_videos(corpus: Corpus, store: FeatureStore, folder: Path) -> None:
    unknown = set(store.status["video_id"]) - set(corpus.videos["video_id"])
    if unknown:
        raise InputError(
            f"{folder}: features of {len(unknown)} videos that {corpus.name} lacks, such as "
            f"{min(unknown)!r}; extract or import the features again"
        )
