"""Word vectors: how they are looked up, and skip-gram trained on transcripts.

data/words/vectors.safetensors    tensor `vectors` f32 [V, D]
vocabulary.txt         V lines, one word each
"""

import re
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Self

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from multisk.corpora.manifest import Corpus
from multisk.errors import InputError
from multisk.features.clip import ClipWords
from multisk.files import file_digest
from multisk.settings.features import Words

TOKEN = re.compile(r"[\w']+")
LONGEST_SENTENCE = 1000  # gensim cuts off what goes beyond 10,000 words without a word


class WordVectors:
    """A vocabulary and its vectors, which stay in the file until they are looked up."""

    def __init__(self, vocabulary: list[str], vectors: np.ndarray) -> None:
        self.vocabulary = vocabulary
        self._vectors = vectors
        self._rows = {word: row for row, word in enumerate(vocabulary)}

    @classmethod
    def open(cls, folder: Path | str) -> Self:
        """Open the folder that `train_words` wrote; raise InputError if it is missing or damaged."""
        vectors, vocabulary = Path(folder) / "vectors.safetensors", Path(folder) / "vocabulary.txt"
        for path in (vectors, vocabulary):
            if not path.is_file():
                raise InputError(f"{path}: no such file; run the words stage first")
        try:
            # PyTorch's reader maps the file into memory; NumPy's would copy all of it.
            with safe_open(vectors, framework="pt") as file:
                array = file.get_tensor("vectors").numpy()
            words = vocabulary.read_text(encoding="utf-8").removesuffix("\n").split("\n")
        except (SafetensorError, OSError, UnicodeDecodeError) as error:
            raise InputError(f"{folder}: damaged word vectors ({error}); run the words stage") from None
        if len(words) != len(array):
            raise InputError(
                f"{vocabulary}: {len(words)} words for {len(array)} vectors; run the words stage"
            )
        return cls(words, array)

    @property
    def dimension(self) -> int:
        """Width of a vector."""
        return self._vectors.shape[1]

    def __len__(self) -> int:
        return len(self._rows)

    def __contains__(self, word: str) -> bool:
        return word in self._rows

    def tokens(self, text: str) -> list[str]:
        """Split a text into the words that the vocabulary has, in their own spelling and case."""
        return [word for word in TOKEN.findall(text) if word in self._rows]

    def unknown(self, text: str) -> list[str]:
        """Return the words of a text that have no vector."""
        return [word for word in TOKEN.findall(text) if word not in self._rows]

    def encode(self, text: str, max_words: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the vectors f32 [max_words, D] of a text's first known words, and which rows are words.

        Source: paper, inputs; words without a vector are dropped before counting, as released.
        """
        rows = [self._rows[word] for word in self.tokens(text)[:max_words]]
        vectors = np.zeros((max_words, self.dimension), np.float32)
        vectors[: len(rows)] = self._vectors[rows]
        return vectors, np.arange(max_words) < len(rows)


def open_words(folder: Path | str) -> WordVectors | ClipWords:
    """Open what the words stage wrote; raise InputError if it is missing or damaged."""
    return ClipWords.open(folder) if (Path(folder) / "config.json").is_file() else WordVectors.open(folder)


def words_digest(folder: Path | str) -> str:
    """Return the sha256 of the numbers that texts become; raise InputError if there are none."""
    weights = Path(folder) / "model.safetensors"
    return file_digest(weights if weights.is_file() else Path(folder) / "vectors.safetensors")


def train_words(corpora: Iterable[Corpus], settings: Words, out: Path | str) -> None:
    """Learn the words that are said in the training videos of the narrated `corpora`; write them to `out`.

    The same words give the same vectors, on any machine. Raises InputError when there are none to learn.
    Vectors that were published are read by `multisk.features.wordvectors`.
    """
    vocabulary, vectors = _skipgram(list(_sentences(corpora)), settings)
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    (out / "vocabulary.txt").write_text("\n".join(vocabulary) + "\n", encoding="utf-8")
    (out / "vectors.safetensors").write_bytes(save({"vectors": np.ascontiguousarray(vectors, np.float32)}))


def _sentences(corpora: Iterable[Corpus]) -> Iterator[list[str]]:
    for corpus in corpora:
        if corpus.role != "narrated":
            continue
        for video in corpus.videos.loc[corpus.videos["split"] == "train", "video_id"]:
            # Captions break sentences anywhere, so a window reaches over their borders.
            words = TOKEN.findall(" ".join(corpus.captions(video)["text"]))
            yield from (words[i : i + LONGEST_SENTENCE] for i in range(0, len(words), LONGEST_SENTENCE))


def _skipgram(sentences: list[list[str]], settings: Words) -> tuple[list[str], np.ndarray]:
    from gensim.models import Word2Vec

    try:
        model = Word2Vec(
            sentences,
            vector_size=settings.dimension,
            window=settings.window,
            min_count=settings.min_count,
            epochs=settings.epochs,
            sg=1,
            seed=settings.seed,
            workers=1,  # more threads would update in an order that changes from run to run
            hashfxn=_stable_hash,
        )
    except RuntimeError:
        raise InputError(
            f"params.yaml: features.words.min_count: no word is said {settings.min_count} times; lower it"
        ) from None
    return list(model.wv.index_to_key), model.wv.vectors


def _stable_hash(word: str) -> int:
    return zlib.crc32(word.encode())
