"""Word vectors: the same on every machine, cased as written."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from multisk.corpora.manifest import Corpus, write_corpus
from multisk.errors import InputError
from multisk.features.words import WordVectors, train_words
from multisk.settings.features import Words


def words(**changes) -> Words:
    values = {"source": "skipgram", "dimension": 8, "epochs": 5, "window": 2, "min_count": 1, "seed": 0}
    return Words.model_validate({**values, **changes})


def narrated(folder: Path, texts: dict[str, str], splits: dict[str, str] | None = None) -> Corpus:
    rows = [(video, f"{video}.mp4", (splits or {}).get(video, "train"), 9.0) for video in texts]
    captions = {
        video: pd.DataFrame([(0.0, 5.0, text)], columns=["start", "end", "text"])
        for video, text in texts.items()
    }
    videos = pd.DataFrame(rows, columns=["video_id", "path", "split", "seconds"])
    return write_corpus(folder, name="c", role="narrated", description="", videos=videos, captions=captions)


def test_tokens_and_encoding(tmp_path: Path) -> None:
    corpus = narrated(tmp_path / "c", {"v": "don't stir Heat the pan the oil"})
    train_words([corpus], words(), tmp_path / "words")
    vectors = WordVectors.open(tmp_path / "words")
    assert vectors.dimension == 8
    assert len(vectors) == 6
    assert vectors.tokens("Don't heat, don't STIR: Heat the 'pan' & oil!") == ["don't", "Heat", "the", "oil"]
    array, mask = vectors.encode("unknown pan, the spoon oil", max_words=4)
    assert array.dtype == np.float32
    assert array.shape == (4, 8)
    assert mask.tolist() == [True, True, True, False]
    assert not array[3].any()
    np.testing.assert_array_equal(array[0], vectors.encode("pan", 1)[0][0])
    np.testing.assert_array_equal(vectors.encode("the the pan pan", 2)[0], array[[1, 1]])
    assert not vectors.encode("", 4)[1].any()


def test_words_that_keep_the_same_company_are_alike(tmp_path: Path) -> None:
    random = np.random.RandomState(0)
    company = {"onion": "cut peel knife", "carrot": "cut peel knife", "water": "boil pour pot"}
    sentences = []
    for _ in range(400):
        thing = random.choice(list(company))
        sentences.append(" ".join(random.permutation([thing, *company[thing].split()])))
    corpus = narrated(tmp_path / "c", {f"v{i}": sentence for i, sentence in enumerate(sentences)})
    train_words([corpus], words(epochs=20), tmp_path / "words")
    onion, carrot, water = WordVectors.open(tmp_path / "words").encode("onion carrot water", 3)[0]
    assert cosine(onion, carrot) > cosine(onion, water) + 0.2


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


def test_only_training_videos_speak(tmp_path: Path) -> None:
    corpus = narrated(tmp_path / "c", {"a": "cut it", "b": "secret word"}, {"b": "test"})
    train_words([corpus], words(), tmp_path / "words")
    assert sorted(WordVectors.open(tmp_path / "words").vocabulary) == ["cut", "it"]


def test_same_bytes_whatever_the_hash_seed(tmp_path: Path) -> None:
    narrated(tmp_path / "c", {"v": "cut the onion and fry the onion in the pan " * 5})
    script = """
import sys
from pathlib import Path
from multisk.corpora.manifest import Corpus
from multisk.features.words import train_words
from multisk.settings.features import Words
settings = Words(source="skipgram", dimension=8, epochs=3, window=2, min_count=1, seed=0)
train_words([Corpus.open(sys.argv[1])], settings, sys.argv[2])
"""
    for seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        command = [sys.executable, "-c", script, str(tmp_path / "c"), str(tmp_path / seed)]
        subprocess.run(command, env=environment, check=True)
    for name in ("vectors.safetensors", "vocabulary.txt"):
        assert (tmp_path / "1" / name).read_bytes() == (tmp_path / "2" / name).read_bytes()


def test_words_said_too_rarely_are_named(tmp_path: Path) -> None:
    corpus = narrated(tmp_path / "c", {"v": "cut the onion"})
    with pytest.raises(InputError, match=r"features\.words\.min_count: no word is said 2 times"):
        train_words([corpus], words(min_count=2), tmp_path / "words")


def test_names_damaged_folders(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"vectors\.safetensors: no such file"):
        WordVectors.open(tmp_path)
    train_words([narrated(tmp_path / "c", {"v": "cut the onion"})], words(), tmp_path / "words")
    shutil.copytree(tmp_path / "words", tmp_path / "other")
    (tmp_path / "other" / "vocabulary.txt").write_text("cut\nthe\n")
    with pytest.raises(InputError, match=r"vocabulary\.txt: 2 words for 3 vectors"):
        WordVectors.open(tmp_path / "other")
    (tmp_path / "words" / "vectors.safetensors").write_bytes(b"damaged")
    with pytest.raises(InputError, match="damaged word vectors"):
        WordVectors.open(tmp_path / "words")
