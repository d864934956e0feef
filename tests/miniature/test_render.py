"""The rendered corpora: real files, complete manifests, the same from the same settings, resumable."""

import hashlib
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import av
import numpy as np
import pandas as pd
import pytest

from miniature import howto, msrvtt, youcook2
from miniature.msrvtt import frames_per_second, picture_size
from miniature.render import render_miniature
from miniature.settings import Miniature
from miniature.speech import RATE
from multisk.corpora.manifest import Corpus
from multisk.errors import InputError
from multisk.params import load_profile


def _corpora(world: Path) -> dict[str, Corpus]:
    return {name: Corpus.open(world / name) for name in ("mini-howto", "mini-youcook2", "mini-msrvtt")}


def _files(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def _with(settings: Miniature, **changes: object) -> Miniature:
    return Miniature.model_validate({**settings.model_dump(), **changes})


@pytest.mark.parametrize("name", ["mini-howto", "mini-youcook2", "mini-msrvtt"])
def test_videos_decode_as_listed(world: Path, settings: Miniature, name: str) -> None:
    corpus = _corpora(world)[name]
    far = name == "mini-msrvtt"
    rate = frames_per_second(settings) if far else settings.frames_per_second
    size = picture_size(settings) if far else (settings.width, settings.height)
    for video_id, seconds in zip(corpus.videos["video_id"], corpus.videos["seconds"], strict=True):
        with av.open(str(corpus.path(video_id))) as container:
            stream = container.streams.video[0]
            assert stream.codec_context.name == "h264"
            assert (stream.width, stream.height) == size
            assert stream.average_rate == rate
            assert sum(1 for _ in container.decode(video=0)) == round(seconds * rate)
            sounds = container.streams.audio
            assert far or len(sounds) == 1
        if sounds:
            with av.open(str(corpus.path(video_id))) as container:
                assert container.streams.audio[0].codec_context.name == "aac"
                samples = np.concatenate([frame.to_ndarray()[0] for frame in container.decode(audio=0)])
            assert len(samples) / RATE == pytest.approx(seconds, abs=0.15)
            assert 0.01 < np.sqrt(np.mean(samples**2)) < 0.5


def test_howto_is_narrated(world: Path, settings: Miniature) -> None:
    corpus = _corpora(world)["mini-howto"]
    assert corpus.role == "narrated"
    assert len(corpus.videos) == settings.howto.videos
    assert set(corpus.videos["split"]) == {"train"}
    for video_id, seconds in zip(corpus.videos["video_id"], corpus.videos["seconds"], strict=True):
        lines = corpus.captions(video_id)
        assert len(lines) >= 1
        assert lines["end"].max() <= seconds
        assert settings.howto.seconds[0] <= seconds <= settings.howto.seconds[1]


def test_youcook2_clips_are_steps_of_longer_videos(world: Path, settings: Miniature) -> None:
    corpus = _corpora(world)["mini-youcook2"]
    assert corpus.clips is not None
    count = settings.youcook2.clips_per_video
    assert len(corpus.of_split("train")) == count * settings.youcook2.train_videos
    assert len(corpus.of_split("validation")) == count * settings.youcook2.validation_videos
    assert corpus.clips["captions"].map(len).eq(1).all()
    clips = corpus.clips.merge(corpus.videos, on="video_id")
    assert len(clips) == len(corpus.clips)
    assert (clips["end"] <= clips["seconds"]).all()
    low, high = settings.youcook2.clip_seconds
    assert (clips["end"] - clips["start"]).between(low - 0.01, high + 0.01).all()


def test_msrvtt_lists_missing_and_silent_clips(world: Path, settings: Miniature) -> None:
    corpus = _corpora(world)["mini-msrvtt"]
    train, test = corpus.of_split("train"), corpus.of_split("test")
    assert (len(train), len(test)) == (settings.msrvtt.train_clips, settings.msrvtt.test_clips)
    assert train["captions"].map(len).eq(settings.msrvtt.captions_per_train_clip).all()
    assert test["captions"].map(len).eq(1).all()
    present = set(corpus.videos["video_id"])
    assert sum(video not in present for video in test["video_id"]) == round(
        len(test) * settings.msrvtt.missing
    )
    assert set(train["video_id"]) <= present
    silent = 0
    for video_id in present:
        with av.open(str(corpus.path(video_id))) as container:
            silent += not container.streams.audio
    assert 1 <= silent <= 2


def test_truth_covers_every_second(world: Path) -> None:
    for corpus in _corpora(world).values():
        seconds = corpus.truth.groupby("video_id")["second"].agg(["min", "count"])
        wanted = np.ceil(corpus.videos.set_index("video_id")["seconds"]).astype(int)
        assert (seconds["min"] == 0).all()
        pd.testing.assert_series_equal(seconds["count"], wanted, check_names=False, check_like=True)


def test_default_settings_give_distinct_galleries(repository: Path) -> None:
    settings = load_profile("miniature", repository / "profiles").corpora
    for corpus, split in ((youcook2, "validation"), (msrvtt, "test")):
        shots = [s for film in corpus.plan(settings) if film.split == split for s in film.shots if s.captions]
        captions = [caption for shot in shots for caption in shot.captions]
        assert len(captions) == 200
        assert len(set(captions)) >= 196


def test_plans_depend_on_the_seed_alone(settings: Miniature) -> None:
    for corpus in (howto, youcook2, msrvtt):
        assert corpus.plan(settings) == corpus.plan(_with(settings, workers=1))
        assert corpus.plan(settings) != corpus.plan(_with(settings, seed=4))


def test_again_gives_the_same_files_and_deleted_ones_come_back(
    world: Path, settings: Miniature, tmp_path: Path
) -> None:
    render_miniature(_with(settings, workers=1), tmp_path)
    rendered = _files(world)
    assert _files(tmp_path) == rendered
    kept = tmp_path / "mini-howto" / "videos" / "howto-0000.mp4"
    before = kept.stat().st_mtime_ns
    (tmp_path / "mini-howto" / "videos" / "howto-0001.mp4").unlink()
    (tmp_path / "mini-msrvtt" / "corpus.json").unlink()
    render_miniature(settings, tmp_path)
    assert _files(tmp_path) == rendered
    assert kept.stat().st_mtime_ns == before


def test_other_settings_replace_what_depends_on_them(
    world: Path, settings: Miniature, tmp_path: Path
) -> None:
    out = shutil.copytree(world, tmp_path / "out")
    video = out / "mini-msrvtt" / "videos" / "msrvtt-train-0000.mp4"
    stamp = video.stat().st_mtime_ns
    render_miniature(_with(settings, howto={**settings.model_dump()["howto"], "videos": 1, "chat": 1.0}), out)
    before, after = _corpora(world), _corpora(out)
    assert len(after["mini-howto"].videos) == 1
    assert not (out / "mini-howto" / "videos" / "howto-0001.mp4").exists()
    assert before["mini-howto"].digest != after["mini-howto"].digest
    for name in ("mini-youcook2", "mini-msrvtt"):
        assert before[name].digest == after[name].digest
    assert video.stat().st_mtime_ns == stamp


def test_foreign_and_unwritable_folders_are_refused_in_one_line(settings: Miniature, tmp_path: Path) -> None:
    (tmp_path / "mine" / "mini-howto").mkdir(parents=True)
    (tmp_path / "mine" / "mini-howto" / "holiday.mp4").write_text("precious")
    with pytest.raises(InputError, match=r"mini-howto: holds files that were not rendered here") as caught:
        render_miniature(settings, tmp_path / "mine")
    assert "\n" not in str(caught.value)
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(InputError, match="Not a directory; make room or choose another folder"):
        render_miniature(settings, tmp_path / "file")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_named_in_one_line(world: Path, settings: Miniature, tmp_path: Path) -> None:
    out = shutil.copytree(world, tmp_path / "out")
    video = out / "mini-howto" / "videos" / "howto-0000.mp4"
    video.unlink()
    video.with_name(video.name + ".tmp").symlink_to("/dev/full")
    with pytest.raises(InputError, match="No space left on device; make room or choose another folder"):
        render_miniature(settings, out)
    assert not video.exists()


@pytest.mark.slow
def test_killed_rendering_leaves_no_processes_and_goes_on(
    world: Path, settings: Miniature, tmp_path: Path
) -> None:
    script = tmp_path / "render.py"
    script.write_text(
        "import sys\nfrom pathlib import Path\n"
        "from miniature.render import render_miniature\n"
        "from multisk.params import Miniature\n"
        "if __name__ == '__main__':\n"
        f"    settings = Miniature.model_validate_json({settings.model_dump_json()!r})\n"
        "    render_miniature(settings, Path(sys.argv[1]))\n"
    )
    out = tmp_path / "out"
    process = subprocess.Popen(
        [sys.executable, script, out], start_new_session=True, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 60
    while not list(out.rglob("*.mp4")) and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    while _members(process.pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _members(process.pid)
    render_miniature(settings, out)
    assert {k: v for k, v in _files(out).items() if not k.endswith(".tmp")} == _files(world)


def _members(session: int) -> list[str]:
    """Processes of a session that are not zombies."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        if int(fields[3]) == session and fields[0] != "Z":
            found.append(stat.parent.name)
    return found
