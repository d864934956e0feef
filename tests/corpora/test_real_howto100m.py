"""HowTo100M's videos and captions become a corpus."""

import json
import pickle
from pathlib import Path

import pandas as pd
import pytest

from multisk.corpora.howto100m import register_howto100m
from multisk.errors import InputError


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    (tmp_path / "videos" / "food").mkdir(parents=True)
    for name in ("food/aa.mp4", "food/bb.webm", "cc.mkv"):
        (tmp_path / "videos" / name).write_bytes(b"")
    return tmp_path / "videos"


SAID = {
    "aa": {"start": [3.0, 1.0], "end": [4.0, 2.5], "text": ["stir", "cut"]},
    "bb": {"start": [0.0], "end": [0.0], "text": ["nothing"]},
    "zz": {"start": [0.0], "end": [1.0], "text": ["gone"]},
}


@pytest.mark.parametrize("layout", ["caption.pickle", "caption.json", "csv"])
def test_layouts(tmp_path: Path, videos: Path, layout: str) -> None:
    path = tmp_path / layout
    if layout == "csv":
        path.mkdir()
        for video_id, caption in SAID.items():
            pd.DataFrame(caption).to_csv(path / f"{video_id}.csv", index=False)
    else:
        path.write_bytes(pickle.dumps(SAID) if layout.endswith("pickle") else json.dumps(SAID).encode())
    found = register_howto100m(videos, tmp_path / "corpus", captions=path)
    assert found.corpus.videos["video_id"].tolist() == ["aa"]
    assert found.corpus.path("aa") == videos / "food" / "aa.mp4"
    assert found.corpus.captions("aa")["text"].tolist() == ["cut", "stir"]
    assert found.counts == {"videos": 1}
    unlisted = {} if layout == "csv" else {"captions of unlisted videos": 1}
    assert found.findings.counts == {"impossible times": 1, "videos without captions": 2, **unlisted}


def test_what_cannot_go_on_stops(tmp_path: Path, videos: Path) -> None:
    (tmp_path / "caption.json").write_text(json.dumps({"zz": SAID["zz"]}))
    with pytest.raises(InputError, match="no usable captions of any video below"):
        register_howto100m(videos, tmp_path / "corpus", captions=tmp_path / "caption.json")
    with pytest.raises(InputError, match="none: no such folder"):
        register_howto100m(tmp_path / "none", tmp_path / "corpus", captions=tmp_path / "caption.json")


def test_damaged_csv_is_named(tmp_path: Path, videos: Path) -> None:
    (tmp_path / "csv").mkdir()
    (tmp_path / "csv" / "aa.csv").write_text("start,end,text\n1,2,cut\n")
    (tmp_path / "csv" / "bb.csv").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "csv" / "cc.csv").write_text("start,text\n1,cut\n")
    found = register_howto100m(videos, tmp_path / "corpus", captions=tmp_path / "csv")
    assert found.corpus.videos["video_id"].tolist() == ["aa"]
    assert found.findings.counts == {"unreadable captions": 2, "videos without captions": 2}


def test_the_real_captions(tmp_path: Path, realdata: Path) -> None:
    """All 100 real files are taken as they are; text that reads like a missing value stays text."""
    folder = realdata / "annotations" / "howto100m" / "captions_csv"
    ids = sorted(path.stem for path in folder.glob("*.csv"))
    videos = tmp_path / "videos"
    videos.mkdir()
    for video_id in ids[:99]:
        (videos / f"{video_id}.mp4").write_bytes(b"")
    listing = tmp_path / "listing.csv"
    listing.write_text("\n".join(["path", *(f"food/{video_id}" for video_id in ids)]))
    found = register_howto100m(videos, tmp_path / "corpus", captions=folder, listing=listing)
    assert found.counts == {"videos": 99}
    assert found.findings.counts == {"missing videos": 1}
    for video_id in ids[:99]:
        wanted = pd.read_csv(folder / f"{video_id}.csv", keep_default_na=False, dtype={"text": str})
        pd.testing.assert_frame_equal(
            found.corpus.captions(video_id), wanted.astype({"start": float, "end": float})
        )


def test_the_real_listing(tmp_path: Path, realdata: Path) -> None:
    folder = realdata / "annotations" / "howto100m"
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos" / "33ocZ8pSh3Q.mp4").write_bytes(b"")
    (tmp_path / "caption.json").write_text(json.dumps({"33ocZ8pSh3Q": SAID["aa"]}))
    found = register_howto100m(
        tmp_path / "videos",
        tmp_path / "corpus",
        captions=tmp_path / "caption.json",
        listing=folder / "small_howto100m_videos.csv",
    )
    assert (found.counts, found.findings.counts) == ({"videos": 1}, {"missing videos": 4})
