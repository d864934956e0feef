"""A released checkpoint, imported, on imported benchmarks: the pipeline's metrics without its training."""

import pickle
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from ruamel.yaml import YAML
from tests.reference.release import to_release

from multisk.files import read_json
from multisk.models.release_config import model_from_release_config
from multisk.params.profiles import compose

ARCHITECTURES = {
    "sspc": ("TransformerPerModalityModel2", {"anc_len_txt": 3}),
    "eao": ("EverythingAtOnceModel", {}),
}
DAVENET = {"layers": [2, 1], "layer_widths": [4, 6, 8], "convsize": 3, "feat_dim": 40}
WORDS = ("cut", "the", "onion", "pan", "fish", "tomato", "bread")


def multisk(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "multisk", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=120)


def write_checkpoint(path: Path, kind: str, video: int = 7) -> None:
    name, fusion = ARCHITECTURES[kind]
    sizes = {"text_embed_dim": 5, "video_embed_dim": video, "projection_dim": 10}
    args = {**sizes, "fusion_params": {"embed_dim": 8, "num_heads": 2, **fusion}}
    torch.manual_seed(0)
    weights = to_release(model_from_release_config(name, args, DAVENET), {})
    torch.save({"state_dict": weights, "config": {"arch": {"type": name, "args": args}}}, path)


def clip(rng: np.random.Generator, name: str, caption: dict[str, Any], full: str = "") -> dict[str, Any]:
    arrays = {f"2d{full}": rng.random((8, 3), np.float32), f"3d{full}": rng.random((12, 4), np.float32)}
    return {"id": name, "audio": -80 * rng.random((40, 800), np.float32), **arrays, **caption}


@pytest.fixture(scope="module")
def imported(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Settings, imported test splits of both benchmarks and word vectors; nothing of HowTo100M."""
    folder = tmp_path_factory.mktemp("imported")
    rng = np.random.default_rng(0)
    settings = compose("paper", repository / "profiles")
    settings["features"]["words"] |= {"source": "words.txt", "dimension": 5}
    YAML().dump(settings, folder / "params.yaml")
    things = WORDS[2:]
    msrvtt = [clip(rng, f"video{k}", {"eval_caption": f"cut the {w}"}) for k, w in enumerate(things)]
    youcook = [clip(rng, f"clip{k}", {"caption": f"cut the {w}"}, "_full") for k, w in enumerate(things)]
    del youcook[2]["2d_full"]
    for name, items in {"msrvtt": msrvtt, "youcook2": youcook}.items():
        (folder / f"{name}.pickle").write_bytes(pickle.dumps(items))
    lines = [f"{word} {' '.join(f'{x:.4f}' for x in rng.standard_normal(5))}" for word in WORDS]
    (folder / "words.txt").write_text(f"{len(lines)} 5\n" + "\n".join(lines) + "\n")
    for name, option in (("msrvtt", "--test"), ("youcook2", "--validation")):
        done = multisk(folder, "import", name, option, f"{name}.pickle")
        assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def folder(imported: Path, tmp_path: Path) -> Path:
    """A copy of it to work in."""
    return shutil.copytree(imported, tmp_path / "copy")


@pytest.mark.parametrize("kind", list(ARCHITECTURES))
def test_an_imported_checkpoint_is_measured_like_the_pipelines_models(folder: Path, kind: str) -> None:
    write_checkpoint(folder / "latest_model.pth", kind)
    assert multisk(folder, "import-checkpoint", "latest_model.pth").returncode == 0
    weights = next((folder / "checkpoints").glob("*.safetensors"))
    done = multisk(folder, "evaluate-checkpoint", str(weights))
    assert done.returncode == 0, done.stderr
    place = folder / "runs" / "checkpoints" / weights.stem / "zero-shot"
    metrics = read_json(place / "metrics.json")
    assert metrics["clips"]["msrvtt"] == {"present": 5, "complete": 1000, "missing": 995}
    assert metrics["clips"]["youcook2"] == {"present": 4, "complete": 3350, "missing": 3346}
    fused = "t2va" if kind == "eao" else "t2v+a"
    assert len(metrics["msrvtt"]["zero-shot"]) == (18 if kind == "eao" else 12)
    ranks = pd.read_parquet(place / "msrvtt" / "ranks.parquet").query("direction == @fused")["rank"]
    assert len(ranks) == 5
    assert metrics["msrvtt"]["zero-shot"][fused]["R1"] == pytest.approx(100 * (ranks == 1).sum() / 1000)
    assert metrics["msrvtt"]["zero-shot"][fused]["MedR"] == ranks.median()
    assert read_json(place / "run.json")["status"] == "finished"
    assert fused in done.stdout
    assert str(place.relative_to(folder) / "metrics.json") in done.stdout


def test_the_evaluation_of_a_checkpoint_is_done_again(folder: Path) -> None:
    """Its weights and its words lie beside the data, where the settings and the command name them."""
    write_checkpoint(folder / "latest_model.pth", "sspc")
    assert multisk(folder, "import-checkpoint", "latest_model.pth").returncode == 0
    weights = next((folder / "checkpoints").glob("*.safetensors")).relative_to(folder)
    (folder / "msrvtt").mkdir()  # named like an option's value
    done = multisk(folder, "evaluate-checkpoint", "--benchmark", "msrvtt", str(weights))
    assert done.returncode == 0, done.stderr
    run = f"runs/checkpoints/{weights.stem}/zero-shot"
    done = multisk(folder, "reproduce", run, "--run")
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"multisk evaluate-checkpoint --benchmark msrvtt {weights}" in done.stdout.splitlines()
    assert "dataset: the same" in done.stdout
    assert "numbers are equal; the largest difference is 0" in done.stdout


def write_text_tower(folder: Path, width: int) -> None:
    """Write the text tower of a CLIP model with random weights, and a tokenizer of letters."""
    from transformers import CLIPTextConfig, CLIPTextModelWithProjection, CLIPTokenizer

    letters = "abcdefghijklmnopqrstuvwxyz"
    tokens = ["<|startoftext|>", "<|endoftext|>", *letters, *(f"{letter}</w>" for letter in letters)]
    sizes = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
    special = {"bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 1}
    config = CLIPTextConfig(vocab_size=len(tokens), projection_dim=width, **sizes, **special)
    torch.manual_seed(0)
    CLIPTextModelWithProjection(config).save_pretrained(folder)
    CLIPTokenizer(vocab={token: row for row, token in enumerate(tokens)}, merges=[]).save_pretrained(folder)


def name_words(folder: Path, source: str) -> None:
    settings = YAML(typ="safe").load(folder / "params.yaml")
    settings["features"]["words"]["source"] = source
    YAML().dump(settings, folder / "params.yaml")


def test_texts_become_clips_tokens_where_the_settings_say_so(folder: Path) -> None:
    write_checkpoint(folder / "latest_model.pth", "sspc")
    assert multisk(folder, "import-checkpoint", "latest_model.pth").returncode == 0
    weights = next((folder / "checkpoints").glob("*.safetensors"))
    write_text_tower(folder / "clip", 5)
    place = folder / "runs" / "checkpoints" / weights.stem / "zero-shot"
    ranks, digests = {}, {}
    for source in ("clip:clip", "words.txt"):  # what the first one left must not be taken for the second's
        name_words(folder, source)
        done = multisk(folder, "evaluate-checkpoint", str(weights), "--benchmark", "msrvtt")
        assert done.returncode == 0, done.stderr
        digests[source] = read_json(place / "run.json")["dataset_digest"]
        ranks[source] = pd.read_parquet(place / "msrvtt" / "ranks.parquet")
    assert digests["clip:clip"] != digests["words.txt"]
    assert not ranks["clip:clip"].equals(ranks["words.txt"])
    name_words(folder, "clip:none")
    done = multisk(folder, "evaluate-checkpoint", str(weights), "--benchmark", "msrvtt")
    assert done.returncode == 2
    assert "features.words.source: none: no such folder" in done.stderr


def test_a_model_of_other_features_is_refused_in_one_line(folder: Path) -> None:
    write_checkpoint(folder / "other.pth", "sspc", video=9)
    assert multisk(folder, "import-checkpoint", "other.pth").returncode == 0
    weights = next((folder / "checkpoints").glob("*.safetensors"))
    done = multisk(folder, "evaluate-checkpoint", str(weights))
    assert done.returncode == 2
    assert "takes video features 9 wide" in done.stderr
    assert "Traceback" not in done.stderr
    assert not list((folder / "runs").rglob("metrics.json"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--benchmark", "msvd"), "--benchmark: 'msvd' is not one of youcook2, msrvtt"),
        (("--setting", "tuned"), "--setting: 'tuned' is not one of zero-shot, fine-tuned"),
        ((), "none.safetensors: no trained model"),
    ],
)
def test_what_there_is_not_is_named(repository: Path, arguments: tuple[str, ...], message: str) -> None:
    done = multisk(repository, "evaluate-checkpoint", "none.safetensors", *arguments)
    assert done.returncode == 2
    assert message in done.stderr
