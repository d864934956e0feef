"""Released pickles of the two benchmarks become corpora that give the recorded clips."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from multisk.corpora.manifest import Corpus
from multisk.errors import InputError
from multisk.features import packing
from multisk.features.store import FeatureStore
from multisk.features.words import WordVectors
from multisk.pipeline.importing import Imported, import_msrvtt, import_youcook2
from multisk.sampling import CaptionedClips
from multisk.settings.sampling import BenchmarkClips

Items = list[dict[str, Any]]
Released = Callable[[str], Items]
Write = Callable[..., Path]
HALF: dict[str, Any] = {"rtol": 2e-3, "atol": 2e-3}  # the recorded clips were made from single precision


def renamed(items: Items, count: int) -> Items:
    return [{**items[i % len(items)], "id": f"video{i}"} for i in range(count)]


def write_list(folder: Path, count: int) -> Path:
    rows = {"key": "k", "video_id": [f"video{i}" for i in range(count)], "sentence": "a pan"}
    pd.DataFrame(rows).to_csv(folder / "test.csv", index=False)
    return folder / "test.csv"


def into(folder: Path) -> tuple[Path, Path]:
    return folder / "data" / "corpus", folder / "data" / "features"


def clips_of(
    imported: Imported, recorded: dict[str, Any], kwargs: dict[str, Any], split: str, complete: int
) -> CaptionedClips:
    segments = kwargs.get("n_clips", 1)
    clips = BenchmarkClips(
        video_tokens=kwargs["n_video_tokens"] * segments,
        audio_frames=kwargs["num_audio_STFT_frames"] * segments,
        words=kwargs["max_words"],
        sampling=kwargs.get("video_sampling_strategy", "clip"),
        segments=segments,
    )
    words = WordVectors(recorded["we"]["words"], recorded["we"]["vectors"].numpy())
    return CaptionedClips(imported.store, imported.corpus, words, clips, split, complete_size=complete)


def check(dataset: CaptionedClips, items: list[dict[str, Any]]) -> None:
    for index, expected in enumerate(items):
        found, ids = dataset[index], expected["meta"]["ids"]
        sound = [0] if isinstance(ids, str) else [i for i, key in enumerate(ids) if key != "-1"]
        for key in ("video", "audio", "text"):
            for name in (key, f"{key}_mask"):
                wanted = expected[name][None] if isinstance(ids, str) else expected[name]
                torch.testing.assert_close(found[name].float(), wanted[sound].float(), **HALF)


@pytest.mark.filterwarnings("ignore:.*have no features")
def test_msrvtt_gives_the_recorded_clips(
    tmp_path: Path, recorded_clips: dict[str, Any], released_items: Released, write_pickle: Write
) -> None:
    items = renamed(released_items("msrvtt_unique_items"), 968)
    train = [{**item, "id": f"train-{item['id']}"} for item in items[:9]]
    imported = import_msrvtt(
        *into(tmp_path),
        train=write_pickle(train, "train.pkl"),
        test=write_pickle(items, "test.pkl"),
        test_list=write_list(tmp_path, 1000),
    )
    assert imported.counts == {"train clips of 9": 9, "test clips of 1000": 968}
    assert not imported.findings.counts
    assert imported.corpus.source["complete"] == {"test": 1000}
    corpus = Corpus.open(tmp_path / "data" / "corpus")
    assert len(corpus.of_split("test")) == 1000
    assert corpus.of_split("train")["captions"].tolist() == [item["caption"] for item in train]
    runs = [run for run in recorded_clips["msrvtt"] if run["items"] and run["kwargs"]["n_video_tokens"]]
    assert runs
    for run in runs:
        dataset = clips_of(imported, recorded_clips, run["kwargs"], "test", 1000)
        assert (len(dataset), len(dataset.missing), dataset.complete_size) == (
            run["length"],
            32,
            run["complete"],
        )
        check(dataset, run["items"])


@pytest.mark.filterwarnings("ignore:.*have no features")
def test_youcook2_gives_the_recorded_clips(
    tmp_path: Path, recorded_clips: dict[str, Any], released_items: Released, write_pickle: Write
) -> None:
    items = released_items("youcook_items")
    imported = import_youcook2(*into(tmp_path), validation=write_pickle(items))
    assert imported.counts == {"validation clips of 3350": 5}
    assert imported.findings.counts == {"clips without features": 1, "unexpected counts": 1}
    assert "yc_3: no 2d_full; counts as missing" in imported.findings.lines["clips without features"][0]
    for run in recorded_clips["youcook"]:
        if run["items"] and run["kwargs"]["n_video_tokens"]:
            dataset = clips_of(imported, recorded_clips, run["kwargs"], "validation", 3350)
            assert (len(dataset), dataset.missing) == (run["length"], ["yc_3"])
            check(dataset, run["items"])


def test_commas_in_a_list_without_quotes(
    tmp_path: Path, released_items: Released, write_pickle: Write
) -> None:
    (tmp_path / "test.csv").write_text("video_id,sentence\nvideo0,a pan\nvideo7,a, b, c\n")
    items = renamed(released_items("msrvtt_unique_items"), 1)
    imported = import_msrvtt(*into(tmp_path), test=write_pickle(items), test_list=tmp_path / "test.csv")
    assert imported.findings.counts == {"unexpected counts": 1}
    clips = imported.corpus.of_split("test")
    assert dict(zip(clips["clip_id"], clips["captions"], strict=True))["video7"] == ["a, b, c"]


def test_damaged_items_are_named_and_counted(
    tmp_path: Path, released_items: Released, write_pickle: Write
) -> None:
    items = renamed(released_items("msrvtt_unique_items"), 12)
    items[1]["2d"] = np.full_like(items[1]["2d"], np.nan)
    items[2]["3d"] = items[2]["3d"][:, :2]
    items[3]["audio"] = None
    items[4]["2d"] = "no array"
    items[5]["3d"] = np.full_like(items[5]["3d"], 1e6)  # more than half precision holds
    items[6]["id"] = "video0"
    items[7]["eval_caption"] = ""
    del items[8]["id"]
    items[9]["2d"] = items[9]["2d"][0]
    items[10]["audio"] = items[10]["audio"][:39]
    imported = import_msrvtt(*into(tmp_path), test=write_pickle([*items, "no item"]))
    status = imported.store.status
    failed = status[status["status"] == "failed"]
    assert dict(zip(failed["video_id"], failed["reason"], strict=True)) == {
        "video1": "appearance features are not finite in half precision",
        "video2": f"motion has shape {items[2]['3d'].shape}, expected (n, 4)",
        "video4": "appearance is no array of numbers (str)",
        "video5": "motion features are not finite in half precision",
        "video9": f"appearance has shape {items[9]['2d'].shape}, expected (n, 5)",
        "video10": f"logmel has shape {items[10]['audio'].T.shape}, expected (n, 40)",
    }
    absent = status[status["status"] == "absent"]
    assert absent[["video_id", "stream"]].to_numpy().tolist() == [["video3", "logmel"]]
    assert imported.findings.counts == {
        "items without an id": 2, "repeated clips": 1, "clips without captions": 1, "unusable features": 6,
        "unexpected counts": 1,
    }  # fmt: skip
    assert imported.store.videos() == ["video0", "video3", "video11"]
    saved = json.loads((imported.corpus.folder / "findings.json").read_text())
    assert saved["counts"] == dict(imported.findings.counts)
    assert saved["usable"] == {"test clips of 1000": 3}
    assert all("\n" not in line for lines in saved["lines"].values() for line in lines)


def test_features_come_back_in_half_precision(
    tmp_path: Path, released_items: Released, write_pickle: Write
) -> None:
    items = released_items("msrvtt_unique_items")
    store = import_msrvtt(*into(tmp_path), test=write_pickle(items)).store
    for item in items:
        for stream, values in {
            "appearance": item["2d"],
            "motion": item["3d"],
            "logmel": item["audio"].T,
        }.items():
            np.testing.assert_array_equal(
                store.read(item["id"], stream), np.asarray(values, np.float16).astype(np.float32)
            )


def test_a_stopped_import_goes_on(
    tmp_path: Path, released_items: Released, write_pickle: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = write_pickle(renamed(released_items("msrvtt_unique_items"), 20))
    whole = import_msrvtt(*into(tmp_path / "whole"), test=source, shard_megabytes=0.02)
    real, asked = packing._checksum, []

    def stopped(features: np.ndarray) -> int:
        asked.append(len(features))
        if len(asked) == 31:
            raise KeyboardInterrupt
        return real(features)

    monkeypatch.setattr(packing, "_checksum", stopped)
    with pytest.raises(KeyboardInterrupt):
        import_msrvtt(*into(tmp_path / "part"), test=source, shard_megabytes=0.02)
    begun = FeatureStore.open(tmp_path / "part" / "data" / "features").videos()
    assert 0 < len(begun) < 20
    monkeypatch.setattr(packing, "_checksum", real)
    part = import_msrvtt(*into(tmp_path / "part"), test=source, shard_megabytes=0.02)
    assert part.store.videos() == whole.store.videos()
    assert part.corpus.digest == whole.corpus.digest
    for video in whole.store.videos():
        for stream in whole.store.streams():
            np.testing.assert_array_equal(part.store.read(video, stream), whole.store.read(video, stream))


def test_what_the_disk_changed_is_named(
    tmp_path: Path, released_items: Released, write_pickle: Write
) -> None:
    store = import_msrvtt(*into(tmp_path), test=write_pickle(released_items("msrvtt_unique_items"))).store
    shard = store.folder / "motion-00000.safetensors"
    content = bytearray(shard.read_bytes())
    content[-3] ^= 1
    shard.write_bytes(content)
    with pytest.raises(InputError, match=r"video \w+ is not what was packed"):
        packing.verify(FeatureStore.open(store.folder), store.videos())


@pytest.mark.parametrize("content", [{}, [], [1, 2], "text", [{"id": 3}]])
def test_other_pickles_are_refused(tmp_path: Path, write_pickle: Write, content: Any) -> None:
    with pytest.raises(InputError, match=r"items\.pkl: .*is it the right file\?"):
        import_msrvtt(*into(tmp_path), test=write_pickle(content))


def test_the_other_benchmarks_pickle_is_refused(
    tmp_path: Path, released_items: Released, write_pickle: Write
) -> None:
    with pytest.raises(InputError, match="eval_caption: no clip has one"):
        import_msrvtt(*into(tmp_path), test=write_pickle(released_items("youcook_items")))
    with pytest.raises(InputError, match="no pickle named"):
        import_msrvtt(*into(tmp_path))
    items = [{"id": "a", "eval_caption": "a pan"}]
    with pytest.raises(InputError, match="none of 1 clips has appearance features"):
        import_msrvtt(*into(tmp_path), test=write_pickle(items))


def test_each_pickle_counts_even_with_the_same_name(
    tmp_path: Path, released_items: Released, write_pickle: Write
) -> None:
    items = released_items("msrvtt_unique_items")
    test = write_pickle(items, "items.pkl")
    (tmp_path / "train").mkdir()
    digests = set()
    for scale in (1.0, 2.0):
        changed = [{**item, "id": f"t{item['id']}", "2d": item["2d"] * scale} for item in items]
        train = write_pickle(changed, "train/items.pkl")
        imported = import_msrvtt(*into(tmp_path), train=train, test=test, replace=True)
        digests.add(imported.corpus.digest)
        expected = np.asarray(changed[0]["2d"], np.float16).astype(np.float32)
        np.testing.assert_array_equal(imported.store.read(changed[0]["id"], "appearance"), expected)
    assert len(digests) == 2


@pytest.mark.parametrize("first", ["train", "test"])
def test_a_split_stays_when_the_other_one_is_imported(
    tmp_path: Path, released_items: Released, write_pickle: Write, first: str
) -> None:
    items = released_items("msrvtt_unique_items")
    train = [{**item, "id": f"train-{item['id']}"} for item in items]
    files = {"train": write_pickle(train, "train.pkl"), "test": write_pickle(items, "test.pkl")}
    second = "test" if first == "train" else "train"
    import_msrvtt(*into(tmp_path), **{first: files[first]})
    before = {path: path.read_bytes() for path in (tmp_path / "data").rglob("*") if path.is_file()}
    message = (
        rf"corpus: is made from {first}\.pkl \(sha256 .*\), which this leaves out; name all files together"
    )
    with pytest.raises(InputError, match=message):
        import_msrvtt(*into(tmp_path), **{second: files[second]})
    assert {path: path.read_bytes() for path in (tmp_path / "data").rglob("*") if path.is_file()} == before
    both = import_msrvtt(*into(tmp_path), **files)
    assert len(both.store.videos()) == 2 * len(items)
    only = import_msrvtt(*into(tmp_path), **{second: files[second]}, replace=True)
    assert only.corpus.clips is not None
    assert set(only.corpus.clips["split"]) == {second}
