"""Word vectors of published files: gensim's values, in little memory, damage named."""

import gzip
import logging
import tracemalloc
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from multisk.corpora.manifest import Corpus, write_corpus
from multisk.errors import InputError
from multisk.features import wordvectors
from multisk.features.words import WordVectors
from multisk.features.wordvectors import import_words, length_is_known, read_word_vectors, used_words
from multisk.settings.features import Words

WORDS = ["the", "onion", "Onion", "don't", "knife", "été", "New_York", "pan"]
VECTORS = np.random.RandomState(0).randn(len(WORDS), 5).astype(np.float32)


def binary(newline: bytes = b"", count: int = len(WORDS)) -> bytes:
    entries = [
        word.encode() + b" " + row.tobytes() + newline for word, row in zip(WORDS, VECTORS, strict=True)
    ]
    return f"{count} 5\n".encode() + b"".join(entries)


def text(*, header: bool = True, end: str = "\n") -> bytes:
    lines = [" ".join([word, *map(repr, row.tolist())]) for word, row in zip(WORDS, VECTORS, strict=True)]
    return "".join(line + end for line in ([f"{len(WORDS)} 5"] if header else []) + lines).encode()


LAYOUTS = {
    "google.bin": binary(),
    "word2vec.bin": binary(b"\n"),
    "google.bin.gz": gzip.compress(binary()),
    "word2vec.txt": text(),
    "trailing_spaces.vec": text(end=" \r\n"),
    "glove.txt": text(header=False),
    "glove.txt.gz": gzip.compress(text(header=False)),
}


@pytest.fixture(params=list(LAYOUTS))
def source(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / request.param
    path.write_bytes(LAYOUTS[request.param])
    return path


@pytest.fixture
def corpora(tmp_path: Path) -> list[Corpus]:
    """A narrated and a captioned corpus: 11 words, 3 of which have no vector."""
    videos = pd.DataFrame([("a", "a.mp4", "train", 9.0)], columns=["video_id", "path", "split", "seconds"])
    said = pd.DataFrame([(0.0, 9.0, "the Onion, the zester")], columns=["start", "end", "text"])
    clips = pd.DataFrame(
        [
            ("1", "a", 0.0, 4.0, "train", ["the pan", "zester"]),
            ("2", "a", 4.0, 8.0, "test", ["don't mince été pan"]),
        ],
        columns=["clip_id", "video_id", "start", "end", "split", "captions"],
    )
    shared = {"description": "", "videos": videos}
    return [
        write_corpus(tmp_path / "n", name="n", role="narrated", captions={"a": said}, **shared),
        write_corpus(tmp_path / "c", name="c", role="captioned", clips=clips, **shared),
    ]


def settings(dimension: int = 5) -> Words:
    return Words(source="", dimension=dimension, epochs=1, window=1, min_count=1, seed=0)


def test_every_layout_gives_the_same_vectors(source):
    vocabulary, vectors = read_word_vectors(source, WORDS)
    assert vocabulary == WORDS
    assert np.array_equal(vectors, VECTORS)


def test_only_wanted_words_are_kept_and_case_matters(source):
    vocabulary, vectors = read_word_vectors(source, {"Onion", "pan", "zester", "THE"})
    assert vocabulary == ["Onion", "pan"]
    assert np.array_equal(vectors, VECTORS[[2, 7]])
    assert read_word_vectors(source, {"pan"}, frequent=2)[0] == ["the", "onion", "pan"]


@pytest.mark.parametrize(
    ("name", "is_binary"),
    [
        ("google_news_30.bin.gz", True),
        ("google_news_30.txt", False),
        ("sample_vec.bin", True),
        ("sample_vec.txt", False),
    ],
)
def test_values_are_those_of_gensim(realdata, name, is_binary):
    from gensim.models import KeyedVectors

    path = realdata / "wordvec" / name
    with path.open("rb") as file:
        header = is_binary or len(file.readline().split()) == 2
    expected = KeyedVectors.load_word2vec_format(str(path), binary=is_binary, no_header=not header)
    assert len(expected) >= 30
    vocabulary, vectors = read_word_vectors(path, expected.index_to_key)
    assert vocabulary == expected.index_to_key
    assert np.array_equal(vectors, expected.vectors)


def test_the_first_of_repeated_words_counts(tmp_path):
    path = tmp_path / "twice.txt"
    path.write_text("a 1 2\nb 3 4\na 5 6\n")
    vocabulary, vectors = read_word_vectors(path, "ab")
    assert vocabulary == ["a", "b"]
    assert vectors.tolist() == [[1, 2], [3, 4]]


def test_words_with_spaces_are_not_their_first_part(tmp_path):
    path = tmp_path / "glove.txt"
    path.write_text("by 1 2\nat name@domain.com 3 4\n. . 5 6\nat 7 8\n")
    vocabulary, vectors = read_word_vectors(path, {"at", "by"}, frequent=9)
    assert vocabulary == ["by", "at"]
    assert vectors.tolist() == [[1, 2], [7, 8]]


def test_memory_grows_with_the_words_kept_alone(tmp_path):
    path, words, dimension = tmp_path / "large.bin", 40_000, 300
    rows = np.random.RandomState(0).randn(100, dimension).astype(np.float32)
    with path.open("wb") as file:
        file.write(f"{words} {dimension}\n".encode())
        for number in range(words):
            file.write(f"w{number} ".encode() + rows[number % 100].tobytes())
    assert path.stat().st_size > 48e6
    wanted = {f"w{number}" for number in range(7, words, 80)}
    tracemalloc.start()
    vocabulary, vectors = read_word_vectors(path, wanted)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert set(vocabulary) == wanted
    assert np.array_equal(vectors[-1], rows[int(vocabulary[-1][1:]) % 100])
    assert peak < 10e6


def test_unknown_words_are_counted(source, corpora, tmp_path, caplog):
    assert used_words(corpora)["the"] == 3
    with caplog.at_level(logging.INFO):
        report = import_words(source, corpora, settings(), tmp_path / "words")
    assert (report.kept, report.used) == (5, 11)
    assert report.unknown == {"zester": 2, "mince": 1}
    assert "3 of 11 uses (27.3 %), most often: zester (2), mince (1)" in caplog.text
    assert (tmp_path / "words" / "unknown.csv").read_text() == "word,count\nzester,2\nmince,1\n"
    vectors = WordVectors.open(tmp_path / "words")
    assert vectors.tokens("The onion, the Onion don't été") == ["the", "Onion", "don't", "été"]
    assert np.array_equal(vectors.encode("Onion", 1)[0][0], VECTORS[2])


def test_unchanged_sources_are_not_read_again(source, corpora, tmp_path):
    first = import_words(source, corpora, settings(), tmp_path / "words")
    stamp = (tmp_path / "words" / "vectors.safetensors").stat().st_mtime_ns
    assert import_words(source, corpora, settings(), tmp_path / "words") == first
    assert (tmp_path / "words" / "vectors.safetensors").stat().st_mtime_ns == stamp
    import_words(source, corpora[1:], settings(), tmp_path / "words")
    assert WordVectors.open(tmp_path / "words").tokens("Onion the") == ["the"]


@pytest.mark.parametrize("keep", [-30, 40, 8, 4, 0])
def test_cut_off_files_are_named(source, corpora, tmp_path, keep):
    source.write_bytes(source.read_bytes()[:keep])
    with pytest.raises(InputError, match=source.name) as caught:
        import_words(source, corpora, settings(), tmp_path / "words")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (binary()[:-1], "ends after 7 of 8 words: cut off"),
        (gzip.compress(binary())[:-1], "damaged or cut off"),
        (binary(count=9), "ends after 8 of 9 words: cut off"),
        (b"9 2\na 1 2\n", "ends after 1 of 9 words: cut off"),
        (b"a 1 2\nb 1\n", "word 2: 1 of 2 numbers: cut off"),
        (b"a 1 2\nb 1 x\n", "b: its vector is not made of 2 finite numbers"),
        (b"a 1 2\nb 1 nan\n", "b: its vector is not made of 2 finite numbers"),
        (b"<html>\n", "begins neither as word2vec nor as GloVe"),
        (b"\x89PNG\r\n\x1a\n123", "begins neither as word2vec nor as GloVe"),
        (b"8 0\n", "says that vectors have 0 numbers"),
        (b"2 3\n" + bytes(20_000), "damaged after 0 of 2 words"),
        (b"\x1f\x8b\x08nothing", "damaged or cut off"),
    ],
)
def test_damage_is_named(tmp_path, content, message):
    path = tmp_path / "vectors.bin"
    path.write_bytes(content)
    with pytest.raises(InputError, match=rf"vectors\.bin: {message}"):
        read_word_vectors(path, {"a", "b", *WORDS})


def test_what_does_not_fit_the_settings_is_named(source, corpora, tmp_path):
    with pytest.raises(InputError, match=rf"features\.words\.dimension: .*{source.name} has 5, found 300"):
        import_words(source, corpora, settings(300), tmp_path / "words")
    with pytest.raises(InputError, match=r"features\.words\.source: .*none\.bin: No such file"):
        import_words(tmp_path / "none.bin", corpora, settings(), tmp_path / "words")
    source.write_bytes(b"a 1 2 3 4 5\n")
    with pytest.raises(InputError, match="none of the 7 words of the corpora"):
        import_words(source, corpora, settings(), tmp_path / "words")


def test_the_checksum_of_a_packed_file_is_compared(tmp_path, monkeypatch):
    monkeypatch.setattr(wordvectors, "CHUNK", 1 << 10)  # so that the last word is read before the checksum
    count, rng = 100, np.random.default_rng(0)
    entries = (f"word{k} ".encode() + rng.standard_normal(300, np.float32).tobytes() for k in range(count))
    packed = bytearray(gzip.compress(f"{count} 300\n".encode() + b"".join(entries)))
    path = tmp_path / "vectors.bin.gz"
    path.write_bytes(packed)
    assert len(read_word_vectors(path, {"word1"})[0]) == 1
    packed[-8] ^= 1
    path.write_bytes(packed)
    with pytest.raises(InputError, match=r"vectors\.bin\.gz: damaged or cut off"):
        read_word_vectors(path, {"word1"})


@pytest.mark.parametrize("name", list(LAYOUTS))
def test_only_binary_files_that_are_not_packed_say_how_long_they_are(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(LAYOUTS[name])
    assert length_is_known(path) == name.endswith(".bin")
