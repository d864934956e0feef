"""The HowTo100M tree, in place and packed, gives the recorded clips; damage is named."""

import json
import pickle
import shutil
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from multisk.corpora import captions as captions_module
from multisk.corpora.captions import stream_object
from multisk.corpora.listing import read_listing
from multisk.corpora.manifest import VIDEO_COLUMNS, write_corpus
from multisk.errors import InputError
from multisk.features.howto_tree import HowtoTree
from multisk.features.store import FeatureStore, StoreWriter, Stream
from multisk.features.tree_store import TreeStore, open_features
from multisk.features.words import WordVectors
from multisk.pipeline.importing import Imported, import_howto100m
from multisk.preflight.corpora import tree_values
from multisk.preflight.given import Given
from multisk.published.findings import Findings
from multisk.sampling import NarratedClips
from multisk.settings.sampling import PretrainClips

Files = tuple[Path, HowtoTree]


def run_import(folder: Path, files: Files, captions: Path, **options: Any) -> Imported:
    listing, tree = files
    out = folder / "data" / "corpus", folder / "data" / "features"
    return import_howto100m(*out, listing=listing, tree=tree, captions=captions, **options)


@pytest.mark.parametrize("in_place", [True, False])
def test_recorded_clips(
    tmp_path: Path, recorded_howto: dict[str, Any], howto_files: Files, howto_captions: Path, in_place: bool
) -> None:
    imported = run_import(tmp_path, howto_files, howto_captions, in_place=in_place)
    assert imported.counts == {"videos listed": 4, "videos with features": 4}
    assert not imported.findings.counts
    store = open_features(tmp_path / "data" / "features")
    assert isinstance(store, TreeStore) == in_place
    words = WordVectors(recorded_howto["we"]["words"], recorded_howto["we"]["vectors"].numpy())
    ids = list(recorded_howto["videos"])
    for run in recorded_howto["runs"]:
        if run["kwargs"].get("use_2D", True):
            dataset = NarratedClips(store, imported.corpus, words, settings(run["kwargs"]), seed=0)
            item = dataset.draw(ids[run["idx"]], np.random.RandomState(run["numpy_seed"]))
            for key in ("video", "audio", "text"):
                torch.testing.assert_close(item[key], run["item"][key], rtol=1e-4, atol=1e-5)
                torch.testing.assert_close(item[f"{key}_mask"].float(), run["item"][f"{key}_mask"].float())


def settings(kwargs: dict[str, Any]) -> PretrainClips:
    return PretrainClips(
        corpus="howto100m",
        share=1,
        misaligned=0,
        clips_per_video=kwargs["n_clips"],
        seconds=kwargs["min_time"],
        video_tokens=kwargs["n_video_tokens"],
        audio_frames=kwargs["num_audio_STFT_frames"],
        words=kwargs["max_words"],
        sampling=kwargs.get("video_sampling_strategy", "clip"),
        shift_audio=kwargs.get("flag_text_audio_misaligned", False),
    )


@pytest.fixture
def captions(recorded_howto: dict[str, Any], tmp_path: Path) -> Path:
    said = {video_id: video["caption"] for video_id, video in recorded_howto["videos"].items()}
    (tmp_path / "caption.json").write_text(json.dumps(said))
    return tmp_path / "caption.json"


def test_in_place_and_packed_read_the_same(tmp_path: Path, howto_files: Files, captions: Path) -> None:
    before = {path: path.read_bytes() for path in (tmp_path / "tree").rglob("*.npz")}
    there = run_import(tmp_path / "a", howto_files, captions).store
    packed = run_import(tmp_path / "b", howto_files, captions, in_place=False).store
    assert there.videos() == packed.videos()
    assert there.streams() == packed.streams()
    for stream in packed.streams():
        assert (there.rate(stream), there.dimension(stream)) == (
            packed.rate(stream),
            packed.dimension(stream),
        )
        for video in packed.videos():
            assert there.length(video, stream) == packed.length(video, stream)
            for bounds in ((0, None), (2, 5), (-3, None), (5, 2), (0, 10**6)):
                one, other = there.read(video, stream, *bounds), packed.read(video, stream, *bounds)
                assert one.dtype == other.dtype == np.float32
                np.testing.assert_array_equal(one, other)
    assert {path: path.read_bytes() for path in (tmp_path / "tree").rglob("*.npz")} == before
    assert not list((tmp_path / "a" / "data" / "features").glob("*.safetensors"))


@pytest.mark.parametrize("in_place", [True, False])
def test_a_replaced_file_of_the_same_shape_is_noticed(
    tmp_path: Path, howto_files: Files, captions: Path, in_place: bool
) -> None:
    run_import(tmp_path, howto_files, captions, in_place=in_place)
    index = tmp_path / "data" / "features" / "index.parquet"
    before = index.read_bytes()
    run_import(tmp_path, howto_files, captions, in_place=in_place)
    assert index.read_bytes() == before
    file = next(howto_files[1].appearance.rglob("*_2d.npz"))
    with np.load(file) as content:
        changed = content["features"] + 1
    np.savez(file, features=changed)
    store = run_import(tmp_path, howto_files, captions, in_place=in_place).store
    assert index.read_bytes() != before
    video = file.name.removesuffix("_2d.npz")
    np.testing.assert_array_equal(
        store.read(video, "appearance"), changed.astype(np.float16).astype(np.float32)
    )


def test_workers_get_a_working_copy(tmp_path: Path, howto_files: Files, captions: Path) -> None:
    store = run_import(tmp_path, howto_files, captions).store
    expected = store.read("aaVID0", "motion")
    copy = pickle.loads(pickle.dumps(store))
    np.testing.assert_array_equal(copy.read("aaVID0", "motion"), expected)


def test_only_few_files_are_held(
    tmp_path: Path, howto_files: Files, captions: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("multisk.features.tree_store.MAPPED", 3)
    store = run_import(tmp_path, howto_files, captions).store
    for _ in range(2):
        for video in store.videos():
            for stream in store.streams():
                assert len(store.read(video, stream)) == store.length(video, stream)
    assert len(store._handles) == 3


@pytest.mark.parametrize("in_place", [True, False])
def test_missing_and_damaged_files_are_data(
    tmp_path: Path, howto_files: Files, captions: Path, in_place: bool
) -> None:
    listing, tree = howto_files
    root = tree.appearance
    (root / "cat/video_a/aaVID0/aaVID0_2d.npz").write_bytes(b"")
    (root / "cat/video_b/bbVID1/bbVID1_spec.npz").unlink()
    (root / "cat/video_c/ccVID2/ccVID2_3d.npz").unlink()
    with listing.open("a") as file:
        file.write("cat/video_e/eeVID4\n../../etc/passwd\n/etc/hosts\ncat/other/aaVID0\n")
    said = json.loads(captions.read_text())
    said["eeVID4"], said["unlisted"] = said["ddVID3"], said["ddVID3"]
    captions.write_text(json.dumps(said))
    imported = run_import(tmp_path, howto_files, captions, in_place=in_place)
    assert imported.store.videos() == ["bbVID1", "ddVID3"]
    assert imported.counts == {"videos listed": 5, "videos with features": 2}
    rows = {
        (row.video_id, row.stream): (str(row.status), str(row.reason))
        for row in imported.store.status.itertuples()
    }
    assert rows["bbVID1", "logmel"] == ("absent", "no file cat/video_b/bbVID1/bbVID1_spec.npz")
    assert rows["ccVID2", "motion"] == ("failed", "no file cat/video_c/ccVID2/ccVID2_3d.npz")
    assert rows["eeVID4", "appearance"][0] == "failed"
    assert "aaVID0_2d.npz: features: empty, cut off or no .npz" in rows["aaVID0", "appearance"][1]
    assert imported.findings.counts == {
        "unusable paths": 2, "repeated videos": 1, "captions of unlisted videos": 1, "unusable features": 4,
    }  # fmt: skip
    assert imported.store.read("bbVID1", "logmel").shape == (0, 40)


def test_values_that_are_not_finite(tmp_path: Path, howto_files: Files, captions: Path) -> None:
    path = howto_files[1].appearance / "cat/video_a/aaVID0/aaVID0_3d.npz"
    features = np.ones((63, 4), np.float16)
    features[40, 2] = np.nan
    np.savez(path, features=features)
    store = run_import(tmp_path / "a", howto_files, captions).store
    assert isinstance(store, TreeStore)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert store.read("aaVID0", "motion", 0, 40).shape == (40, 4)
    with pytest.warns(UserWarning, match=r"aaVID0_3d\.npz: video aaVID0: motion is not finite") as caught:
        found = [store.read("aaVID0", "motion", 39, 50) for _ in range(3)]
    assert [len(features) for features in found] == [0, 0, 0]
    assert len(caught) == 1
    assert store.unusable == {("aaVID0", "motion"): 3}
    for options in ({"check_values": True}, {"in_place": False}):
        checked = run_import(tmp_path / "b", howto_files, captions, **options)
        assert checked.store.videos() == ["bbVID1", "ccVID2", "ddVID3"]
        assert "not finite" in checked.findings.lines["unusable features"][0]


def test_preflight_reads_all_values_of_a_tree(tmp_path: Path, howto_files: Files, captions: Path) -> None:
    imported = run_import(tmp_path, howto_files, captions)
    given = Given("pretrain", imported.corpus, imported.store)
    assert isinstance(imported.store, TreeStore)
    assert tree_values(given, imported.store).status == "ok"
    path = howto_files[1].appearance / "cat/video_a/aaVID0/aaVID0_3d.npz"
    np.savez(path, features=np.full((63, 4), np.inf, np.float16))
    broken = run_import(tmp_path, howto_files, captions)
    assert isinstance(broken.store, TreeStore)
    check = tree_values(given, broken.store)
    assert (check.status, check.detail) == ("note", "1 of motion are not finite; they count as empty")


@pytest.mark.filterwarnings("ignore:.*is not finite in places")
def test_clips_of_videos_that_are_not_finite_are_empty(
    tmp_path: Path, recorded_howto: dict[str, Any], howto_files: Files, captions: Path
) -> None:
    path = howto_files[1].appearance / "cat/video_a/aaVID0/aaVID0_3d.npz"
    np.savez(path, features=np.full((63, 4), np.inf, np.float16))
    imported = run_import(tmp_path, howto_files, captions)
    words = WordVectors(recorded_howto["we"]["words"], recorded_howto["we"]["vectors"].numpy())
    clips = settings(recorded_howto["runs"][0]["kwargs"])
    dataset = NarratedClips(imported.store, imported.corpus, words, clips, seed=0)
    item = dataset[dataset.videos.index("aaVID0")]
    assert not item["video_mask"].any()
    assert item["audio_mask"].any()
    assert torch.isfinite(item["video"]).all()


def test_files_that_change_after_the_import_are_named(
    tmp_path: Path, howto_files: Files, captions: Path
) -> None:
    store = run_import(tmp_path, howto_files, captions).store
    path = howto_files[1].appearance / "cat/video_a/aaVID0/aaVID0_3d.npz"
    np.savez(path, features=np.ones((10, 4), np.float16))
    with pytest.raises(InputError, match=r"motion has shape \(10, 4\), had \(63, 4\); import again"):
        store.read("aaVID0", "motion")
    path.unlink()
    with pytest.raises(InputError, match=r"aaVID0_3d\.npz: no such file"):
        store.read("aaVID0", "motion")


def test_other_dimensions_are_named(tmp_path: Path, howto_files: Files, captions: Path) -> None:
    root = howto_files[1].appearance
    np.savez(root / "cat/video_a/aaVID0/aaVID0_3d.npz", features=np.ones((63, 7), np.float16))
    np.savez(root / "cat/video_c/ccVID2/ccVID2_spec.npz", np.ones((39, 621), np.float16))
    imported = run_import(tmp_path, howto_files, captions)
    lines = imported.findings.lines["unusable features"]
    assert lines[0] == "aaVID0: motion has 7 dimensions, expected 4; counts as missing"
    assert "shape (39, 621) is not that of logmel features" in lines[1]


def test_a_stopped_scan_goes_on(
    tmp_path: Path, howto_files: Files, captions: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = run_import(tmp_path / "a", howto_files, captions)
    looked: list[str] = []
    find = HowtoTree.find

    def stopping(tree: HowtoTree, video_id: str, *rest: Any) -> Any:
        if video_id == "ccVID2":
            raise KeyboardInterrupt
        looked.append(video_id)
        return find(tree, video_id, *rest)

    monkeypatch.setattr(HowtoTree, "find", stopping)
    with pytest.raises(KeyboardInterrupt):
        run_import(tmp_path / "b", howto_files, captions)
    log = tmp_path / "b" / "data" / ".features.scan.jsonl"
    with log.open("a") as file:
        file.write('\n["ccVID2", {"appea')  # as a kill leaves it
    looked.clear()

    def recording(tree: HowtoTree, video_id: str, *rest: Any) -> Any:
        looked.append(video_id)
        return find(tree, video_id, *rest)

    monkeypatch.setattr(HowtoTree, "find", recording)
    again = run_import(tmp_path / "b", howto_files, captions)
    assert set(looked) == {"ccVID2", "ddVID3"}
    assert again.store.status.equals(whole.store.status)
    assert not log.exists()


def test_a_tree_that_was_not_there_is_looked_for_again(
    tmp_path: Path, howto_files: Files, captions: Path
) -> None:
    motion = tmp_path / "motion"
    root = howto_files[1].appearance
    files = howto_files[0], HowtoTree(root, motion, root)
    for in_place in (True, False):
        with pytest.raises(InputError, match="no usable motion features of 4 videos"):
            run_import(tmp_path, files, captions, in_place=in_place)
    shutil.copytree(root, motion)
    assert len(run_import(tmp_path, files, captions).store.videos()) == 4


def test_repaired_files_are_seen(tmp_path: Path, howto_files: Files, captions: Path) -> None:
    path = howto_files[1].appearance / "cat/video_a/aaVID0/aaVID0_3d.npz"
    content = path.read_bytes()
    for in_place in (True, False):
        path.write_bytes(b"")
        broken = run_import(tmp_path, howto_files, captions, in_place=in_place)
        path.write_bytes(content)
        mended = run_import(tmp_path, howto_files, captions, in_place=in_place)
        assert (len(broken.store.videos()), len(mended.store.videos())) == (3, 4)


def test_packing_replaces_an_index_in_place(tmp_path: Path, howto_files: Files, captions: Path) -> None:
    run_import(tmp_path, howto_files, captions)
    run_import(tmp_path, howto_files, captions, in_place=False)
    assert type(open_features(tmp_path / "data" / "features")) is FeatureStore
    run_import(tmp_path, howto_files, captions)
    assert type(open_features(tmp_path / "data" / "features")) is TreeStore


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("in_place", [True, False])
@pytest.mark.parametrize("corpus_left", [True, False])
def test_extracted_features_stay_unless_replaced(
    tmp_path: Path, howto_files: Files, captions: Path, corpus_left: bool, in_place: bool
) -> None:
    data = tmp_path / "data"
    said = pd.DataFrame({"start": [0.0], "end": [1.0], "text": ["my own"]})
    write_corpus(
        data / "corpus",
        name="howto100m",
        role="narrated",
        description="HowTo100M",
        videos=pd.DataFrame([("aaVID0", "/a.mp4", "train", 1.0)], columns=list(VIDEO_COLUMNS)),
        captions={"aaVID0": said},
        source={"listing": None},
    )
    with StoreWriter(data / "features", fingerprint="extracted") as writer:
        writer.add("aaVID0", 1.0, {"appearance": Stream(np.ones((1, 3), np.float16), 1.0)})
    if not corpus_left:
        (data / "corpus" / "corpus.json").unlink()
    before = contents(data)
    with pytest.raises(InputError, match=r"corpus: is made from videos or unknown files; give --replace"):
        run_import(tmp_path, howto_files, captions, in_place=in_place)
    assert contents(data) == before
    imported = run_import(tmp_path, howto_files, captions, in_place=in_place, replace=True)
    assert len(imported.store.videos()) == 4
    run_import(tmp_path, howto_files, captions, in_place=in_place)


def test_a_corpus_of_another_listing_or_tree_stays_unless_replaced(
    tmp_path: Path, howto_files: Files, captions: Path
) -> None:
    listing, tree = howto_files
    run_import(tmp_path, howto_files, captions)
    before = contents(tmp_path / "data")
    (tmp_path / "short.csv").write_text("\n".join(listing.read_text().splitlines()[:3]) + "\n")
    shutil.copytree(tree.motion, tmp_path / "elsewhere")
    moved = HowtoTree(tree.appearance, tmp_path / "elsewhere", tree.logmel)
    for files in ((tmp_path / "short.csv", tree), (listing, moved)):
        with pytest.raises(InputError, match="is made from another listing or other folders of features"):
            run_import(tmp_path, files, captions)
        assert contents(tmp_path / "data") == before
    replaced = run_import(tmp_path, (tmp_path / "short.csv", tree), captions, replace=True)
    assert len(replaced.store.videos()) == 2


def test_nothing_usable_leaves_no_corpus_but_says_why(
    tmp_path: Path, howto_files: Files, captions: Path
) -> None:
    videos = list(json.loads(captions.read_text()))
    for video_id, ending in zip(videos, ("_2d", "_2d", "_3d", ""), strict=True):
        (file,) = howto_files[1].motion.rglob(f"{video_id}{ending}.npz")
        file.unlink()
    with pytest.raises(InputError, match=r"no video has usable features; .*corpus/findings\.json says why"):
        run_import(tmp_path, howto_files, captions)
    folder = tmp_path / "data" / "corpus"
    assert json.loads((folder / "findings.json").read_text())["counts"] == {"unusable features": 4}
    assert not (folder / "corpus.json").exists()


def test_captions_are_tidied_row_by_row(tmp_path: Path, howto_files: Files, captions: Path) -> None:
    said = {
        "aaVID0": {
            "start": [0.0, 5.0, float("nan"), 7.0, 7.0, "x", -1.0],
            "end": [2.0, 5.0, 9.0, 8.0, 8.0, 9.0, 3.0],
            "text": ["a", "b", "c", "d", "d", "e", "f"],
        },
        "bbVID1": {"start": [1.0], "end": [2.0, 3.0], "text": ["a"]},
        "ccVID2": {"start": [], "end": [], "text": []},
        "ddVID3": {"start": [3.0, 1.0], "end": [4.0, 2.0], "text": ["late", None]},
    }
    captions.write_text(json.dumps(said))
    imported = run_import(tmp_path, howto_files, captions)
    assert imported.corpus.videos["video_id"].tolist() == ["aaVID0", "ddVID3"]
    assert imported.corpus.captions("aaVID0")["text"].tolist() == ["a", "d"]
    assert imported.corpus.captions("ddVID3")["text"].tolist() == ["", "late"]
    assert imported.findings.counts == {
        "impossible times": 4, "repeated rows": 1, "unreadable captions": 1, "videos without captions": 2,
    }  # fmt: skip


def test_captions_that_no_csv_line_holds(tmp_path: Path, howto_files: Files, captions: Path) -> None:
    said = json.loads(captions.read_text())
    texts = ["a\rb", "a\nb \t c", "half \ud83d", "nul \0 byte", 'a "quoted", word', "\u2028"]
    times = [float(second) for second in range(len(texts))]
    said["aaVID0"] = {"start": times, "end": [time + 1 for time in times], "text": texts}
    captions.write_text(json.dumps(said))
    imported = run_import(tmp_path, howto_files, captions)
    expected = ["a b", "a b c", "half ?", "nul byte", 'a "quoted", word', ""]
    assert imported.corpus.captions("aaVID0")["text"].tolist() == expected
    assert not imported.findings.counts


def test_commas_in_captions_without_quotes(tmp_path: Path, howto_files: Files, captions: Path) -> None:
    folder = tmp_path / "captions"
    folder.mkdir()
    (folder / "aaVID0.csv").write_text("start,end,text\n0,1,cut, then fry\n1,2,a pan\n2,3\n")
    imported = run_import(tmp_path, howto_files, folder)
    assert imported.corpus.captions("aaVID0")["text"].tolist() == ["cut, then fry", "a pan", ""]
    assert imported.findings.counts == {"videos without captions": 3}


def test_a_listing_with_more_fields_than_columns(tmp_path: Path) -> None:
    findings = Findings()
    (tmp_path / "list.csv").write_text("path,length\ncat/a,b/x,3\ncat/y,2\n")
    assert read_listing(tmp_path / "list.csv", findings) == {"y": "cat/y"}
    assert "line 2: no path, or more fields than columns" in findings.lines["unusable paths"][0]


def test_no_captions_at_all(tmp_path: Path, howto_files: Files, captions: Path) -> None:
    captions.write_text("{}")
    with pytest.raises(InputError, match="no usable captions of any video"):
        run_import(tmp_path, howto_files, captions)
    with pytest.raises(InputError, match=r"caption\.txt: no captions; name a \.pickle"):
        run_import(tmp_path, howto_files, tmp_path / "caption.txt")


def test_listings_are_checked(tmp_path: Path) -> None:
    listing = tmp_path / "list.csv"
    for content, reason in (
        ("", "cannot be read as csv"),
        ("name\na\n", "path: no such column"),
        ("path\n", "no video"),
    ):
        listing.write_text(content)
        with pytest.raises(InputError, match=reason):
            read_listing(listing, Findings())
    listing.write_text("video_path\nabc.mp4\n")
    assert list(read_listing(listing, Findings())) == ["abc"]


# --- large JSON --------------------------------------------------------------------------------


@pytest.mark.parametrize("chunk", [1, 3, 7, 10**6])
@pytest.mark.parametrize(
    "content",
    [
        {},
        {"a": {"start": [1.5, 22], "text": ['"quoted" {[', "ü"]}, "b": []},
        {"x": 12345, "y": -1e3, "z": None},
    ],
)
@pytest.mark.parametrize("indent", [None, 2])
def test_json_is_streamed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk: int, content: dict[str, Any], indent: int | None
) -> None:
    monkeypatch.setattr(captions_module, "CHUNK", chunk)
    (tmp_path / "a.json").write_text(json.dumps(content, indent=indent))
    assert dict(stream_object(tmp_path / "a.json")) == content


@pytest.mark.parametrize("content", ["", "[1]", '{"a": 1', '{"a" 1}', '{"a": [1, }', "nonsense", '{"a": 1,}'])
def test_other_json_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / "a.json").write_text(content)
    with pytest.raises(InputError, match=r"a\.json: no complete JSON object"):
        list(stream_object(tmp_path / "a.json"))
