"""Whole corpora: every file gets features or a reason, whatever else happens."""

import itertools
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F

from multisk.corpora.manifest import Corpus, write_corpus
from multisk.errors import InputError
from multisk.features import extraction
from multisk.features.decode import MediaReader
from multisk.features.extraction import extract
from multisk.features.extractors import Extractors, prepare_extractors, samplings
from multisk.features.filetable import summary
from multisk.features.logmel import LogMel
from multisk.features.store import FeatureStore


@pytest.fixture(scope="module")
def extractors(tmp_path_factory: pytest.TempPathFactory, corpus: Corpus, settings) -> Path:
    folder = tmp_path_factory.mktemp("extractors")
    prepare_extractors(corpus, settings(), folder)
    return folder


@pytest.fixture(scope="module")
def store(tmp_path_factory, corpus: Corpus, settings, extractors: Path) -> FeatureStore:
    return extract(corpus, settings(), extractors, tmp_path_factory.mktemp("features"))


def test_every_video_has_features_or_a_reason(store: FeatureStore) -> None:
    assert store.videos() == ["v0", "silent", "v1", "v2"]
    assert len(store.status) == 6 * 3
    status = store.status.set_index(["video_id", "stream"])
    assert (status.loc[["cut", "gone"], "status"] == "failed").all()
    assert status.loc[("cut", "motion"), "reason"].startswith("damaged after")
    assert status.loc[("gone", "logmel"), "reason"].startswith("cannot be read as video (FileNotFoundError")
    assert status.loc[("silent", "logmel"), "status"] == "absent"
    assert store.length("silent", "logmel") == 0
    for i in range(3):
        seconds = 2 + i
        assert store.length(f"v{i}", "appearance") == 2 * seconds
        assert store.length(f"v{i}", "motion") == -(-24 * seconds // 16)
        # AAC fills up its last frame of 1024 samples.
        assert store.length(f"v{i}", "logmel") == pytest.approx(100 * seconds, abs=8)
    rates = {stream: store.rate(stream) for stream in store.streams()}
    assert rates == {"appearance": 2, "motion": 1.5, "logmel": 100}


@torch.inference_mode()
def test_features_are_what_the_networks_say(store, corpus, settings, extractors) -> None:
    reader = MediaReader(corpus.path("v1"), samplings(settings()))
    frames: dict[str, list[torch.Tensor]] = {"appearance": [], "motion": []}
    for name, frame in reader:
        frames[name].append(torch.from_numpy(frame))
    for name, network in Extractors.open(extractors, settings()).networks.items():
        expected = network(torch.stack(frames[name])).numpy()
        np.testing.assert_allclose(store.read("v1", name), expected, rtol=2e-3, atol=2e-3)
    assert reader.waveform is not None
    mel = LogMel()(torch.from_numpy(reader.waveform)[None])[0].T.numpy()
    np.testing.assert_allclose(store.read("v1", "logmel"), mel, atol=0.04)


def test_random_features_differ_from_each_other(store: FeatureStore) -> None:
    for stream in ("appearance", "motion"):
        features = np.concatenate([store.read(video, stream) for video in store.videos()])
        unit = F.normalize(torch.from_numpy(features), dim=1)
        similarity = (unit @ unit.T)[~torch.eye(len(unit), dtype=torch.bool)]
        assert similarity.mean() < 0.5, stream


def test_same_bytes_for_any_number_of_workers(tmp_path, store, corpus, settings, extractors) -> None:
    extract(corpus, settings(workers=2), extractors, tmp_path)
    for path in store.folder.iterdir():
        assert (tmp_path / path.name).read_bytes() == path.read_bytes(), path.name


def test_a_video_has_the_same_features_in_any_company(tmp_path, store, corpus, settings, extractors) -> None:
    rows = corpus.videos[corpus.videos["video_id"] == "v2"].copy()
    rows["path"] = str(corpus.path("v2"))
    alone = write_corpus(
        tmp_path / "c", name="alone", role="narrated", description="", videos=rows.reset_index(drop=True)
    )
    other = extract(alone, settings(), extractors, tmp_path / "features")
    for stream in store.streams():
        np.testing.assert_array_equal(other.read("v2", stream), store.read("v2", stream))


STOPPING = """
import os, sys
from pathlib import Path
from multisk.corpora.manifest import Corpus
from multisk.features import extraction, store
from multisk.settings.features import Features
name = sys.argv[1]
write = getattr(store.StoreWriter, name)
def write_and_wait(writer):
    write(writer)
    print("written", flush=True)
    sys.stdin.readline()
setattr(store.StoreWriter, name, write_and_wait)
extraction.SAVE_SECONDS = 0
extraction.extract(Corpus.open(sys.argv[2]), Features.model_validate_json(sys.argv[3]), *sys.argv[4:])
"""


def stopped(name: str, corpus: Corpus, options, extractors: Path, out: Path, end: signal.Signals) -> None:
    """Extract until the writer has called its method `name`, then send the signal `end`."""
    arguments = [name, str(corpus.folder), options.model_dump_json(), str(extractors), str(out)]
    process = subprocess.Popen(
        [sys.executable, "-c", STOPPING, *arguments],
        stdout=subprocess.PIPE,
        stdin=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"written\n"
    os.kill(process.pid, end)
    process.communicate()


def test_goes_on_after_a_kill(tmp_path, corpus, settings, extractors) -> None:
    options = settings(shard_megabytes=1e-3)
    extract(corpus, options, extractors, tmp_path / "whole")
    stopped("flush", corpus, options, extractors, tmp_path / "killed", signal.SIGKILL)
    done = FeatureStore.open(tmp_path / "killed").status["video_id"].unique()
    assert 0 < len(done) < 6
    shards = [*(tmp_path / "killed").glob("appearance-*"), *(tmp_path / "killed").glob("motion-*")]
    before = {path: path.stat().st_mtime_ns for path in shards}
    extract(corpus, options, extractors, tmp_path / "killed")
    assert all(path.stat().st_mtime_ns == stamp for path, stamp in before.items())
    same_files(tmp_path / "whole", tmp_path / "killed")


def same_files(expected: Path, found: Path) -> None:
    assert {path.name for path in expected.iterdir()} == {path.name for path in found.iterdir()}
    for path in expected.iterdir():
        assert (found / path.name).read_bytes() == path.read_bytes(), path.name


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGINT])
def test_videos_that_fill_no_shard_are_not_lost(
    tmp_path, store, corpus, settings, extractors, monkeypatch, end
) -> None:
    stopped("save", corpus, settings(), extractors, tmp_path, end)
    assert not (tmp_path / "index.parquet").exists()
    asked = []
    whole = extraction._features

    def noting(corpus, settings, extractors, todo, device, *, in_workers):
        asked.extend(todo)
        return whole(corpus, settings, extractors, todo, device, in_workers=in_workers)

    monkeypatch.setattr(extraction, "_features", noting)
    extract(corpus, settings(), extractors, tmp_path)
    assert "v0" not in asked
    assert "v2" in asked
    same_files(store.folder, tmp_path)


def test_features_of_unchanged_files_stay(tmp_path, corpus, settings, extractors, monkeypatch) -> None:
    """Videos are added, replaced and taken away, and the one that stays is not read again."""
    folder = shutil.copytree(corpus.folder, tmp_path / "c")

    def registered(*names: str) -> Corpus:
        rows = [(name, f"{name}.mp4", "test", 2.0) for name in names]
        videos = pd.DataFrame(rows, columns=["video_id", "path", "split", "seconds"])
        return write_corpus(folder, name="c", role="narrated", description="", videos=videos)

    options = settings(shard_megabytes=1e-3)
    before = extract(registered("v0", "cut", "v1", "silent"), options, extractors, tmp_path / "out")
    kept = {stream: before.read("v0", stream) for stream in before.streams()}
    asked = []
    whole = extraction._Media._video

    def noting(media, video_id, path):
        asked.append(video_id)
        return whole(media, video_id, path)

    monkeypatch.setattr(extraction._Media, "_video", noting)
    monkeypatch.setattr(extraction, "_loader", lambda media, *_, **__: media)  # all in this process
    shutil.copy(folder / "v2.mp4", folder / "v1.mp4")
    now = registered("gone", "v2", "v0", "v1", "cut")
    after = extract(now, options, extractors, tmp_path / "out")
    assert asked == ["gone", "v2", "v1"]
    fresh = extract(now, options, extractors, tmp_path / "fresh")
    assert set(after.videos()) == set(fresh.videos()) == {"v0", "v1", "v2"}
    for stream in after.streams():
        np.testing.assert_array_equal(after.read("v0", stream), kept[stream])
        for video in ("v1", "v2"):  # made in this process, as all of `fresh`: other threads round otherwise
            np.testing.assert_array_equal(after.read(video, stream), fresh.read(video, stream))
    assert not any("silent" in line for line in (tmp_path / "out/files.csv").read_text().splitlines())
    named = set(after.status.loc[after.status["status"] == "ok", "shard"])
    assert named == {path.name for path in (tmp_path / "out").glob("*.safetensors")}
    asked.clear()
    extract(now, options, extractors, tmp_path / "out")
    assert asked == []


def test_finished_work_is_not_repeated(store, corpus, settings, extractors) -> None:
    begin = time.monotonic_ns()
    before = {path: path.stat().st_mtime_ns for path in store.folder.glob("*.safetensors")}
    extract(corpus, settings(), extractors, store.folder)
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert time.monotonic_ns() - begin < 20e9


def test_extractors_depend_on_seed_and_corpus_alone(tmp_path, corpus, settings, extractors) -> None:
    prepare_extractors(corpus, settings(workers=2, appearance__batch_size=5), tmp_path / "same")
    for path in extractors.iterdir():
        assert (tmp_path / "same" / path.name).read_bytes() == path.read_bytes()
    prepare_extractors(corpus, settings(motion__seed=1), tmp_path / "other")
    other = {path.name: path.read_bytes() for path in (tmp_path / "other").iterdir()}
    changed = {path.name for path in extractors.iterdir() if other[path.name] != path.read_bytes()}
    assert changed == {"motion.safetensors", "extractors.json"}


def test_refuses_extractors_of_other_settings(tmp_path, corpus, settings, extractors) -> None:
    with pytest.raises(InputError, match=r"features\.motion: .*motion\.safetensors has other settings"):
        extract(corpus, settings(motion__side=32), extractors, tmp_path)
    damaged = shutil.copytree(extractors, tmp_path / "damaged")
    path = damaged / "appearance.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(InputError, match=r"appearance\.safetensors: differs from the checksum"):
        extract(corpus, settings(), damaged, tmp_path)
    with pytest.raises(InputError, match=r"extractors\.json: no such file"):
        extract(corpus, settings(), tmp_path / "none", tmp_path)


def test_says_when_nothing_decodes(tmp_path, settings, extractors) -> None:
    (tmp_path / "text.mp4").write_text("no video")
    videos = pd.DataFrame([("a", "text.mp4", "train", 1.0)], columns=["video_id", "path", "split", "seconds"])
    corpus = write_corpus(tmp_path, name="bad", role="narrated", description="", videos=videos)
    with pytest.raises(InputError, match="no video decodes"):
        extract(corpus, settings(), extractors, tmp_path / "out")
    with pytest.raises(InputError, match="no training video decodes to calibrate on"):
        prepare_extractors(corpus, settings(), tmp_path / "extractors")


def test_real_clips(tmp_path, realdata: Path, settings, extractors) -> None:
    table = pd.read_csv(realdata / "clips.csv")
    rows = [(path, str(realdata / path), "train", 1.0) for path in table["path"]]
    videos = pd.DataFrame(rows, columns=["video_id", "path", "split", "seconds"])
    corpus = write_corpus(tmp_path, name="real", role="narrated", description="", videos=videos)
    store = extract(corpus, settings(workers=2), extractors, tmp_path / "out")
    good = table[table["decodes_ok"]]
    assert store.videos() == good["path"].tolist()
    assert len(good) == 18
    failed = store.status[store.status["status"] == "failed"]
    assert failed["video_id"].nunique() == 5
    assert failed["reason"].str.len().min() > 10
    noted = store.status[(store.status["status"] == "ok") & (store.status["reason"] != "")]
    assert noted["video_id"].unique().tolist() == ["clips/derived_corrupt/frog_first_half.webm"]
    for clip in good.itertuples():
        assert store.length(clip.path, "appearance") == pytest.approx(2 * clip.video_span_s, abs=1)
        assert store.length(clip.path, "motion") == pytest.approx(1.5 * clip.video_span_s, abs=1)
        audio = 100 * clip.audio_span_s if clip.has_audio else 0
        assert store.length(clip.path, "logmel") == pytest.approx(audio, abs=5)


def test_batches_across_videos_give_the_same_features(corpus, settings, extractors, store) -> None:
    opened = Extractors.open(extractors, settings())
    todo = corpus.videos["video_id"].tolist()
    made = list(extraction._features(corpus, settings(), opened, todo, "cpu", in_workers=False))
    assert [end.video_id for end, _ in made] == todo
    for end, streams in made:
        for name, stream in streams.items():
            assert (
                stream.status
                == store.status.set_index(["video_id", "stream"]).loc[(end.video_id, name), "status"]
            )
            np.testing.assert_allclose(stream.features, store.read(end.video_id, name), rtol=2e-3, atol=0.04)


def test_a_queue_of_odd_sizes_does_not_wait_forever(corpus, settings, extractors, monkeypatch) -> None:
    monkeypatch.setattr(extraction, "LONGEST_QUEUE", 2)
    large = settings(appearance__batch_size=1000, motion__batch_size=1000)
    opened = Extractors.open(extractors, large)
    todo = corpus.videos["video_id"].tolist()
    made = extraction._features(corpus, large, opened, todo, "cpu", in_workers=False)
    assert [end.video_id for end, _ in itertools.islice(made, 2)] == todo[:2]
    assert [end.video_id for end, _ in made] == todo[2:]


def test_files_that_end_too_early_have_a_note(tmp_path, write_video, settings, extractors, caplog) -> None:
    """Cut in the middle; shorter than its sound, which is no fault; and cut by less than a second."""
    images = np.random.RandomState(0).randint(0, 256, (96, 24, 32, 3)).astype(np.uint8)
    content = write_video(tmp_path / "whole.mkv", images=images).read_bytes()
    (tmp_path / "half.mkv").write_bytes(content[: len(content) // 2])
    (tmp_path / "most.mkv").write_bytes(content[: len(content) * 95 // 100])
    write_video(tmp_path / "sound.mkv", images=images[:12], waveform=np.zeros((1, 5 * 16_000)))
    names = ["whole", "half", "most", "sound"]
    rows = [(name, f"{name}.mkv", "train", 1.0) for name in names]
    videos = pd.DataFrame(rows, columns=["video_id", "path", "split", "seconds"])
    corpus = write_corpus(tmp_path, name="cut", role="narrated", description="", videos=videos)
    extract(corpus, settings(), extractors, tmp_path / "out")
    table = pd.read_csv(tmp_path / "out/files.csv", keep_default_na=False).set_index("video_id")
    assert table["status"].tolist() == ["no audio"] * 3 + ["ok"]
    assert re.fullmatch(r"ends after 3\.\d\d s, its header says 8\.00 s: cut off\?", table["reason"]["half"])
    assert (table["reason"] != "").tolist() == [False, True, False, False]
    assert "half.mkv: ends after" in caplog.text
    assert summary(table).endswith(", 1 shorter than the header says")
    assert "shorter" not in summary(table.drop("half"))


def test_every_file_has_a_row_in_the_table(store: FeatureStore, corpus: Corpus) -> None:
    table = pd.read_csv(store.folder / "files.csv", keep_default_na=False).set_index("video_id")
    assert table.index.tolist() == corpus.videos["video_id"].tolist()
    assert table["status"].to_dict() == {
        **dict.fromkeys(["v0", "v1", "v2"], "ok"),
        "silent": "no audio",
        **dict.fromkeys(["cut", "gone"], "failed"),
    }
    assert (table["reason"] != "").tolist() == (table["status"] == "failed").tolist()
    assert table.loc["v1", "file"] == str(corpus.path("v1"))
    assert table.loc["v1", "seconds"] == pytest.approx(3, abs=0.1)
    assert table.loc["v1", "motion"] == store.length("v1", "motion")
    said = summary(table)
    assert said.startswith("3 ok, 1 no audio, 2 failed (1 x ")
    assert "1 x damaged midway (InvalidDataError" in said
    assert "FileNotFoundError" in said
