"""YouCook2's videos and annotation files become a corpus; what is odd is named and counted."""

import json
from pathlib import Path
from typing import Any

import pytest
from tests.registering import register_youcook2

from multisk.benchmarks.youcook2 import read_annotations, read_retrieval
from multisk.errors import InputError
from multisk.published.findings import Findings


def entry(subset: str, *rows: tuple[Any, Any, Any], duration: float = 100.0) -> dict[str, Any]:
    annotations = [
        {"id": n, "segment": [start, end], "sentence": text} for n, (start, end, text) in enumerate(rows)
    ]
    return {"subset": subset, "duration": duration, "recipe_type": "1", "annotations": annotations}


@pytest.fixture
def annotations(tmp_path: Path) -> Path:
    database = {
        "train_video": entry("training", (0, 5, "cut"), (5, 9, "stir")),
        "val_video": entry("validation", (1, 4, "boil"), (4, 8, "serve")),
        "gone_video": entry("validation", (2, 3, "fry")),
    }
    (tmp_path / "yc2.json").write_text(json.dumps({"database": database}))
    return tmp_path / "yc2.json"


@pytest.fixture
def retrieval(tmp_path: Path) -> Path:
    rows = ["end,start,task,text,video_id", "4,1,7,boil,val_video", "3,2,7,fry,gone_video"]
    (tmp_path / "validation.csv").write_text("\n".join(rows) + "\n")
    return tmp_path / "validation.csv"


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    for name in ("training/1/train_video.mp4", "validation/1/val_video.mkv", "validation/1/val_video.mp4"):
        path = tmp_path / "videos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    return tmp_path / "videos"


def test_official_annotations(tmp_path: Path, videos: Path, annotations: Path) -> None:
    found = register_youcook2(videos, tmp_path / "corpus", annotations=annotations)
    validation = found.corpus.of_split("validation")
    assert validation["clip_id"].tolist() == ["val_video:0", "val_video:1", "gone_video:0"]
    assert validation[["start", "end"]].to_numpy().tolist() == [[1, 4], [4, 8], [2, 3]]
    assert found.corpus.videos["seconds"].tolist() == [100.0, 100.0]
    assert found.corpus.path("val_video") == videos / "validation" / "1" / "val_video.mkv"
    assert found.counts == {"videos": 2, "train clips of 2": 2, "validation clips of 3": 2}
    assert found.findings.counts == {"repeated files": 1, "missing videos": 1}


def test_retrieval_csv_chooses_the_validation_clips(
    tmp_path: Path, videos: Path, annotations: Path, retrieval: Path
) -> None:
    found = register_youcook2(videos, tmp_path / "both", annotations=annotations, retrieval=retrieval)
    assert found.corpus.of_split("validation")["captions"].tolist() == [["boil"], ["fry"]]
    assert len(found.corpus.of_split("train")) == 2
    assert found.counts["validation clips of 3350"] == 1
    alone = register_youcook2(videos, tmp_path / "alone", retrieval=retrieval)
    assert alone.corpus.videos["video_id"].tolist() == ["val_video"]
    assert len(alone.corpus.of_split("train")) == 0


def test_odd_annotations_are_named_and_counted(tmp_path: Path, videos: Path, annotations: Path) -> None:
    content = json.loads(annotations.read_text())
    content["database"]["train_video"] = entry(
        "training",
        (0, 5, "cut"),
        (0, 5, "cut"),
        (0, 5, "cut it"),
        (7, 7, "end is start"),
        (9, 8, "end before start"),
        (float("nan"), 8, "no start"),
        (120, 130, "after the end"),
        (1, 2, ""),
        (-3, 2, "before the beginning"),
        ("soon", None, "no times"),
    )
    content["database"]["odd"] = "no entry"
    annotations.write_text(json.dumps(content))
    found = register_youcook2(videos, tmp_path / "corpus", annotations=annotations)
    assert found.corpus.of_split("train")["captions"].tolist() == [["cut"], ["cut it"]]
    counts = dict(found.findings.counts)
    assert counts == {
        "repeated rows": 1, "repeated times": 1, "impossible times": 6, "unreadable rows": 2,
        "repeated files": 1, "missing videos": 1,
    }  # fmt: skip
    line = found.findings.lines["impossible times"][0]
    assert line == f"{annotations}: train_video: annotation 3: from 7.0 to 7.0 of 100.0 s; left out"


def test_unknown_and_trained_videos_of_the_csv(
    tmp_path: Path, videos: Path, annotations: Path, retrieval: Path
) -> None:
    with retrieval.open("a") as file:
        file.write("9,5,7,stir,train_video\n9,5,7,stir,new_video\n,,7,x,val_video\n")
    found = register_youcook2(videos, tmp_path / "corpus", annotations=annotations, retrieval=retrieval)
    assert len(found.corpus.of_split("train")) == 0
    assert found.findings.counts["unknown ids"] == 1
    assert found.findings.counts["repeated videos"] == 1
    assert found.findings.counts["impossible times"] == 1
    assert dict(zip(found.corpus.videos["video_id"], found.corpus.videos["split"], strict=True)) == {
        "val_video": "validation",
        "train_video": "validation",
    }


def test_what_cannot_go_on_stops(tmp_path: Path, videos: Path, annotations: Path, retrieval: Path) -> None:
    with pytest.raises(InputError, match="no annotations; name"):
        register_youcook2(videos, tmp_path / "corpus")
    annotations.write_text('{"videos": []}')
    with pytest.raises(InputError, match=r"yc2\.json: database: no such object"):
        register_youcook2(videos, tmp_path / "corpus", annotations=annotations)
    retrieval.write_text("video_id,start\na,1\n")
    with pytest.raises(InputError, match=r"validation\.csv: end: no such column"):
        register_youcook2(videos, tmp_path / "corpus", retrieval=retrieval)


def test_the_real_annotations(realdata: Path) -> None:
    findings = Findings()
    path = realdata / "annotations" / "youcook2" / "full" / "yc2_annotations_trainval.json"
    segments, seconds = read_annotations(path, findings)
    splits = [segment.split for segment in segments]
    assert (splits.count("train"), splits.count("validation"), len(seconds)) == (10_337, 3_492, 1_790)
    assert findings.counts == {"repeated times": 1}


def test_the_real_retrieval_csv(tmp_path: Path, realdata: Path) -> None:
    folder = realdata / "annotations" / "youcook2"
    findings = Findings()
    segments = read_retrieval(folder / "mil-nce" / "validation_youcook.csv", findings)
    assert len(segments) == 3350
    assert findings.counts == {"repeated times": 1}
    videos = tmp_path / "videos"
    videos.mkdir()
    present = sorted({segment.video_id for segment in segments})[:400]
    for video_id in present:
        (videos / f"{video_id}.mp4").write_bytes(b"")
    found = register_youcook2(
        videos,
        tmp_path / "corpus",
        annotations=folder / "full" / "yc2_annotations_trainval.json",
        retrieval=folder / "mil-nce" / "validation_youcook.csv",
    )
    have = sum(segment.video_id in set(present) for segment in segments)
    assert 0 < have < 3350
    assert found.counts == {"videos": 400, "train clips of 10337": 0, "validation clips of 3350": have}
    assert found.findings.counts == {"repeated times": 2, "missing videos": 436 - 400 + 1333}
    assert found.corpus.clips is not None
    assert found.corpus.clips["clip_id"].is_unique
