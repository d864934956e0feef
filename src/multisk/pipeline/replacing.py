"""What an import would drop: a corpus of other files, and its features, stay unless the user says so."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from multisk.corpora.manifest import Corpus
from multisk.errors import InputError
from multisk.features.tree_store import MARK, open_features
from multisk.files import file_digest

REMEDY = "give --replace to drop what is there"


def check_files(corpus: Path, features: Path, files: Sequence[Path]) -> None:
    """Raise InputError where a corpus lies that is made from files which are not among `files`."""
    source = _source(corpus, features)
    if source is None:
        return
    given = {file_digest(path) for path in files}
    made_of = source.get("files", [("unknown files", "unknown")])
    lost = [f"{name} (sha256 {digest[:8]}...)" for name, digest in made_of if digest not in given]
    if lost:
        said = ", ".join(lost)
        raise InputError(
            f"{corpus}: is made from {said}, which this leaves out; name all files together, or {REMEDY}"
        )


def check_tree(corpus: Path, features: Path, identity: Mapping[str, str]) -> None:
    """Raise InputError where a corpus lies that is made from another listing, other folders, or videos.

    identity: `listing` and `tree` as they are written to the source of a corpus
    """
    source = _source(corpus, features)
    if source is None or identity.items() <= source.items():
        return
    what = (
        "another listing or other folders of features; name these, or"
        if "tree" in source
        else "videos or unknown files;"
    )
    raise InputError(f"{corpus}: is made from {what} {REMEDY}")


def _source(corpus: Path, features: Path) -> Mapping[str, Any] | None:
    """Return what the corpus that is there was made from; None where nothing would be lost."""
    try:
        return Corpus.open(corpus).source
    except InputError:
        pass
    try:
        # Features in place are elsewhere: an index of them is soon made again.
        usable = not (features / MARK).is_file() and open_features(features).videos()
    except InputError:
        usable = []
    return {} if usable else None
