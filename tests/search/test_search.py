"""Questions to an index of 1,000 clips."""

import logging
import time

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from multisk.errors import InputError
from multisk.evaluation.embed import EmbeddedSet
from multisk.files import write_json
from multisk.methods.trained import TrainedModel
from multisk.search.index import Index
from multisk.search.search import Searcher, search

QUERY = "someone slices an onion"


def plant(folder, number, row):
    """Give a clip the embedding `row`."""
    part = folder / "embeddings" / f"part-{number // 600:05d}"
    embedded = EmbeddedSet.load(part)
    embedded.joint["v+a"][number % 600] = row
    embedded.save(part)


def text_embedding(searcher, query):
    vectors, mask = searcher.words.encode(query, searcher.index.made.clips.words)
    return searcher._embed(text=vectors, text_mask=mask).joint["t"][0].numpy()


def test_the_right_one_of_1000_clips_comes_first_within_a_second(index):
    plant(index, 777, 3 * text_embedding(Searcher.open(index), QUERY))
    start = time.perf_counter()
    searcher = Searcher.open(index)
    found = searcher.text(QUERY, top=5)
    assert time.perf_counter() - start < 1
    assert len(searcher.index.clips) == 1000
    assert found.columns.tolist() == ["file", "start", "end", "score"]
    best = found.iloc[0]
    assert best["file"].endswith("videos/day 38/film 38.mp4")
    assert (best["start"], best["end"]) == (17 * 8, 18 * 8)
    assert best["score"] == pytest.approx(1, abs=1e-5)


def test_scores_are_cosines_in_falling_order(index):
    searcher = Searcher.open(index)
    found = search(searcher, text=QUERY, top=2000)
    assert len(found) == 1000
    assert found["score"].is_monotonic_decreasing
    query, rows = text_embedding(searcher, QUERY), searcher.index.joint
    cosines = rows @ query / np.linalg.norm(rows, axis=1) / np.linalg.norm(query)
    np.testing.assert_allclose(found["score"], np.sort(cosines)[::-1], atol=1e-6)
    assert not found.duplicated(["file", "start"]).any()


def test_a_text_is_embedded_as_in_evaluation(index):
    """What else is in the batch does not matter: only the words do."""
    searcher = Searcher.open(index)
    vectors, mask = searcher.words.encode(QUERY, searcher.index.made.clips.words)
    budget = searcher.index.made.clips
    batch = {
        "text": torch.from_numpy(vectors)[None],
        "text_mask": torch.from_numpy(mask)[None],
        "video": torch.randn(1, budget.video_tokens, 10),
        "video_mask": torch.ones(1, budget.video_tokens, dtype=torch.bool),
        "audio": torch.randn(1, 40, budget.audio_frames),
        "audio_mask": torch.ones(1, budget.audio_frames, dtype=torch.bool),
    }
    with torch.inference_mode():
        expected = searcher.trained.model(batch).joint["t"][0]
    np.testing.assert_allclose(text_embedding(searcher, QUERY), expected, atol=1e-5)


def test_sounds_are_searched_by_the_span_of_a_clip(index, write_sound, tmp_path):
    searcher = Searcher.open(index)
    sound = write_sound(tmp_path / "noise.wav", seconds=20)
    first, later = (search(searcher, audio=sound, start=start, top=3) for start in (0, 9))
    assert not np.allclose(first["score"], later["score"])
    with pytest.raises(InputError, match=r"noise\.wav: no sound at 30 s"):
        search(searcher, audio=sound, start=30)


def test_words_without_a_vector_are_told(index, caplog):
    searcher = Searcher.open(index)
    with caplog.at_level(logging.WARNING):
        found = searcher.text("someone slices an Apple onion")
    assert "left out words without a vector: Apple" in caplog.text
    assert found.equals(searcher.text(QUERY))
    with pytest.raises(InputError, match=r"query: 'ONION!': none of its words has a vector in .*words"):
        searcher.text("ONION!")


def test_exactly_one_question_is_asked(index):
    with pytest.raises(InputError, match="query: 0 given"):
        search(index)
    with pytest.raises(InputError, match="query: 2 given"):
        search(index, text="onion", clip="a.mp4")


@pytest.mark.parametrize(
    ("question", "message"),
    [
        ({"audio": "none.wav"}, r"none\.wav: no such file"),
        ({"clip": "none.mp4"}, r"none\.mp4: no such file"),
        ({"audio": __file__}, r"test_search\.py: cannot be decoded"),
    ],
)
def test_files_that_cannot_be_read_are_named(index, question, message):
    with pytest.raises(InputError, match=message):
        search(index, **question)


def test_films_without_sound_are_named(index, write_film, tmp_path):
    film = write_film(tmp_path / "silent.mp4", seconds=1)
    with pytest.raises(InputError, match=r"silent\.mp4: no audio track; search by an example clip"):
        search(index, audio=film)


def test_what_has_changed_since_is_named(index, run, words):
    weights = load_file(run / "model.safetensors")
    save_file({key: x + 1 for key, x in weights.items()}, run / "model.safetensors")
    with pytest.raises(InputError, match=r"model\.safetensors: changed since .*run multisk index again"):
        search(index, text="onion")
    save_file(weights, run / "model.safetensors")
    (words / "vectors.safetensors").write_bytes((words / "vectors.safetensors").read_bytes() + b" ")
    with pytest.raises(InputError, match="words"):
        search(index, text="onion")


def test_missing_and_unfinished_indexes_are_named(index, tmp_path):
    with pytest.raises(InputError, match=r"none/index\.json: no such index; .*multisk index"):
        Index.open(tmp_path / "none")
    for part in (index / "embeddings" / "part-00001").iterdir():
        part.unlink()
    (index / "embeddings" / "part-00001").rmdir()
    with pytest.raises(InputError, match="unfinished; run the same multisk index again"):
        Index.open(index)
    (index / "index.json").write_text('{"videos": 3}')
    with pytest.raises(InputError, match=r"index\.json: not written by this version"):
        Index.open(index)


def test_models_that_do_not_fit_are_named(run):
    trained = TrainedModel.open(run)
    trained.check(text=6, video=10)
    with pytest.raises(InputError, match="takes video features 10 wide, the extractors make 4096"):
        trained.check(text=6, video=4096)
    with pytest.raises(InputError, match="takes word vectors 6 wide, these have 300"):
        trained.check(text=300, video=10)


def test_what_is_no_model_is_named(run, tmp_path):
    with pytest.raises(InputError, match="no trained model; name a run folder"):
        TrainedModel.open(tmp_path)
    (run / "run.json").write_text('{"stage": "evaluate"}')
    with pytest.raises(InputError, match=r"run\.json: does not describe a trained model"):
        TrainedModel.open(run)
    (run / "run.json").unlink()
    with pytest.raises(InputError, match=r"neither run\.json nor a metafile beside it"):
        TrainedModel.open(run)


def test_imported_checkpoints_are_models_too(tmp_path):
    from tests.reference.release import to_release

    from multisk.models.checkpoints import import_checkpoint
    from multisk.models.release_config import model_from_release_config

    fusion = {"embed_dim": 8, "num_heads": 2}
    arch = {"type": "EverythingAtOnceModel", "args": {"text_embed_dim": 5, "fusion_params": fusion}}
    arch["args"] |= {"video_embed_dim": 6, "projection_dim": 10}
    sizes = {"layers": [1, 1], "layer_widths": [4, 4, 4]}
    model = model_from_release_config(arch["type"], arch["args"], sizes)
    torch.save({"state_dict": to_release(model, {}), "config": {"arch": arch}}, tmp_path / "eao.pth")
    trained = TrainedModel.open(import_checkpoint(tmp_path / "eao.pth", tmp_path))
    assert trained.widths == {"text": 5, "video": 6}
    assert not trained.model.training


@pytest.mark.parametrize("name", ["eao-positions", "eao-text-video", "eao-half-width", "avlnet", "howto100m"])
def test_runs_of_every_kind_of_model_are_opened(tmp_path, repository, settings, monkeypatch, name):
    from multisk.methods.recipes import load_recipes, resolve
    from multisk.models import build_model
    from multisk.params.profiles import compose
    from multisk.settings.training import Method

    monkeypatch.chdir(repository)
    entry = resolve(load_recipes()[name], compose("smoke")["methods"])
    method = Method.model_validate(entry)
    model = build_model(
        method.model,
        settings.model,
        text_dimension=6,
        video_dimension=10,
        anchors=None,
        architecture=method.architecture,
        positions={"t": 5, "v": 4, "a": 3},
    )
    save_file(model.state_dict(), tmp_path / "model.safetensors")
    sizes = settings.model.model_dump(mode="json")
    write_json(tmp_path / "run.json", {"method": name, "params": {"model": sizes, f"methods.{name}": entry}})
    trained = TrainedModel.open(tmp_path)
    assert trained.widths == {"text": 6, "video": 10}
    assert {key: x.shape for key, x in trained.model.state_dict().items()} == {
        key: x.shape for key, x in model.state_dict().items()
    }
