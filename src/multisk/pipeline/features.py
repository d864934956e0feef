"""Features of the corpora of a working copy, for the stage and `multisk extract`."""

import os
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from multisk.corpora.manifest import Corpus
from multisk.errors import InputError
from multisk.features.extraction import extract, store_fingerprint
from multisk.features.extractors import Extractors
from multisk.features.filetable import FILES, read_file_table, summary
from multisk.features.sources import made_with
from multisk.features.store import FeatureStore, fingerprint_of
from multisk.files import digest, file_digest
from multisk.layout import Layout
from multisk.params import Params, load_params, sections
from multisk.pipeline.extractors import make_extractors
from multisk.pipeline.records import recorded


def main(corpus: str) -> None:
    """Write data/features/<corpus>."""
    make_features(load_params(), Layout(), corpus)


@dataclass(frozen=True)
class Extracted:
    """The features of a corpus, and the table that says what became of each file."""

    corpus: str
    table: Path
    files: pd.DataFrame
    new: bool  # False: all of it was there

    def __str__(self) -> str:
        before = "" if self.new else "extracted before; "
        return f"{self.corpus}: {before}{len(self.files)} files: {summary(self.files)}; see {self.table}"


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
    with recorded(params, layout, "features", settings, source, out) as folder:
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
