"""What registering videos leaves when none of them belongs to the benchmark."""

import json
from pathlib import Path

import pytest
from tests.registering import register_msrvtt

from multisk.errors import InputError


def test_an_unusable_corpus_is_not_left_but_its_findings_are(tmp_path: Path) -> None:
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos" / "holiday.mp4").touch()
    (tmp_path / "test.csv").write_text("video_id,sentence\nvideo1,a pan\n")
    (tmp_path / "data.json").write_text(json.dumps({"videos": [{"video_id": "video1"}], "sentences": []}))
    folder = tmp_path / "corpus"
    with pytest.raises(InputError, match=r"none of the video files .*; see .*corpus/findings\.json"):
        register_msrvtt(
            tmp_path / "videos",
            folder,
            annotations=tmp_path / "data.json",
            test_list=tmp_path / "test.csv",
        )
    findings = json.loads((folder / "findings.json").read_text())
    assert findings["counts"] == {"missing videos": 1}
    assert findings["usable"] == {"videos": 0}
    assert not (folder / "corpus.json").exists()
