"""Thumbnails and the sample of queries."""

import pandas as pd
import pytest

from multisk.corpora.manifest import Corpus
from multisk.errors import InputError
from multisk.features.thumbnail import thumbnail
from multisk.reporting.gallery import queries, sample_queries


@pytest.fixture
def corpus(complete) -> Corpus:
    return Corpus.open(complete / "data" / "corpora" / "mini-youcook2")


def shade(path, second) -> int:
    picture = thumbnail(path, second)
    assert picture is not None
    return picture.getpixel((5, 5))[0]


def test_thumbnail_is_the_frame_shown_at_that_second(corpus):
    # Frames 0-3 (the first second) have shade 10, frames 4-7 shade 50.
    path = corpus.path("v00")
    assert shade(path, 0.0) == pytest.approx(10, abs=3)
    assert shade(path, 0.99) == pytest.approx(10, abs=3)
    assert shade(path, 1.0) == pytest.approx(50, abs=3)
    assert shade(path, 99.0) == pytest.approx(50, abs=3)


def test_no_thumbnail_of_what_cannot_be_decoded(tmp_path):
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no film")
    assert thumbnail(broken, 0.5) is None
    assert thumbnail(tmp_path / "absent.mp4", 0.5) is None


def test_sample_depends_on_the_ids_alone():
    ids = [f"clip-{index}" for index in range(50)]
    chosen = sample_queries(ids, 8)
    assert chosen == sample_queries(ids[::-1], 8)
    assert len(set(chosen)) == 8
    assert chosen != sample_queries(ids, 8, seed=1)
    assert sorted(sample_queries(ids, 99)) == sorted(ids)


def table(rank: float, top: list[str]) -> pd.DataFrame:
    row = {
        "method": "sspc",
        "file": "gallery.parquet",
        "benchmark": "youcook2",
        "setting": "zero-shot",
        "seed": 0,
        "clip_id": "clip-v01",
        "rank": rank,
        "top": top,
    }
    return pd.DataFrame([row, row | {"method": "eao", "rank": 2.5}])


def test_the_right_clip_follows_where_it_is_not_among_the_first(corpus):
    top = [f"clip-v{index:02d}" for index in (2, 3, 4, 5, 6)]
    [query] = queries(table(17, top), corpus, method="sspc", setting="zero-shot", seed=0, count=3)
    assert [(picture.place, picture.right) for picture in query.pictures][-2:] == [("5", False), ("17", True)]
    ranks = {setting: [(name, cell.text) for name, cell in of] for setting, of in query.ranks.items()}
    assert ranks == {"zero-shot": [("SSPC", "17"), ("EAO", "2.5")]}
    assert query.rank.text == "17"
    key = "rank?benchmark=youcook2&setting=zero-shot&seed=0&clip_id=clip-v01"
    assert query.rank.attributes["data-key"] == key
    [query] = queries(
        table(1, ["clip-v01", *top[:4]]), corpus, method="sspc", setting="zero-shot", seed=0, count=3
    )
    assert [picture.right for picture in query.pictures] == [True, False, False, False, False]


def test_clips_of_another_corpus_are_refused(corpus):
    with pytest.raises(InputError, match="'clip-of-old' is no clip of the corpus; run dvc repro"):
        queries(table(9, ["clip-of-old"]), corpus, method="sspc", setting="zero-shot", seed=0, count=1)
