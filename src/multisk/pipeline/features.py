"""Extractors and features of a working copy: what the stages and `multisk extract` have in common."""

import os
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import torch

from multisk.corpora.manifest import Corpus
from multisk.errors import InputError
from multisk.features.clip import clip_digest, clip_name, import_clip_words
from multisk.features.extraction import extract, store_fingerprint
from multisk.features.extractors import Extractors, calibrated, prepare_extractors
from multisk.features.filetable import FILES, read_file_table, summary
from multisk.features.notes import count_notes
from multisk.features.sources import made_with
from multisk.features.store import FeatureStore, fingerprint_of
from multisk.features.wordvectors import import_words, source_digest
from multisk.files import digest, file_digest
from multisk.layout import Layout
from multisk.params import Params, sections
from multisk.pipeline.records import recorded

CODE = ("features", "pipeline/features.py")
WORDS_CODE = ("features/words.py", "features/clip.py", "features/wordvectors.py")
FREQUENT_WORDS = 200_000  # of a published file, which begins with the most frequent ones: 240 MB of vectors


@dataclass(frozen=True)
class Extracted:
    """The features of a corpus, and the table that says what became of each file."""

    corpus: str
    table: Path
    files: pd.DataFrame
    new: bool  # False: all of it was there

    def __str__(self) -> str:
        before = "" if self.new else "extracted before; "
        said = summary(self.files) + count_notes(self.files)
        return f"{self.corpus}: {before}{len(self.files)} files: {said}; see {self.table}"


def make_extractors(params: Params, layout: Layout, calibrating: str) -> None:
    """Write data/extractors; random weights are calibrated on frames of the corpus `calibrating`.

    Raises InputError as `prepare_extractors`.
    """
    corpus = Corpus.open(layout.corpus(calibrating)) if calibrated(params.features) else None
    settings = sections(params, "features.appearance", "features.motion")
    source = corpus.digest if corpus else digest("published weights")
    device = "cuda" if torch.cuda.is_available() else "cpu"
    with recorded(params, layout, "extractors", settings, source, layout.extractors, *CODE) as folder:
        prepare_extractors(corpus, params.features, folder, device)


def make_missing_extractors(params: Params, layout: Layout) -> None:
    """Write data/extractors where there are none, from weights that need no corpus.

    Raises InputError for random weights, and as `prepare_extractors`.
    """
    if (layout.extractors / "extractors.json").exists():
        return
    if calibrated(params.features):
        raise InputError(
            f"{layout.extractors}: no extractors, and params.yaml: features: random weights take their "
            "statistics from a corpus; run dvc repro first, or name published weights (multisk use paper)"
        )
    make_extractors(params, layout, params.clips.pretrain.corpus)


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
    with recorded(params, layout, "words", settings, source, layout.words, *WORDS_CODE) as folder:
        if clip:
            import_clip_words(clip, words, folder)
        else:
            import_words(Path(words.source), [], words, folder, frequent=FREQUENT_WORDS)


def make_features(
    params: Params, layout: Layout, name: str, *, retry: bool = False, keep: bool = False
) -> None:
    """Write data/features/<name> with the extractors of the working copy.

    retry: keep what there is, and read only the files anew that failed
    keep: keep what there is of files that are still the same
    Raises InputError as `extract`.
    """
    corpus, out = Corpus.open(layout.corpus(name)), layout.features(name)
    extractors = file_digest(layout.extractors / "extractors.json")
    settings = sections(params, "features.appearance", "features.motion", "features.shard_megabytes")
    settings |= {"extractors": extractors}
    source = digest([corpus.digest, extractors])
    with recorded(params, layout, "features", settings, source, out, *CODE) as folder:
        if (retry or keep) and not (folder / "index.parquet").exists():
            _share(out, folder)
        extract(corpus, params.features, layout.extractors, folder, retry=retry)


def _share(out: Path, folder: Path) -> None:
    """Let two folders share the files of a store, which are only ever replaced as a whole."""
    # The index goes last: where it is, whatever it names must be, too.
    for path in sorted(out.iterdir(), key=lambda path: path.name == "index.parquet"):
        (folder / path.name).unlink(missing_ok=True)
        os.link(path, folder / path.name)


def extract_corpus(params: Params, layout: Layout, name: str, *, retry: bool = False) -> Extracted:
    """Make the features of a corpus, and the extractors before if there are none.

    Does nothing for features that are there, and goes on with those that were begun. When the corpus has
    changed, the features of files that have not are kept. With `retry` the files that failed are read again.
    Raises InputError for extractors of other settings, for features that were made with other ones (they are
    never replaced unasked), and when no file decodes.
    """
    if not (layout.extractors / "extractors.json").exists():
        make_extractors(params, layout, params.clips.pretrain.corpus)
    out = layout.features(name)
    there, complete = _is_there(params, layout, name)
    if retry and not there:
        raise InputError(
            f"{out}: no features with failed files yet; run multisk extract {name} without --retry"
        )
    if retry or not complete:
        make_features(params, layout, name, retry=retry, keep=there)
    return Extracted(name, out / FILES, read_file_table(FeatureStore.open(out)), new=retry or not complete)


def _is_there(params: Params, layout: Layout, name: str) -> tuple[bool, bool]:
    """Return whether there are features of the corpus, and whether they are of all that it holds now."""
    corpus, out = Corpus.open(layout.corpus(name)), layout.features(name)
    extractors = Extractors.open(layout.extractors, params.features)
    if not (out / "index.parquet").exists():
        return False, False
    if fingerprint_of(out) == store_fingerprint(corpus, extractors):
        return True, True
    if not made_with(out, extractors.fingerprint):
        raise InputError(
            f"{out}: features of other videos or other extractors; move the folder away to extract anew"
        )
    return True, False
