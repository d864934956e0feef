"""CLIP's towers, from tiny models that are built here: nothing is fetched, nothing is unpickled."""

import json
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from ruamel.yaml import YAML

from multisk.corpora.manifest import write_corpus
from multisk.errors import InputError
from multisk.features.clip import ClipPictures, ClipWords, clip_digest, clip_name, import_clip_words
from multisk.features.extraction import extract
from multisk.features.extractors import Extractors, prepare_extractors
from multisk.features.words import open_words, words_digest
from multisk.files import read_json
from multisk.params.profiles import compose
from multisk.sampling import CaptionedClips
from multisk.settings.features import Words
from multisk.settings.sampling import BenchmarkClips

REPOSITORY = Path(__file__).parents[2]
D, SIDE, POSITIONS = 12, 32, 24
LETTERS = "abcdefghijklmnopqrstuvwxyz"


def write_clip(folder: Path, **text_changes) -> Path:
    """Write a CLIP model of two layers, its tokenizer of letters and a few pairs, and its preprocessor."""
    from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel, CLIPTokenizer

    tokens = ["<|startoftext|>", "<|endoftext|>", *LETTERS, *(f"{letter}</w>" for letter in LETTERS)]
    tokens += ["on", "an</w>", "ion</w>", "onion</w>"]
    merges = [("o", "n"), ("a", "n</w>"), ("i", "on</w>"), ("on", "ion</w>")]
    tokens.append("on</w>")
    merges.insert(2, ("o", "n</w>"))
    tokenizer = CLIPTokenizer(vocab={token: row for row, token in enumerate(tokens)}, merges=merges)
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    special = {"bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 1}
    text = {**sizes, **special, "vocab_size": len(tokens), "max_position_embeddings": POSITIONS}
    picture = {**sizes, "image_size": SIDE, "patch_size": 8, "projection_dim": D}
    config = CLIPConfig(
        text_config={**text, "projection_dim": D, **text_changes}, vision_config=picture, projection_dim=D
    )
    torch.manual_seed(0)
    CLIPModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    square = {"height": SIDE, "width": SIDE}
    CLIPImageProcessor(size={"shortest_edge": SIDE}, crop_size=square).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clip(tmp_path_factory.mktemp("clip"))


@pytest.fixture(scope="module")
def reference(clip: Path):
    """The whole model, as transformers reads it."""
    from transformers import CLIPModel, CLIPTokenizer

    return CLIPModel.from_pretrained(clip).eval(), CLIPTokenizer.from_pretrained(clip)


def words(source: str = "", dimension: int = D) -> Words:
    return Words(source=source, dimension=dimension, epochs=1, window=1, min_count=1, seed=0)


@pytest.fixture
def opened(clip: Path, tmp_path: Path) -> ClipWords:
    import_clip_words(str(clip), words(), tmp_path / "words")
    opened = open_words(tmp_path / "words")
    assert isinstance(opened, ClipWords)
    return opened


def test_settings_name_a_model_by_a_prefix() -> None:
    assert clip_name("clip:models/vit") == "models/vit"
    assert clip_name("resnet152.tv_in1k") is None


# --- pictures ------------------------------------------------------------------------------------


@torch.inference_mode()
def test_pictures_are_those_of_transformers(clip, reference) -> None:
    from transformers import CLIPImageProcessor

    frames = torch.randint(0, 256, (3, SIDE, SIDE, 3), dtype=torch.uint8)
    network = ClipPictures.load(str(clip)).eval()
    pixels = CLIPImageProcessor.from_pretrained(clip)(list(frames.numpy()), return_tensors="pt")[
        "pixel_values"
    ]
    torch.testing.assert_close(network.preprocess(frames), pixels, rtol=1e-5, atol=1e-5)
    expected = reference[0].visual_projection(reference[0].vision_model(pixels).pooler_output)
    torch.testing.assert_close(network(frames), expected, rtol=1e-4, atol=1e-5)
    assert network.dimension == D


def test_a_corpus_gets_clip_features_even_when_the_model_is_gone(tmp_path, clip, corpus, settings) -> None:
    model = shutil.copytree(clip, tmp_path / "model")
    options = settings(
        appearance__model=f"clip:{model}",
        appearance__weights="pretrained",
        appearance__short_side=SIDE,
        appearance__crop=True,
    )
    prepare_extractors(corpus, options, tmp_path / "extractors")
    shutil.rmtree(model)
    store = extract(corpus, options, tmp_path / "extractors", tmp_path / "features")
    assert store.dimension("appearance") == D
    assert store.length("v1", "appearance") == 6
    assert store.read("v1", "appearance").std() > 0
    frames = torch.randint(0, 256, (2, SIDE, SIDE, 3), dtype=torch.uint8)
    loaded = Extractors.open(tmp_path / "extractors", options).networks["appearance"]
    with torch.inference_mode():
        assert torch.equal(loaded(frames), ClipPictures.load(str(clip)).eval()(frames))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"appearance__crop": False}, rf"takes no 42 x 32 frames: .*set crop: true and short_side: {SIDE}"),
        ({"appearance__short_side": 40}, rf"takes no 40 x 40 frames: .*short_side: {SIDE}"),
        ({"appearance__weights": "random"}, r"appearance\.weights: .*expected pretrained, found random"),
        ({"appearance__model": "clip:none"}, r"appearance\.model: none: no such folder, nor a model of this"),
    ],
)
def test_models_that_do_not_fit_are_named(tmp_path, clip, corpus, settings, changes, message) -> None:
    right = {
        "appearance__model": f"clip:{clip}",
        "appearance__weights": "pretrained",
        "appearance__short_side": SIDE,
        "appearance__crop": True,
    }
    with pytest.raises(InputError, match=message) as caught:
        prepare_extractors(corpus, settings(**(right | changes)), tmp_path / "out")
    assert "\n" not in str(caught.value)
    assert "http" not in str(caught.value)


# --- texts ---------------------------------------------------------------------------------------


@torch.inference_mode()
@pytest.mark.parametrize("text", ["an onion", "An  ONION on a pan", "x"])
def test_tokens_are_the_projected_states_of_the_last_layer(opened, reference, text: str) -> None:
    model, tokenizer = reference
    encoded = tokenizer(text, return_tensors="pt")
    expected = model.text_projection(model.text_model(**encoded).last_hidden_state)[0].numpy()
    vectors, mask = opened.encode(text, 20)
    assert vectors.shape == (20, D)
    assert vectors.dtype == np.float32
    assert mask.tolist() == [row < len(expected) for row in range(20)]
    np.testing.assert_allclose(vectors[mask], expected, rtol=1e-5, atol=1e-6)
    assert not vectors[~mask].any()
    assert opened.dimension == D


@torch.inference_mode()
def test_the_end_token_gives_the_text_embedding(opened, reference) -> None:
    model, tokenizer = reference
    embedding = model.text_projection(
        model.text_model(**tokenizer("an onion", return_tensors="pt")).pooler_output
    )
    vectors, mask = opened.encode("an onion", 10)
    np.testing.assert_allclose(vectors[mask][-1], embedding[0].numpy(), rtol=1e-5, atol=1e-6)


def test_long_texts_keep_their_beginning_and_their_end(opened) -> None:
    long = "onion " * 40
    for most in (1, 2, 5, 20, 100):
        vectors, mask = opened.encode(long, most)
        assert mask.sum() == min(most, POSITIONS)
        assert np.isfinite(vectors).all()
    np.testing.assert_allclose(opened.encode(long, 5)[0][:4], opened.encode(long, 20)[0][:4], atol=1e-6)


def test_no_words_are_no_tokens(opened) -> None:
    assert not opened.encode("", 5)[1].any()
    assert not opened.encode(" \n", 5)[1].any()
    assert opened.tokens("an onion") == ["an</w>", "onion</w>"]
    assert opened.unknown("Quux!") == []


def test_a_text_is_computed_once_and_travels_to_workers(opened, monkeypatch) -> None:
    first = opened.encode("an onion", 8)
    sent = pickle.dumps(opened)
    assert len(sent) < 2000
    monkeypatch.setattr(opened._tower.text_model, "forward", None)  # it must not be asked again
    again = opened.encode("an onion", 8)
    assert np.array_equal(again[0], first[0])
    again[0][:] = 7  # what was given out is the caller's own
    assert np.array_equal(opened.encode("an onion", 8)[0], first[0])
    assert np.array_equal(pickle.loads(sent).encode("an onion", 8)[0], first[0])


def test_clips_take_tokens_where_they_took_word_vectors(tmp_path, opened, corpus, settings) -> None:
    options = settings()
    prepare_extractors(corpus, options, tmp_path / "extractors")
    rows = [("c0", "v0", 0.0, 2.0, "test", ["an onion"]), ("c1", "v1", 0.0, 2.0, "test", [" "])]
    columns = ["clip_id", "video_id", "start", "end", "split", "captions"]
    videos = corpus.videos.assign(path=[str(corpus.path(video)) for video in corpus.videos["video_id"]])
    captioned = write_corpus(
        tmp_path / "c",
        name="c",
        role="captioned",
        description="",
        videos=videos,
        clips=pd.DataFrame(rows, columns=columns),
    )
    store = extract(captioned, options, tmp_path / "extractors", tmp_path / "features")
    budget = {"video_tokens": 4, "audio_frames": 64, "words": 7, "sampling": "clip"}
    clips = BenchmarkClips.model_validate({**budget, "segments": 1})
    dataset = CaptionedClips(store, captioned, opened, clips, "test")
    batches = list(torch.utils.data.DataLoader(dataset, batch_size=None, num_workers=1))
    assert batches[0]["text"].shape[-2:] == (7, D)
    assert batches[0]["text_mask"].sum() == len(["<", "an", "onion", ">"])
    assert batches[1]["text_mask"].sum() == 0


@pytest.fixture
def world(clip: Path, tmp_path: Path) -> Path:
    settings = compose("smoke", REPOSITORY / "profiles")
    settings["features"]["words"] |= {"source": f"clip:{clip}", "dimension": D}
    YAML().dump(settings, tmp_path / "params.yaml")
    return tmp_path


def test_the_words_stage_copies_the_text_tower(world: Path, clip: Path) -> None:
    command = [sys.executable, str(REPOSITORY / "stages" / "words.py")]
    done = subprocess.run(command, cwd=world, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    assert f"CLIP's text tower, {D} numbers per token" in done.stdout
    assert isinstance(open_words(world / "data/words"), ClipWords)
    assert len(words_digest(world / "data/words")) == 64
    record = read_json(world / "runs/words/words/run.json")
    assert record["status"] == "finished"
    assert len(clip_digest(str(clip))) == 64


# --- what is refused -----------------------------------------------------------------------------


def test_another_width_is_named(tmp_path, clip) -> None:
    with pytest.raises(InputError, match=rf"features\.words\.dimension: .* has {D}, found 300"):
        import_clip_words(str(clip), words(dimension=300), tmp_path)


def test_weights_that_are_missing_are_not_drawn(tmp_path, clip) -> None:
    from safetensors.torch import load_file, save_file

    damaged = shutil.copytree(clip, tmp_path / "damaged")
    state = load_file(damaged / "model.safetensors")
    del state["text_model.encoder.layers.1.mlp.fc1.weight"]
    save_file(state, damaged / "model.safetensors", {"format": "pt"})
    message = r"no such CLIP tower: 1 of \d+ weights are missing, first text_model\.encoder\.layers\.1\.mlp"
    with pytest.raises(InputError, match=message):
        import_clip_words(str(damaged), words(), tmp_path / "out")
    ClipPictures.load(str(damaged))  # the other tower is whole


def test_pickled_weights_are_never_read(tmp_path, clip) -> None:
    from safetensors.torch import load_file

    pickled = shutil.copytree(clip, tmp_path / "pickled")
    torch.save(load_file(pickled / "model.safetensors"), pickled / "pytorch_model.bin")
    (pickled / "model.safetensors").unlink()
    for load in (ClipPictures.load, lambda name: import_clip_words(name, words(), tmp_path / "out")):
        with pytest.raises(InputError, match=r"model\.safetensors"):
            load(str(pickled))


@pytest.mark.parametrize(("file", "content"), [("config.json", "{"), ("model.safetensors", "x")])
def test_damaged_folders_are_named(tmp_path, clip, file: str, content: str) -> None:
    damaged = shutil.copytree(clip, tmp_path / "damaged")
    (damaged / file).write_text(content)
    with pytest.raises(InputError, match=r"features\.words\.source: .*damaged") as caught:
        import_clip_words(str(damaged), words(), tmp_path / "out")
    assert "\n" not in str(caught.value)


def test_other_models_are_no_clip(tmp_path, clip) -> None:
    from transformers import BertConfig, BertModel

    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    BertModel(BertConfig(**sizes, vocab_size=100)).save_pretrained(tmp_path / "bert")
    shutil.copy(clip / "tokenizer.json", tmp_path / "bert")
    with pytest.raises(InputError, match=r"features\.words\.source: .*bert"):
        import_clip_words(str(tmp_path / "bert"), words(), tmp_path / "out")


def test_code_that_comes_with_a_model_is_not_run(tmp_path, clip) -> None:
    hostile = shutil.copytree(clip, tmp_path / "hostile")
    config = json.loads((hostile / "config.json").read_text())
    config["auto_map"] = {"AutoModel": "evil.Model", "AutoConfig": "evil.Config"}
    (hostile / "config.json").write_text(json.dumps(config))
    (hostile / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    import_clip_words(str(hostile), words(), tmp_path / "out")
    ClipPictures.load(str(hostile))
    assert not (tmp_path / "ran").exists()
