"""Files become clips, whatever they are called and however long they are."""

import logging
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from multisk.corpora.media import find_media
from multisk.corpora.own import find_videos, register_videos
from multisk.errors import InputError
from multisk.features.store import FeatureStore, StoreWriter, Stream
from multisk.published.findings import Findings
from multisk.search.clips import cut_clips


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """One good name, and one of each kind that is none."""
    folder = tmp_path / "videos"
    (folder / "deep" / "folder.mp4").mkdir(parents=True)
    (folder / "a.mp4").touch()
    (folder / "notes.txt").touch()
    (folder / "link.mkv").symlink_to(folder / "nothing.mkv")
    (folder / "loop.mkv").symlink_to(folder / "loop.mkv")
    Path(os.fsdecode(os.fsencode(folder) + b"/caf\xe9.mkv")).touch()
    os.mkfifo(folder / "deep" / "pipe.avi")
    return folder


LEFT_OUT = {
    "deep/folder.mp4: is a folder; left out",
    "deep/pipe.avi: not a file; left out",
    "link.mkv: a link to nothing; left out",
    "loop.mkv: a link to nothing; left out",
    "caf\\udce9.mkv: its name is not UTF-8; rename it; left out",
}


def test_odd_files_are_named_and_counted(folder: Path, tmp_path: Path, caplog) -> None:
    with caplog.at_level(logging.WARNING):
        corpus = register_videos(folder, tmp_path / "corpus")
    assert corpus.videos["video_id"].tolist() == ["a.mp4"]
    *lines, count = [record.getMessage().removeprefix(f"{folder}/") for record in caplog.records]
    assert set(lines) == LEFT_OUT
    assert count == f"{folder}: 5 of 6 files left out"


def test_odd_files_of_published_data_are_findings(folder: Path) -> None:
    findings = Findings()
    assert find_media(folder, findings) == {"a": folder / "a.mp4"}
    assert findings.counts == {"unusable files": 5}
    assert {line.removeprefix(f"{folder}/") for line in findings.lines["unusable files"]} == LEFT_OUT


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nowhere", "nowhere: no such folder"),
        ("videos/a.mp4", r"a\.mp4: is a file; name its folder"),
        ("videos/deep", r"deep: no video files; .* \.wmv \(.*folder\.mp4: is a folder; left out\)"),
    ],
)
def test_what_holds_no_videos_is_named(folder: Path, name: str, message: str) -> None:
    for look in (find_videos, lambda place: find_media(place, Findings())):
        with pytest.raises(InputError, match=message):
            look(folder.parent / name)


@settings(deadline=None, max_examples=30)
@given(
    lengths=st.lists(st.floats(0, 100), min_size=1, max_size=3),
    seconds=st.sampled_from([0.5, 1.5, 5.0, 8.0, 11.9]),
)
def test_clips_cover_a_video_and_none_is_a_sliver(tmp_path_factory, lengths, seconds) -> None:
    folder = tmp_path_factory.mktemp("own")
    (folder / "videos").mkdir()
    with StoreWriter(folder / "features") as writer:
        for number, length in reversed(list(enumerate(lengths))):
            (folder / "videos" / f"{number}.mp4").touch()
            writer.add(f"{number}.mp4", length, {"motion": Stream(np.ones((1, 2)), 1.5)})
    corpus = register_videos(folder / "videos", folder / "corpus")
    clips = cut_clips(corpus, FeatureStore.open(folder / "features"), seconds).clips
    assert clips is not None
    assert clips["video_id"].unique().tolist() == [f"{number}.mp4" for number in range(len(lengths))]
    shortest = min(1, seconds / 2)
    for number, length in enumerate(lengths):
        spans = clips[clips["video_id"] == f"{number}.mp4"]
        start, end = spans["start"].to_numpy(), spans["end"].to_numpy()
        assert start[0] == 0
        assert (start[1:] == end[:-1]).all()
        assert end[-1] == max(length, 1e-3)
        assert np.allclose((end - start)[:-1], seconds)
        assert (end - start)[-1] <= seconds + shortest
        if len(spans) > 1:
            assert (end - start)[-1] > shortest - 1e-9


def test_a_rest_of_two_frames_is_no_result(tmp_path: Path) -> None:
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos" / "a.mp4").touch()
    with StoreWriter(tmp_path / "features") as writer:
        writer.add("a.mp4", 11.967, {"motion": Stream(np.ones((1, 2)), 1.5)})
    corpus = register_videos(tmp_path / "videos", tmp_path / "corpus")
    clips = cut_clips(corpus, FeatureStore.open(tmp_path / "features"), 11.9 / 2).clips
    assert clips is not None
    assert clips[["start", "end"]].to_numpy().tolist() == [[0, 5.95], [5.95, 11.967]]
