"""Own videos, from files to a page: index and search with a model that the stages trained."""

import shutil
import time

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from multisk.errors import InputError
from multisk.features.words import WordVectors
from multisk.files import read_json, write_json
from multisk.methods.trained import TrainedModel
from multisk.params import load_params
from multisk.search.index import Index, index_videos
from multisk.search.page import write_search_page
from multisk.search.search import Searcher, search

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def own(trained, tmp_path_factory):
    """Rendered videos in folders of their own, one of them damaged, and their index."""
    folder = tmp_path_factory.mktemp("own")
    files = sorted((trained / "data/corpora/mini-howto/videos").glob("*.mp4"))
    (folder / "videos" / "summer").mkdir(parents=True)
    for file in files[:3]:
        shutil.copy(file, folder / "videos" / "summer")
    (folder / "videos" / "damaged.mp4").write_bytes(files[0].read_bytes()[:2000])
    make(trained, folder)
    return folder


def make(trained, folder, **changes):
    options = {
        "model": trained / "runs/pretrain/sspc/seed-0",
        "extractors": trained / "data/extractors",
        "words": trained / "data/words",
        "params": load_params(trained / "params.yaml"),
        "seconds": 5,
    }
    return index_videos(folder / "videos", out=folder / "index", **(options | changes))


def test_every_span_of_every_good_video_is_in_the_index(own):
    index = Index.open(own / "index")
    assert index.answer == "v+a"
    assert np.isfinite(index.joint).all()
    for _, clips in index.clips.groupby("file"):
        assert clips["start"].tolist() == [5.0 * k for k in range(len(clips))]
        assert clips["end"].tolist()[:-1] == clips["start"].tolist()[1:]
        assert 12 <= clips["end"].iloc[-1] <= 14.1
    names = {file.rpartition("/")[2] for file in index.clips["file"]}
    assert len(names) == 3
    assert "damaged.mp4" not in names


def test_an_example_finds_itself(own):
    index = Index.open(own / "index")
    wanted = index.clips.iloc[4]
    best = search(own / "index", clip=wanted["file"], start=wanted["start"], top=3).iloc[0]
    assert best["score"] == pytest.approx(1, abs=1e-3)
    assert (best["file"], best["start"]) == (wanted["file"], wanted["start"])


def test_texts_and_sounds_are_answered(trained, own, tmp_path):
    searcher = Searcher.open(own / "index")
    words = " ".join(searcher.words.vocabulary[:4])
    found = searcher.text(words, top=4)
    assert len(found) == 4
    sound = searcher.audio(found["file"][0], top=4, start=found["start"][0])
    assert len(sound) == 4
    write_search_page(found, words, tmp_path / "found.html", videos=own / "videos")
    page = (tmp_path / "found.html").read_text()
    assert page.count("data:image/jpeg") == 4
    assert "summer/" in page


def test_a_thousand_clips_are_indexed_and_searched(trained, tmp_path):
    (tmp_path / "videos").mkdir()
    for corpus in ("mini-howto", "mini-youcook2"):
        for file in (trained / "data/corpora" / corpus / "videos").glob("*.mp4"):
            shutil.copy(file, tmp_path / "videos")
    index = make(trained, tmp_path, seconds=0.05)
    assert len(index.clips) > 1000
    assert index.joint.shape[0] == len(index.clips)
    wanted = index.clips.iloc[900]
    searcher = Searcher.open(tmp_path / "index")
    found = searcher.clip(wanted["file"], top=len(index.clips), start=wanted["start"])
    same = (found["file"] == wanted["file"]) & (found["start"] == wanted["start"])
    assert found["score"][same].item() == pytest.approx(found["score"].max(), abs=1e-3)
    begin = time.perf_counter()
    assert len(searcher.text(" ".join(searcher.words.vocabulary[:4]))) == 10
    assert time.perf_counter() - begin < 1


def test_what_is_done_is_not_done_again(trained, own):
    part = own / "index/embeddings/part-00000/embeddings.safetensors"
    stamp = part.stat().st_mtime_ns
    make(trained, own)
    assert part.stat().st_mtime_ns == stamp


def test_indexing_goes_on_where_it_was_stopped(trained, own, tmp_path, monkeypatch):
    from multisk.search import index

    shutil.copytree(own / "videos", tmp_path / "videos")
    monkeypatch.setattr(index, "PART", 4)
    whole, calls = index.embed, []

    def stopping(model, clips, *arguments):
        calls.append(len(clips))
        if len(calls) == 2:
            raise KeyboardInterrupt
        return whole(model, clips, *arguments)

    monkeypatch.setattr(index, "embed", stopping)
    with pytest.raises(KeyboardInterrupt):
        make(trained, tmp_path)
    with pytest.raises(InputError, match=r"no such index"):
        Index.open(tmp_path / "index")
    made = make(trained, tmp_path)
    assert calls[:2] == [4, 4]
    assert sum(calls[2:]) == len(made.clips) - 4
    expected = Index.open(own / "index")
    assert made.clips["clip_id"].tolist() == expected.clips["clip_id"].tolist()
    np.testing.assert_allclose(made.joint, expected.joint, atol=1e-5)


def test_a_replaced_video_is_read_again(trained, own, tmp_path):
    shutil.copytree(own / "videos", tmp_path / "videos")
    before = make(trained, tmp_path)
    films = sorted((tmp_path / "videos/summer").iterdir())
    films[0].write_bytes(films[1].read_bytes())
    after = make(trained, tmp_path)
    rows = {
        name: [row for row, file in enumerate(after.clips["file"]) if file == str(name)] for name in films
    }
    np.testing.assert_allclose(after.joint[rows[films[0]]], after.joint[rows[films[1]]], atol=1e-5)
    assert not np.allclose(before.joint[0], after.joint[0], atol=1e-3)


def test_models_that_do_not_fit_are_refused_before_any_work(trained, own, tmp_path):
    shutil.copytree(trained / "data/words", tmp_path / "words")
    vectors = load_file(tmp_path / "words/vectors.safetensors")["vectors"]
    save_file({"vectors": vectors[:, :7].copy()}, tmp_path / "words/vectors.safetensors")
    shutil.copytree(own / "videos", tmp_path / "videos")
    with pytest.raises(InputError, match=r"takes word vectors 64 wide, these have 7"):
        make(trained, tmp_path, words=tmp_path / "words")
    assert not (tmp_path / "index").exists()


def test_extractors_of_other_statistics_are_refused_before_any_work(trained, own, tmp_path):
    """Their settings and widths are the same: only the record of the features tells."""
    extractors = shutil.copytree(trained / "data/extractors", tmp_path / "extractors")
    written = read_json(extractors / "extractors.json")
    write_json(extractors / "extractors.json", {**written, "calibrated_on": {"other": "videos"}})
    shutil.copytree(own / "videos", tmp_path / "videos")
    with pytest.raises(InputError, match=r"trained with other extractors than .*mini-howto/run\.json says"):
        make(trained, tmp_path, extractors=extractors)
    assert not (tmp_path / "index").exists()
    alone = shutil.copytree(trained / "runs/pretrain/sspc/seed-0", tmp_path / "model")
    TrainedModel.open(alone).check_extractors(extractors)  # nothing is known of a model that travelled


def test_all_trained_models_can_be_opened(trained):
    for place in (
        "pretrain/sspc/seed-0",
        "finetune/sspc/msrvtt/seed-0",
        "pretrain/sspc/seed-0/ema.safetensors",
    ):
        model = TrainedModel.open(trained / "runs" / place)
        assert model.widths["text"] == WordVectors.open(trained / "data/words").dimension


def test_clips_that_do_not_exist_are_named(own):
    with pytest.raises(InputError, match=r"damaged\.mp4: .*name another video"):
        search(own / "index", clip=own / "videos/damaged.mp4")
    file = Index.open(own / "index").clips["file"].iloc[0]
    with pytest.raises(InputError, match=r"ends before 99 s"):
        search(own / "index", clip=file, start=99)
