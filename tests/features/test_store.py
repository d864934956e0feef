"""The store gives back what was written, survives kills, and names what is damaged."""

import os
import pickle
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from multisk.errors import InputError
from multisk.features.store import FeatureStore, StoreWriter, Stream, fingerprint_of


def features(length: int, dimension: int = 3, seed: int = 0) -> np.ndarray:
    return np.random.RandomState(seed).randn(length, dimension).astype(np.float16).astype(np.float32)


def write(folder: Path, lengths: list[int], shard_megabytes: float = 64) -> dict[str, np.ndarray]:
    arrays = {f"v{i}": features(length, seed=i) for i, length in enumerate(lengths)}
    with StoreWriter(folder, shard_megabytes) as writer:
        for video, array in arrays.items():
            writer.add(video, 1.0, {"motion": Stream(array, 1.5, "ok" if len(array) else "absent")})
            if writer.full:
                writer.flush()
    return arrays


@settings(deadline=None, max_examples=25)
@given(
    lengths=st.lists(st.integers(0, 9), min_size=1, max_size=6),
    limits=st.tuples(st.integers(-3, 12), st.none() | st.integers(-3, 12)),
    megabytes=st.sampled_from([1e-6, 5e-5, 64.0]),
)
def test_any_slice_reads_like_the_array(tmp_path_factory, lengths, limits, megabytes) -> None:
    folder = tmp_path_factory.mktemp("store")
    arrays = write(folder, lengths, megabytes)
    store = FeatureStore.open(folder)
    start, stop = limits
    for video, array in arrays.items():
        assert store.length(video, "motion") == len(array)
        read = store.read(video, "motion", start, stop)
        assert read.dtype == np.float32
        np.testing.assert_array_equal(read, array[start:stop])


def test_shards_split_by_weight(tmp_path: Path) -> None:
    write(tmp_path, [8, 8, 8, 8], shard_megabytes=16 * 3 * 2 / 2**20)
    assert sorted(path.name for path in tmp_path.glob("*.safetensors")) == [
        "motion-00000.safetensors",
        "motion-00001.safetensors",
    ]


def test_status_and_dimension_of_missing_streams(tmp_path: Path) -> None:
    with StoreWriter(tmp_path) as writer:
        writer.add("silent", 2.0, {"logmel": Stream(np.zeros((0, 40)), 100, "absent", "no audio track")})
        writer.add("broken", 0.0, {"logmel": Stream(np.zeros((0, 40)), 100, "failed", "damaged at 1.0 s")})
    store = FeatureStore.open(tmp_path)
    assert store.videos() == ["silent"]
    assert store.dimension("logmel") == 40
    assert store.rate("logmel") == 100
    assert store.read("silent", "logmel").shape == store.read("unknown", "logmel").shape == (0, 40)
    assert store.status.set_index("video_id").loc["broken", "reason"] == "damaged at 1.0 s"
    with pytest.raises(InputError, match=r"no stream 'sound'.*logmel"):
        store.read("silent", "sound")


def test_goes_on_where_it_stopped(tmp_path: Path) -> None:
    writer = StoreWriter(tmp_path)
    writer.add("a", 1.0, {"motion": Stream(features(4, seed=1), 1.5)})
    writer.flush()
    writer.add("b", 1.0, {"motion": Stream(features(5, seed=2), 1.5)})  # never flushed
    (tmp_path / "motion-00001.safetensors").write_bytes(b"left by a killed writer")
    with StoreWriter(tmp_path) as again:
        assert "a" in again
        assert "b" not in again
        again.add("b", 1.0, {"motion": Stream(features(6, seed=3), 1.5)})
    store = FeatureStore.open(tmp_path)
    np.testing.assert_array_equal(store.read("a", "motion"), features(4, seed=1))
    np.testing.assert_array_equal(store.read("b", "motion"), features(6, seed=3))


def test_survives_a_kill(tmp_path: Path) -> None:
    script = """
import sys
from itertools import count
import numpy as np
from multisk.features.store import Stream, StoreWriter
writer = StoreWriter(sys.argv[1])
for i in count():
    if f"v{i}" not in writer:
        writer.add(f"v{i}", 1.0, {"motion": Stream(np.full((3, 2), i % 100), 1.5)})
        writer.flush()
        print(i, flush=True)
"""
    for _ in range(2):
        process = subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE)
        assert process.stdout is not None
        done = [int(process.stdout.readline()) for _ in range(5)][-1]
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        store = FeatureStore.open(tmp_path)
        assert len(store.videos()) > done
        for i, video in enumerate(store.videos()):
            assert video == f"v{i}"
            assert (store.read(video, "motion") == i % 100).all()


@settings(deadline=None, max_examples=25)
@given(
    lengths=st.lists(st.integers(0, 9), min_size=1, max_size=8),
    stops=st.sets(st.integers(0, 8)),
    megabytes=st.sampled_from([5e-5, 1e-4, 64.0]),
)
def test_what_was_saved_ends_in_the_same_shards(tmp_path_factory, lengths, stops, megabytes) -> None:
    """However often a writer is stopped, and whether a shard was full then or not."""
    folder = tmp_path_factory.mktemp("store")
    arrays = write(folder / "whole", lengths, megabytes)
    for stop in [*sorted(stops), len(lengths)]:
        writer = StoreWriter(folder / "parts", megabytes, save_seconds=0)
        for video, array in list(arrays.items())[:stop]:
            if video not in writer:
                writer.add(video, 1.0, {"motion": Stream(array, 1.5, "ok" if len(array) else "absent")})
                if writer.full:
                    writer.flush()
        again = StoreWriter(folder / "parts", megabytes, save_seconds=0)
        assert [video in again for video in arrays] == [number < stop for number in range(len(arrays))]
    again.flush()
    for path in (folder / "whole").iterdir():
        assert (folder / "parts" / path.name).read_bytes() == path.read_bytes(), path.name
    assert len(list((folder / "parts").iterdir())) == len(list((folder / "whole").iterdir()))


def test_saves_as_often_as_asked_and_when_stopped(tmp_path: Path) -> None:
    def add(writer: StoreWriter, video: str) -> None:
        writer.add(video, 1.0, {"motion": Stream(features(4), 1.5)})

    with pytest.raises(KeyboardInterrupt), StoreWriter(tmp_path, save_seconds=3600) as writer:
        add(writer, "a")
        assert not list(tmp_path.iterdir())
        raise KeyboardInterrupt
    assert "a" in StoreWriter(tmp_path)
    add(StoreWriter(tmp_path, save_seconds=0), "b")
    assert "b" in StoreWriter(tmp_path)
    add(StoreWriter(tmp_path), "c")
    assert "c" not in StoreWriter(tmp_path)


def test_a_damaged_save_is_told_and_done_again(tmp_path: Path, caplog) -> None:
    StoreWriter(tmp_path, save_seconds=0).add("a", 1.0, {"motion": Stream(features(4), 1.5)})
    (saved,) = tmp_path.iterdir()
    saved.write_bytes(saved.read_bytes()[:-3])
    assert "a" not in StoreWriter(tmp_path)
    assert "waiting-00000.safetensors: damaged" in caplog.text


def test_failed_ones_among_the_saved_are_forgotten_too(tmp_path: Path) -> None:
    writer = StoreWriter(tmp_path, save_seconds=0)
    writer.add("bad", 0.0, {"motion": Stream(features(0), 1.5, "failed", "no frame")})
    writer.add("good", 1.0, {"motion": Stream(features(4), 1.5)})
    again = StoreWriter(tmp_path, forget_failed=True)
    assert ("bad" in again, "good" in again) == (False, True)


@pytest.mark.parametrize("saved", [False, True])
def test_of_another_fingerprint_only_what_is_kept_stays(tmp_path: Path, saved: bool) -> None:
    writer = StoreWriter(tmp_path, fingerprint="old", save_seconds=0)
    for number, video in enumerate("abc"):
        writer.add(video, 1.0, {"motion": Stream(features(4, seed=number), 1.5)})
        if not saved:
            writer.flush()
    with StoreWriter(tmp_path, fingerprint="new", keep={"b", "x"}) as again:
        assert [video in again for video in "abcx"] == [False, True, False, False]
        again.add("c", 1.0, {"motion": Stream(features(5, seed=9), 1.5)})
    store = FeatureStore.open(tmp_path)
    assert store.videos() == ["b", "c"]
    np.testing.assert_array_equal(store.read("b", "motion"), features(4, seed=1))
    np.testing.assert_array_equal(store.read("c", "motion"), features(5, seed=9))
    assert len(list(tmp_path.glob("*.safetensors"))) == 2
    assert fingerprint_of(tmp_path) == "new"


def test_other_fingerprint_starts_anew(tmp_path: Path) -> None:
    with StoreWriter(tmp_path, fingerprint="old") as writer:
        writer.add("a", 1.0, {"motion": Stream(features(4), 1.5)})
    assert "a" in StoreWriter(tmp_path, fingerprint="old")
    assert "a" not in StoreWriter(tmp_path, fingerprint="new")
    assert not list(tmp_path.iterdir())


def test_the_index_changes_with_what_is_in_the_shards(tmp_path: Path) -> None:
    made = {}
    for name, value in {"one": 1.0, "other": 2.0, "one again": 1.0}.items():
        with StoreWriter(tmp_path / name, shard_megabytes=1e-3, fingerprint="same") as writer:
            for video in "abc":
                writer.add(video, 1.0, {"motion": Stream(features(4) * value, 1.5)})
                writer.flush()
        made[name] = (tmp_path / name / "index.parquet").read_bytes()
    assert made["one"] == made["one again"]
    assert made["one"] != made["other"]


def test_the_index_does_not_tell_of_interruptions(tmp_path: Path) -> None:
    for folder, sessions in {"whole": [["a", "b"]], "parts": [["a"], ["b"]]}.items():
        for videos in sessions:
            with StoreWriter(tmp_path / folder) as writer:
                for video in videos:
                    writer.add(video, 1.0, {"motion": Stream(features(4), 1.5)})
                    writer.flush()
    whole, parts = ((tmp_path / folder / "index.parquet").read_bytes() for folder in ("whole", "parts"))
    assert whole == parts


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e6])
def test_refuses_what_is_not_finite(tmp_path: Path, value: float) -> None:
    array = features(4)
    array[2, 1] = value
    with pytest.raises(InputError, match="video bad: motion"):
        StoreWriter(tmp_path).add("bad", 1.0, {"motion": Stream(array, 1.5)})


def test_names_what_is_damaged(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"index\.parquet: no feature index"):
        FeatureStore.open(tmp_path)
    write(tmp_path, [4, 4])
    shard, index = tmp_path / "motion-00000.safetensors", tmp_path / "index.parquet"
    whole = shard.read_bytes()
    shard.write_bytes(whole[:-5])
    with pytest.raises(InputError, match=r"motion-00000\.safetensors: damaged shard"):
        FeatureStore.open(tmp_path).read("v0", "motion")
    shard.write_bytes(whole[:-48] + b"\xff" * 48)
    with pytest.raises(InputError, match=r"motion of video v1 is not finite"):
        FeatureStore.open(tmp_path).read("v1", "motion")
    shard.unlink()
    with pytest.raises(InputError, match=r"motion-00000\.safetensors: .* missing"):
        FeatureStore.open(tmp_path).read("v0", "motion")
    pd.read_parquet(index).drop(columns="offset").to_parquet(index)
    with pytest.raises(InputError, match="lacks column 'offset'"):
        FeatureStore.open(tmp_path)
    index.write_bytes(index.read_bytes()[:-7])
    with pytest.raises(InputError, match=r"index\.parquet: damaged index"):
        FeatureStore.open(tmp_path)


def test_travels_to_other_processes(tmp_path: Path) -> None:
    arrays = write(tmp_path, [4, 5])
    store = FeatureStore.open(tmp_path)
    store.read("v0", "motion")
    copy = pickle.loads(pickle.dumps(store))
    np.testing.assert_array_equal(copy.read("v1", "motion"), arrays["v1"])
    if (child := os.fork()) == 0:
        os._exit(0 if np.array_equal(store.read("v1", "motion"), arrays["v1"]) else 1)
    assert os.waitpid(child, 0)[1] == 0
