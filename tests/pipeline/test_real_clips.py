"""The miniature's networks and model on real clips, good and damaged ones."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from multisk.corpora.own import register_videos
from multisk.evaluation.embed import embed
from multisk.features.extraction import extract
from multisk.features.words import WordVectors
from multisk.methods.model import method_model
from multisk.models.weights import load_weights
from multisk.params import load_params
from multisk.sampling import CaptionedClips
from multisk.search.clips import cut_clips

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def expected(realdata):
    """What is known of each real clip, by its path below clips/."""
    table = pd.read_csv(realdata / "clips.csv")
    table["video_id"] = [str(Path(path).relative_to("clips")) for path in table["path"]]
    return table.set_index("video_id")


def test_good_clips_get_embeddings_and_damaged_ones_a_reason(trained, realdata, expected, tmp_path):
    params = load_params(trained / "params.yaml")
    corpus = register_videos(realdata / "clips", tmp_path / "corpus")
    assert set(corpus.videos["video_id"]) == set(expected.index)
    store = extract(corpus, params.features, trained / "data/extractors", tmp_path / "features")

    good = set(expected.index[expected["decodes_ok"]])
    failed = store.status[store.status["status"] == "failed"]
    assert set(store.videos()) == good
    assert set(failed["video_id"]) == set(expected.index) - good
    assert failed["reason"].str.len().min() > 0

    corpus = cut_clips(corpus, store, params.clips.pretrain.seconds)
    words = WordVectors.open(trained / "data/words")
    clips = CaptionedClips(store, corpus, words, params.benchmark("msrvtt").clips, "test")
    widths = {"text_dimension": words.dimension}
    widths["video_dimension"] = store.dimension("appearance") + store.dimension("motion")
    model = method_model(params, "sspc", widths)
    load_weights(model, trained / "runs/pretrain/sspc/seed-0/model.safetensors")
    embedded = embed(model, clips, batch_size=8)
    assert {clip_id.rpartition("@")[0] for clip_id in embedded.clip_ids} == good
    assert all(np.isfinite(rows).all() for rows in embedded.joint.values())
    assert embedded.nonempty["v"].all()
    sounding = set(expected.index[expected["has_audio"]])
    heard = {
        i.rpartition("@")[0] for i, yes in zip(embedded.clip_ids, embedded.nonempty["a"], strict=True) if yes
    }
    assert heard == sounding & good
