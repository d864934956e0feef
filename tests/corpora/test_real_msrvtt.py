"""MSR-VTT's videos and annotation files become a corpus; what is odd is named and counted."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from tests.registering import register_msrvtt

from multisk.errors import InputError

CLIPS = ("mdn/pig.mp4", "mdn/frog.webm", "derived_corrupt/not_a_video.mp4")


def video(number: int, **changes: Any) -> dict[str, Any]:
    row = {"video_id": f"video{number}", "start time": 10.0, "end time": 20.0 + number, "split": "train"}
    return {**row, **changes}


def sentence(number: int, caption: Any, key: int) -> dict[str, Any]:
    return {"video_id": f"video{number}", "caption": caption, "sen_id": key}


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Any]:
    """Four annotated videos, of which video3 is tested; files of three of them, and one more."""
    content = {
        "info": {},
        "videos": [video(n) for n in range(4)],
        "sentences": [sentence(n % 4, f"caption {n}", n) for n in range(8)],
    }
    (tmp_path / "MSRVTT_data.json").write_text(json.dumps(content))
    (tmp_path / "test.csv").write_text("key,vid_key,video_id,sentence\nret0,msr3,video3,a tested caption\n")
    (tmp_path / "videos" / "more").mkdir(parents=True)
    for name in ("video0.mp4", "video1.webm", "more/video3.mp4", "video99.mp4", "notes.txt"):
        (tmp_path / "videos" / name).write_bytes(b"")
    return {"annotations": tmp_path / "MSRVTT_data.json", "test_list": tmp_path / "test.csv"}


def test_splits_captions_and_missing_clips(tmp_path: Path, files: dict[str, Any]) -> None:
    found = register_msrvtt(tmp_path / "videos", tmp_path / "corpus", **files)
    corpus = found.corpus
    train, test = corpus.of_split("train"), corpus.of_split("test")
    assert train["clip_id"].tolist() == ["video0", "video1", "video2"]
    assert train["captions"].tolist() == [[f"caption {n}", f"caption {n + 4}"] for n in range(3)]
    assert test["captions"].tolist() == [["a tested caption"]]
    assert corpus.videos["video_id"].tolist() == ["video0", "video1", "video3"]
    assert corpus.path("video3") == tmp_path / "videos" / "more" / "video3.mp4"
    assert train["end"].tolist() == [10.0, 11.0, 12.0]  # the empty files do not say how long they last
    assert found.counts == {"videos": 3, "train clips of 3": 2, "test clips of 1000": 1}
    assert found.findings.counts == {"missing videos": 1}


def test_odd_annotations_are_named_and_counted(tmp_path: Path, files: dict[str, Any]) -> None:
    content = json.loads(files["annotations"].read_text())
    content["videos"] += [
        video(0),
        {"id": 1},
        video(4, **{"end time": 10.0}),
        video(5, **{"end time": float("nan")}),
    ]
    content["sentences"] += [
        sentence(0, "caption 0", 20),  # said by a second person
        sentence(0, "again", 0),
        sentence(77, "of nothing", 21),
        sentence(1, "  ", 22),
        sentence(1, None, 23),
        "no row",
    ]
    files["annotations"].write_text(json.dumps(content))
    with files["test_list"].open("a") as file:
        file.write("ret1,msr3,video3,again\nret2,msr8,video8,of an unknown video\nret3,,,\n")
    found = register_msrvtt(tmp_path / "videos", tmp_path / "corpus", **files)
    assert found.findings.counts == {
        "repeated rows": 3,  # a video, a sentence, a tested video
        "empty rows": 1,
        "unreadable rows": 4,
        "impossible times": 2,
        "unknown ids": 2,
        "clips without captions": 2,
        "missing videos": 2,
    }
    assert found.corpus.of_split("train")["captions"][0] == ["caption 0", "caption 4", "caption 0"]
    saved = json.loads((tmp_path / "corpus" / "findings.json").read_text())
    lines = [line for lines in saved["lines"].values() for line in lines]
    assert sum(saved["counts"].values()) == len(lines)
    assert any(line.endswith("video4: from 10.0 to 10.0; the file's own length is used") for line in lines)


def test_training_list(tmp_path: Path, files: dict[str, Any]) -> None:
    (tmp_path / "train.csv").write_text("video_id\nvideo1\nvideo3\nvideo42\n")
    found = register_msrvtt(
        tmp_path / "videos", tmp_path / "corpus", **files, train_list=tmp_path / "train.csv"
    )
    assert found.corpus.of_split("train")["clip_id"].tolist() == ["video1"]
    assert found.findings.counts == {"repeated clips": 1, "clips without captions": 1}


def test_what_cannot_go_on_stops(tmp_path: Path, files: dict[str, Any]) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="empty: no video files"):
        register_msrvtt(tmp_path / "empty", tmp_path / "corpus", **files)
    (tmp_path / "empty" / "video99.mp4").write_bytes(b"")
    with pytest.raises(InputError, match="none of the video files belongs to msrvtt"):
        register_msrvtt(tmp_path / "empty", tmp_path / "corpus", **files)
    for content, reason in (
        ("[", "cannot be read as JSON"),
        ("[]", "videos: no such list"),
        ("[" * 10**5, "JSON"),
    ):
        files["annotations"].write_text(content)
        with pytest.raises(InputError, match=rf"MSRVTT_data\.json: .*{reason}"):
            register_msrvtt(tmp_path / "videos", tmp_path / "corpus", **files)
    files["test_list"].write_text("video\nvideo1\n")
    with pytest.raises(InputError, match=r"test\.csv: video_id: no such column"):
        register_msrvtt(tmp_path / "videos", tmp_path / "corpus", **files)


@pytest.mark.filterwarnings("ignore")
def test_the_real_split_with_real_files(tmp_path: Path, realdata: Path) -> None:
    """The annotation JSON itself is not among the real files: one is made for the real ids."""
    lists = realdata / "annotations" / "msrvtt"
    test_list, train_list = lists / "mil-nce" / "msrvtt_test.csv", lists / "derived" / "MSRVTT_train.9k.csv"
    train, test = pd.read_csv(train_list)["video_id"], pd.read_csv(test_list)["video_id"]
    rows = [{"video_id": key, "start time": 1.5, "end time": 12.0} for key in [*train, *test]]
    texts = [{"video_id": key, "caption": "a caption", "sen_id": n} for n, key in enumerate(train)]
    (tmp_path / "MSRVTT_data.json").write_text(json.dumps({"videos": rows, "sentences": texts}))
    (tmp_path / "videos").mkdir()
    names = ["video9770.mp4", "video9771.webm", "video0.mp4"]
    for name, clip in zip(names, CLIPS, strict=True):
        (tmp_path / "videos" / name).symlink_to(realdata / "clips" / clip)
    found = register_msrvtt(
        tmp_path / "videos",
        tmp_path / "corpus",
        annotations=tmp_path / "MSRVTT_data.json",
        test_list=test_list,
        train_list=train_list,
    )
    assert len(found.corpus.of_split("test")) == 1000
    assert len(found.corpus.of_split("train")) == 9000
    assert found.counts == {"videos": 3, "train clips of 9000": 1, "test clips of 1000": 2}
    assert found.findings.counts == {"missing videos": 9997}
    clips = found.corpus.clips
    assert clips is not None
    ends = dict(zip(clips["clip_id"], clips["end"], strict=True))
    assert ends["video9770"] == pytest.approx(6.533, abs=0.05)  # pig.mp4
    assert ends["video9771"] == pytest.approx(8.266, abs=0.05)  # frog.webm
    assert ends["video0"] == 10.5  # not a video: what the annotations say
