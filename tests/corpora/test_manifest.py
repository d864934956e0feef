"""Corpora on disk: what is written is read back, and mistakes are named."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from multisk.corpora.manifest import Corpus, write_corpus
from multisk.errors import InputError


def _videos(*ids: str, split: str = "train") -> pd.DataFrame:
    rows = [(key, f"videos/{key}.mp4", split, 9.5) for key in ids]
    return pd.DataFrame(rows, columns=["video_id", "path", "split", "seconds"])


def _clips(*captions: list[str], split: str = "test") -> pd.DataFrame:
    rows = [(f"c{i}", f"v{i}", 0.0, 4.0, split, texts) for i, texts in enumerate(captions)]
    return pd.DataFrame(rows, columns=["clip_id", "video_id", "start", "end", "split", "captions"])


def _narrated(folder: Path, **changes: Any) -> Corpus:
    said = pd.DataFrame({"start": [2.0, 0.5], "end": [4.0, 3.0], "text": ["null", "okay so"]})
    arguments: dict[str, Any] = {
        "name": "n",
        "role": "narrated",
        "description": "",
        "videos": _videos("v0"),
        "captions": {"v0": said},
    }
    return write_corpus(folder, **{**arguments, **changes})


def _captioned(folder: Path, *captions: list[str], split: str = "test") -> Corpus:
    clips = _clips(*captions, split=split)
    return write_corpus(folder, name="c", role="captioned", description="", videos=_videos("v0"), clips=clips)


def test_narrated_corpus_reads_back(tmp_path: Path) -> None:
    _narrated(tmp_path)
    corpus = Corpus.open(tmp_path)
    assert (corpus.name, corpus.role, corpus.clips) == ("n", "narrated", None)
    assert corpus.path("v0") == tmp_path / "videos" / "v0.mp4"
    assert corpus.captions("v0").to_dict("list") == {
        "start": [0.5, 2.0],
        "end": [3.0, 4.0],
        "text": ["okay so", "null"],
    }


def test_captioned_corpus_reads_back_with_missing_clip(tmp_path: Path) -> None:
    _captioned(tmp_path, ["slice the onion"], ["a person stirs"])
    clips = Corpus.open(tmp_path).of_split("test")
    assert clips["captions"].tolist() == [["slice the onion"], ["a person stirs"]]
    assert set(clips["video_id"]) - set(Corpus.open(tmp_path).videos["video_id"]) == {"v1"}


def test_digest_covers_manifests_captions_and_source(tmp_path: Path) -> None:
    said = pd.DataFrame({"start": [0.0], "end": [1.0], "text": ["um"]})
    digests = [
        _narrated(tmp_path / "a").digest,
        _narrated(tmp_path / "b", captions={"v0": said}).digest,
        _narrated(tmp_path / "c", source={"seed": 1}).digest,
        _narrated(tmp_path / "d", videos=_videos("v0", "v1")).digest,
    ]
    assert len(set(digests)) == len(digests)
    assert _narrated(tmp_path / "again").digest == digests[0]


def test_mistakes_are_named_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"corpus\.json: no such file"):
        Corpus.open(tmp_path / "nowhere")
    with pytest.raises(
        InputError, match=r"clips\.parquet: captions: test clip 'c0' needs exactly one, has 2"
    ):
        _captioned(tmp_path / "two", ["one", "two"])
    with pytest.raises(InputError, match="needs at least one, has 0"):
        _captioned(tmp_path / "none", [], split="train")
    with pytest.raises(InputError, match="'v0' stands there twice"):
        _narrated(tmp_path / "twice", videos=_videos("v0", "v0"))
    with pytest.raises(InputError, match=r"videos\.parquet: split: .* found 'dev'"):
        _narrated(tmp_path / "split", videos=_videos("v0", split="dev"))
    with pytest.raises(InputError, match=r"videos\.parquet: seconds: no such column"):
        _narrated(tmp_path / "column", videos=_videos("v0").drop(columns="seconds"))
    corpus = _narrated(tmp_path / "good")
    with pytest.raises(InputError, match="no video 'v9'"):
        corpus.path("v9")
    with pytest.raises(InputError, match=r"v9\.csv: no such captions"):
        corpus.captions("v9")
    with pytest.raises(InputError, match="narrated corpora have no clips"):
        corpus.of_split("test")


def test_malformed_files_are_named(tmp_path: Path) -> None:
    _narrated(tmp_path)
    (tmp_path / "captions" / "v0.csv").write_text("start,end,text\nsoon,later,um\n")
    with pytest.raises(InputError, match=r"v0\.csv: cannot be read"):
        Corpus.open(tmp_path).captions("v0")
    (tmp_path / "videos.parquet").write_text("no parquet")
    with pytest.raises(InputError, match=r"videos\.parquet: cannot be read"):
        Corpus.open(tmp_path)
    head = json.loads((tmp_path / "corpus.json").read_text())
    (tmp_path / "corpus.json").write_text(json.dumps({**head, "role": "silent"}))
    with pytest.raises(InputError, match="role: expected narrated or captioned, found 'silent'"):
        Corpus.open(tmp_path)


def test_interrupted_writing_leaves_no_corpus(tmp_path: Path) -> None:
    _narrated(tmp_path)
    with pytest.raises(AttributeError):
        _narrated(tmp_path, captions={"v0": None})
    with pytest.raises(InputError, match="no such file"):
        Corpus.open(tmp_path)
