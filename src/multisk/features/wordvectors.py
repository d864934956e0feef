"""Published word vectors, read in one pass that keeps only the words in use.

Three formats, each also in gzip, told apart by their content:

    word2vec binary    a line with V and D, then V times: word, space, D floats; a line break may follow
                       each (word2vec.c) or not (GoogleNews)
    word2vec text      a line with V and D, then V lines: word and D numbers
    GloVe              such lines, without the first

The vectors and the choice among repeated words (the first one) are gensim's.
"""

import csv
import gzip
import logging
import zlib
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np
from safetensors.numpy import save_file
from tqdm import tqdm

from multisk.corpora.manifest import Corpus
from multisk.errors import InputError
from multisk.features.words import TOKEN
from multisk.files import digest, file_digest, read_json, write_json
from multisk.settings.features import Words

log = logging.getLogger(__name__)

CHUNK = 1 << 20
LONGEST_LINE = 1 << 20
LONGEST_WORD = 10_000  # bytes; GoogleNews' longest has 98
LARGEST_DIMENSION = 100_000
REMEDY = "fetch it again"

Entry = tuple[bytes, bytes]  # word, vector: little-endian floats, or numbers as text


@dataclass(frozen=True)
class WordReport:
    """What the corpora say and which part of it has vectors.

    Attributes:
        kept: words with a vector.
        used: times that any word is used in the corpora.
        unknown: words without a vector and how often each is used.
    """

    kept: int
    used: int
    unknown: Counter[str]

    def __str__(self) -> str:
        lost = self.unknown.total()
        share = 100 * lost / max(self.used, 1)
        often = ", ".join(f"{word} ({count})" for word, count in self.unknown.most_common(5))
        examples = f", most often: {often}" if often else ""
        return (
            f"{self.kept} words have vectors; {len(self.unknown)} have none, which make {lost} of "
            f"{self.used} uses ({share:.1f} %){examples}"
        )


def import_words(
    source: Path, corpora: Iterable[Corpus], settings: Words, out: Path, *, frequent: int = 0
) -> WordReport:
    """Write the vectors of the words that `corpora` use to the folder `out`, as `WordVectors` reads it.

    `frequent` keeps besides the first so many words of the file (published files begin with the most
    frequent ones), for questions in words that no corpus has. Beside the vectors stand `words.json` (source
    and counts) and `unknown.csv` (words without a vector, and how often each is used). A folder that was
    made from the same is left as it is. Raises InputError for a file that is missing, damaged, cut off, or
    of another dimension than `settings` says.
    """
    used = used_words(corpora)
    identity = digest([_identity(source), sorted(used), settings.dimension, frequent])
    if (out / "words.json").exists() and read_json(out / "words.json").get("identity") == identity:
        return _report(used, (out / "vocabulary.txt").read_text(encoding="utf-8").split())
    vocabulary, vectors = read_word_vectors(source, used, frequent=frequent)
    if vectors.shape[1] != settings.dimension:
        raise InputError(
            f"params.yaml: features.words.dimension: {source} has {vectors.shape[1]}, "
            f"found {settings.dimension}"
        )
    if not vocabulary:
        raise InputError(f"{source}: none of the {len(used)} words of the corpora has a vector there")
    report = _report(used, vocabulary)
    _write(out, vocabulary, vectors, report)
    counts = {"kept": report.kept, "used": report.used, "unknown": report.unknown.total()}
    write_json(out / "words.json", {"identity": identity, "source": source.name, **counts})
    log.info("%s: %s", source, report)
    return report


def source_digest(source: Path) -> str:
    """Return the sha256 of a file with word vectors; raise InputError when there is none."""
    _identity(source)
    return file_digest(source)


def file_dimension(path: Path) -> int:
    """Return how wide the vectors of a file are, by its beginning.

    Raises InputError as reading does, and for a binary file that is shorter than its beginning says.
    """
    with _opened(path) as stream:
        count, dimension, _, binary = _entries(stream, path)
        shortest = (count or 0) * (len("w ") + 4 * dimension)
        if binary and not isinstance(stream, gzip.GzipFile) and path.stat().st_size < shortest:
            raise InputError(
                f"{path}: {path.stat().st_size:,} of at least {shortest:,} bytes: cut off; {REMEDY}"
            )
        return dimension


def length_is_known(path: Path) -> bool:
    """Return whether a file says how long it is, so that `file_dimension` sees if it is cut off."""
    with _opened(path) as stream:
        return _entries(stream, path)[3] and not isinstance(stream, gzip.GzipFile)


def used_words(corpora: Iterable[Corpus]) -> Counter[str]:
    """Count the words of all captions, in their own case."""
    used: Counter[str] = Counter()
    for corpus in corpora:
        for text in tqdm(_texts(corpus), desc=f"words of {corpus.name}", unit="text", disable=None):
            used.update(TOKEN.findall(text))
    return used


def read_word_vectors(
    path: Path, wanted: Collection[str], *, frequent: int = 0
) -> tuple[list[str], np.ndarray]:
    """Read the vectors of the wanted words, and of the file's first `frequent` ones.

    Returns the words in the order of the file and their vectors f32 [V, D]. Case matters. The memory taken
    grows with the words that are kept, not with the file.
    """
    kept: dict[bytes, None] = {}
    chosen = {word.encode() for word in wanted}
    with _opened(path) as stream:
        count, dimension, entries, binary = _entries(stream, path)
        # Memory that is never written to is never taken, so this may be larger than what is kept.
        vectors = np.empty((len(chosen) + frequent, dimension), np.float32)
        bar = tqdm(entries, total=count, desc=path.name, unit="word", disable=None)
        for number, (word, vector) in enumerate(bar):
            if (word in chosen or number < frequent) and word not in kept and _is_text(word):
                vectors[len(kept)] = _parse(vector, dimension, binary, path, word)
                kept[word] = None
        while stream.read(CHUNK):
            pass  # of a gzip the checksum is compared at the end
    return [word.decode() for word in kept], vectors[: len(kept)]


# --- the file ----------------------------------------------------------------------------------


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    try:
        with path.open("rb") as plain:
            packed = plain.read(2) == b"\x1f\x8b"
        with gzip.open(path) if packed else path.open("rb", CHUNK) as stream:
            yield cast(BinaryIO, stream)
    except FileNotFoundError:
        raise InputError(
            f"params.yaml: features.words.source: {path}: no such file; check the path"
        ) from None
    except (EOFError, OSError, zlib.error) as error:
        raise InputError(f"{path}: damaged or cut off ({error}); {REMEDY}") from None


def _entries(stream: BinaryIO, path: Path) -> tuple[int | None, int, Iterator[Entry], bool]:
    """Recognise the format; return the number of words if it is said, D, the entries, and if binary."""
    first = stream.readline(LONGEST_LINE)
    fields = first.split()
    if len(fields) == 2 and all(field.isdigit() for field in fields):
        count, dimension = map(int, fields)
        if not 0 < dimension <= LARGEST_DIMENSION:
            raise InputError(f"{path}: says that vectors have {dimension} numbers; {REMEDY}")
        ahead = stream.read(CHUNK)
        if _is_binary(ahead):
            return count, dimension, _binary_entries(stream, ahead, count, dimension, path), True
        return count, dimension, _text_entries(_lines(stream, ahead), count, dimension, path), False
    dimension = len(fields) - 1
    if dimension < 1 or _is_binary(first) or not _are_numbers(fields[1:]):
        raise InputError(f"{path}: begins neither as word2vec nor as GloVe; check that it is the right file")
    return None, dimension, _text_entries(_lines(stream, first), None, dimension, path), False


def _binary_entries(
    stream: BinaryIO, ahead: bytes, count: int, dimension: int, path: Path
) -> Iterator[Entry]:
    size, position = 4 * dimension, 0
    for number in range(count):
        space = ahead.find(b" ", position)
        while space < 0 or len(ahead) < space + 1 + size:
            if space < 0 and len(ahead) - position > LONGEST_WORD:
                raise InputError(f"{path}: damaged after {number} of {count} words; {REMEDY}")
            more = stream.read(CHUNK)
            if not more:
                raise InputError(f"{path}: ends after {number} of {count} words: cut off; {REMEDY}")
            ahead, position = ahead[position:] + more, 0
            space = ahead.find(b" ")
        stop = space + 1 + size
        yield ahead[position:space].lstrip(b"\n"), ahead[space + 1 : stop]
        position = stop


def _text_entries(lines: Iterator[bytes], count: int | None, dimension: int, path: Path) -> Iterator[Entry]:
    number = 0
    for line in filter(None, map(bytes.rstrip, lines)):
        spaces = line.count(b" ")
        if spaces < dimension:
            raise InputError(f"{path}: word {number + 1}: {spaces} of {dimension} numbers: cut off; {REMEDY}")
        # Some words of GloVe have spaces in them, so numbers are counted from the end.
        word = line.partition(b" ")[0] if spaces == dimension else line.rsplit(b" ", dimension)[0]
        yield word, line[len(word) + 1 :]
        number += 1
    if count is not None and number < count:
        raise InputError(f"{path}: ends after {number} of {count} words: cut off; {REMEDY}")


def _lines(stream: BinaryIO, ahead: bytes) -> Iterator[bytes]:
    """Give the lines of what was read ahead and of the rest."""
    *whole, part = ahead.split(b"\n")
    yield from whole
    yield part + stream.readline()
    yield from stream


def _parse(vector: bytes, dimension: int, binary: bool, path: Path, word: bytes) -> np.ndarray:
    try:
        if binary:
            values = np.frombuffer(vector, "<f4", dimension)
        else:
            values = np.array([float(number) for number in vector.split()], np.float32)
        if len(values) == dimension and np.isfinite(values).all():
            return values
    except ValueError:
        pass
    raise InputError(
        f"{path}: {word.decode()}: its vector is not made of {dimension} finite numbers; {REMEDY}"
    )


def _is_binary(sample: bytes) -> bool:
    # Text has no control characters but tabs and line breaks; binary floats soon have one.
    return any(byte < 9 or 13 < byte < 32 for byte in sample[:4096])


def _are_numbers(fields: list[bytes]) -> bool:
    try:
        return all(np.isfinite(float(field)) for field in fields)
    except ValueError:
        return False


def _is_text(word: bytes) -> bool:
    try:
        return len(word.decode().split()) == 1
    except UnicodeDecodeError:
        return False


# --- what is kept ------------------------------------------------------------------------------


def _texts(corpus: Corpus) -> Iterator[str]:
    if corpus.clips is not None:
        for captions in corpus.clips["captions"]:
            yield from captions
        return
    for video in corpus.videos["video_id"]:
        yield from corpus.captions(video)["text"]


def _identity(source: Path) -> list[str | int]:
    try:
        status = source.stat()
    except OSError as error:
        raise InputError(
            f"params.yaml: features.words.source: {source}: {error.strerror}; name a word2vec or GloVe file"
        ) from None
    return [source.name, status.st_size, status.st_mtime_ns]


def _report(used: Counter[str], vocabulary: Iterable[str]) -> WordReport:
    known = set(vocabulary)
    unknown = Counter({word: count for word, count in used.items() if word not in known})
    return WordReport(len(known), used.total(), unknown)


def _write(out: Path, vocabulary: list[str], vectors: np.ndarray, report: WordReport) -> None:
    out.mkdir(parents=True, exist_ok=True)
    (out / "words.json").unlink(missing_ok=True)  # it comes last and says that the rest is complete
    save_file({"vectors": vectors}, out / "vectors.safetensors")
    (out / "vocabulary.txt").write_text("\n".join(vocabulary) + "\n", encoding="utf-8")
    with (out / "unknown.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("word", "count"))
        writer.writerows(report.unknown.most_common())
