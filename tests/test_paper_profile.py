"""The published setting as a profile: its model has the released checkpoint's parameters."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from ruamel.yaml import YAML

from multisk.errors import InputError
from multisk.models import build_model
from multisk.models.release_config import model_from_release_config
from multisk.params import load_params, load_profile
from multisk.params.profiles import composed_text


@pytest.fixture(scope="module")
def paper(repository):
    return load_profile("paper", repository / "profiles")


@pytest.mark.parametrize(("method", "recorded"), [("sspc", "full_msk_resnet_tva"), ("eao", "full_eao_tva")])
def test_the_model_has_the_released_shapes(paper, repository, method, recorded):
    released = json.loads((repository / "tests/golden/D_models" / f"{recorded}.json").read_text())
    recipe = paper.methods[method]
    anchors = recipe.sspc.anchors.count if recipe.sspc else None
    with torch.device("meta"):
        model = build_model(
            recipe.model, paper.model, text_dimension=300, video_dimension=4096, anchors=anchors
        )
        architecture = released["arch_config"]
        expected = model_from_release_config(architecture["type"], architecture["args"])
    shapes = {name: tensor.shape for name, tensor in model.state_dict().items()}
    assert shapes == {name: tensor.shape for name, tensor in expected.state_dict().items()}


def test_a_mistake_among_the_corpora_is_named_without_the_kind(repository, tmp_path):
    text = composed_text("miniature", repository / "profiles")
    (tmp_path / "params.yaml").write_text(text.replace("lead_seconds:", "lead_second:"))
    with pytest.raises(InputError, match=r"corpora\.howto\.lead_second: unknown key, did you mean"):
        load_params(tmp_path / "params.yaml")


# What is known of the published setting, by what params.yaml calls it.
PUBLISHED = {
    "features.appearance.model": "resnet152.tv_in1k",
    "features.appearance.features_per_second": 1,
    "features.motion.blocks": (3, 4, 23, 3),
    "features.motion.cardinality": 32,
    "features.motion.frames_per_second": 24,
    "features.motion.window": 16,
    "features.motion.side": 112,
    "features.words.dimension": 300,
    "clips.pretrain.corpus": "howto100m",
    "clips.pretrain.clips_per_video": 10,
    "clips.pretrain.seconds": 8,
    "clips.pretrain.video_tokens": 8 * 1.5,
    "clips.pretrain.audio_frames": 768,
    "clips.pretrain.words": 20,
    "clips.pretrain.shift_audio": True,
    "benchmarks.youcook2.clips.video_tokens": 48 * 1.5,
    "benchmarks.youcook2.clips.audio_frames": 4608,
    "benchmarks.youcook2.complete_size": 3350,
    "benchmarks.msrvtt.clips.video_tokens": 32 * 1.5,
    "benchmarks.msrvtt.clips.audio_frames": 3072,
    "benchmarks.msrvtt.complete_size": 1000,
    "model.dimension": 4096,
    "model.joint_dimension": 6144,
    "model.depth": 1,
    "model.heads": 64,
    "model.mlp_ratio": 1,
    "methods.sspc.model": "per_modality",
    "methods.sspc.contrastive.alpha": 1,
    "methods.sspc.contrastive.temperature": 0.05,
    "methods.sspc.contrastive.weights.t_v": 1,
    "methods.sspc.contrastive.weights.t_a": 0.1,
    "methods.sspc.contrastive.weights.v_a": 0.1,
    "methods.sspc.sspc.anchors.count": 64,
    "methods.sspc.sspc.queue": 5500,
    "methods.sspc.sspc.temperature": 0.1,
    "methods.sspc.sspc.sinkhorn.fraction": 0.5,
    "methods.sspc.sspc.sinkhorn.epsilon": 0.07,
    "methods.sspc.sspc.sinkhorn.iterations": 20,
    "methods.sspc.sspc.sinkhorn.slots": "constant",
    "methods.eao.model": "eao",
    "pretrain.epochs": 15,
    "pretrain.batch_size": 216,
    "pretrain.learning_rate": 5e-5,
    "pretrain.decay": 0.9,
    "pretrain.ema": 0.9999,
    "pretrain.mixed_precision": "fp16",
    "finetune.pair_weight": 1,
    "benchmarks.youcook2.finetune.batch_size": 256,
    "benchmarks.youcook2.finetune.learning_rate": 1e-5,
    "benchmarks.youcook2.finetune.epochs": 5,
    "benchmarks.youcook2.finetune.freeze_batch_norm": True,
    "benchmarks.msrvtt.finetune.batch_size": 128,
    "benchmarks.msrvtt.finetune.learning_rate": 5e-5,
    "benchmarks.msrvtt.finetune.epochs": 25,
    "benchmarks.msrvtt.finetune.freeze_batch_norm": True,
    "evaluate.weights": "raw",
}


@pytest.mark.parametrize(("key", "value"), PUBLISHED.items())
def test_the_profile_has_the_published_value(paper, key, value):
    found = paper
    for part in key.split("."):
        found = found[part] if isinstance(found, dict) else getattr(found, part)
    assert found == value


def test_each_term_with_audio_weighs_a_tenth(paper):
    for direction in ("input_to_joint", "joint_to_input"):
        terms = getattr(paper.methods["sspc"].sspc, direction)
        for anchor in "tva":
            for data in "tva":
                expected = 0.1 if "a" in (anchor, data) else 1
                assert getattr(getattr(terms, anchor), data) == expected


def stated(section: Any) -> Iterator[tuple[str, int]]:
    """The values that a file states, each with its line; a mapping on one line is one value."""
    for key, value in section.items():
        if isinstance(value, dict) and not value.fa.flow_style():
            yield from stated(value)
        elif value != "???":
            yield key, section.lc.value(key)[0]


SOURCED = ["features", "clips", "model", "methods", "pretrain"]


@pytest.mark.parametrize(
    ("file", "section"),
    [
        *(("profiles/base.yaml", section) for section in [*SOURCED, "finetune"]),
        *(("profiles/paper.yaml", section) for section in SOURCED),
        *((f"src/multisk/benchmarks/{name}.yaml", "settings") for name in ("youcook2", "msrvtt")),
    ],
)
def test_each_value_has_its_source(repository, section, file):
    text = (repository / file).read_text()
    values = list(stated(YAML().load(text)[section]))
    assert values
    lines = text.splitlines()
    sources = ("paper", "released", "EAO, released", "not stated", "the paper", "of ")
    assert not [key for key, line in values if not lines[line].partition("# ")[2].startswith(sources)]
