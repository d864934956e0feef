"""The stage `words`, run as the pipeline runs it, with vectors that were published."""

import gzip
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from ruamel.yaml import YAML

from multisk.corpora.manifest import write_corpus
from multisk.features.words import WordVectors
from multisk.files import read_json
from multisk.params.profiles import compose

REPOSITORY = Path(__file__).parents[2]
KNOWN = {"the": 0.5, "onion": 1.5, "Onion": 2.5, "pan": -1.0, "unused": 9.0}


@pytest.fixture
def world(tmp_path: Path) -> Path:
    """Three corpora that say different words, vectors of some of them, and settings that name the file."""
    videos = pd.DataFrame([("a", "a.mp4", "train", 9.0)], columns=["video_id", "path", "split", "seconds"])
    said = pd.DataFrame([(0.0, 9.0, "the onion zester")], columns=["start", "end", "text"])
    corpora = tmp_path / "data" / "corpora"
    shared = {"description": "", "videos": videos}
    write_corpus(corpora / "mini-howto", name="mini-howto", role="narrated", captions={"a": said}, **shared)
    for name, caption in {"mini-youcook2": "Onion zester", "mini-msrvtt": "the pan mandoline"}.items():
        row = ("1", "a", 0.0, 4.0, "test", [caption])
        columns = ["clip_id", "video_id", "start", "end", "split", "captions"]
        clips = pd.DataFrame([row], columns=columns)
        write_corpus(corpora / name, name=name, role="captioned", clips=clips, **shared)
    entries = [word.encode() + b" " + np.full(8, level, "<f4").tobytes() for word, level in KNOWN.items()]
    (tmp_path / "vectors.bin.gz").write_bytes(gzip.compress(b"5 8\n" + b"".join(entries)))
    write_settings(tmp_path, source="vectors.bin.gz", dimension=8)
    return tmp_path


def write_settings(folder: Path, **words) -> None:
    settings = compose("smoke", REPOSITORY / "profiles")
    settings["features"]["words"] |= words
    YAML().dump(settings, folder / "params.yaml")


def run(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(REPOSITORY / "stages" / "words.py")]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=120)


def test_published_vectors_cover_the_words_of_all_corpora(world: Path) -> None:
    done = run(world)
    assert done.returncode == 0, done.stderr
    assert "4 words have vectors; 2 have none" in done.stdout
    words = WordVectors.open(world / "data/words")
    assert words.tokens("the onion Onion pan unused zester") == ["the", "onion", "Onion", "pan"]
    assert words.encode("Onion", 1)[0].tolist() == [[2.5] * 8]
    unknown = (world / "data/words/unknown.csv").read_text()
    assert unknown == "word,count\nzester,2\nmandoline,1\n"
    counts = read_json(world / "data/words/words.json")
    assert (counts["kept"], counts["used"], counts["unknown"]) == (4, 8, 3)
    assert read_json(world / "runs/words/words/run.json")["status"] == "finished"


def test_a_changed_file_or_corpus_is_another_run(world: Path) -> None:
    assert run(world).returncode == 0
    first = read_json(world / "runs/words/words/run.json")["dataset_digest"]
    content = bytearray(gzip.decompress((world / "vectors.bin.gz").read_bytes()))
    content[-1] ^= 1
    (world / "vectors.bin.gz").write_bytes(gzip.compress(bytes(content)))
    assert run(world).returncode == 0
    assert read_json(world / "runs/words/words/run.json")["dataset_digest"] != first


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"source": "none.bin"}, "features.words.source: none.bin: No such file or directory"),
        ({"dimension": 300}, "features.words.dimension: vectors.bin.gz has 8, found 300"),
        ({"source": "params.yaml"}, "params.yaml: begins neither as word2vec nor as GloVe"),
    ],
)
def test_what_does_not_fit_is_named_in_one_line(world: Path, words: dict, message: str) -> None:
    write_settings(world, **{"source": "vectors.bin.gz", "dimension": 8, **words})
    done = run(world)
    assert done.returncode == 2
    assert [line for line in done.stderr.splitlines() if line.startswith("error:") and message in line]
    assert "Traceback" not in done.stderr
