"""Models from settings."""

from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError

from multisk.errors import InputError
from multisk.methods.model import position_counts
from multisk.models import AVLnetModel, EAOModel, PerModalityModel, build_model
from multisk.models.blocks import Attention
from multisk.params import load_profile
from multisk.settings.models import AnchorSettings, Architecture, Davenet, Model
from multisk.settings.training import Method


@pytest.fixture
def settings() -> Model:
    davenet = Davenet(layers=(1, 1), widths=(4, 4, 8), kernel=5)
    return Model(dimension=8, joint_dimension=12, depth=2, heads=4, mlp_ratio=2, davenet=davenet)


def test_settings_arrive(settings: Model) -> None:
    model = build_model("per_modality", settings, text_dimension=5, video_dimension=6, anchors=7)
    assert isinstance(model, PerModalityModel)
    assert model.anchors is not None
    assert model.anchors.input["v"].shape == (7, 8)
    assert model.anchors.joint["a"].shape == (7, 12)
    shapes = {name: tuple(x.shape) for name, x in model.named_parameters()}
    assert shapes["tokenizer.projection.t.fc.weight"] == (8, 5)
    assert shapes["tokenizer.projection.v.fc.weight"] == (8, 6)
    assert shapes["tokenizer.davenet.stages.1.0.conv1.weight"] == (8, 4, 5)
    assert shapes["transformer.a.blocks.1.mlp.fc1.weight"] == (16, 8)
    assert shapes["projection.t.fc.weight"] == (12, 8)
    heads = {block.heads for block in model.modules() if isinstance(block, Attention)}
    assert heads == {4}
    assert model.mean_epsilon == 1e-5


def test_a_method_without_sspc_has_no_anchors(settings: Model) -> None:
    model = build_model("per_modality", settings, text_dimension=5, video_dimension=6, anchors=None)
    assert model.anchors is None
    assert not any("anchors" in name for name in model.state_dict())


def test_eao(settings: Model) -> None:
    model = build_model("eao", settings, text_dimension=5, video_dimension=6, anchors=None)
    assert isinstance(model, EAOModel)
    assert model.mean_epsilon == 0
    assert len(model.pairs) == 3
    with pytest.raises(InputError, match="sspc"):
        build_model("eao", settings, text_dimension=5, video_dimension=6, anchors=7)


def build(settings: Model, kind: str, anchors: AnchorSettings | None = None, **options: Any) -> Any:
    return build_model(
        kind,  # type: ignore[arg-type]
        settings,
        text_dimension=5,
        video_dimension=6,
        anchors=anchors,
        architecture=Architecture.model_validate(options),
        positions={"t": 3, "v": 4, "a": 2},
    )


def test_the_architecture_of_a_method_arrives(settings: Model) -> None:
    assert build(settings, "eao", fused=False).pairs == ()
    assert set(build(settings, "eao", shared_projection=True).projection) == {"shared"}
    assert build(settings, "eao", cls_token=True, shared_projection=True).transformer.cls_token is not None
    assert len(build(settings, "eao", depth=0).transformer.blocks) == 0
    assert len(build(settings, "per_modality", depth=3).transformer["v"].blocks) == 3
    assert build(settings, "eao", width=0.5).input_dimensions == {"t": 4, "v": 4, "a": 4}
    two = build(settings, "eao", modalities="tv")
    assert two.modalities == ("t", "v")
    assert two.pairs == (("t", "v"),)
    placed = build(settings, "per_modality", positions="avg_pool").tokenizer
    assert {m: tuple(x.shape) for m, x in placed.positions.items()} == {"t": (3, 8), "v": (4, 8), "a": (2, 8)}
    assert (placed.audio_pooling, placed.video_pooling) == ("avg_pool", "avg_pool")
    assert build(settings, "eao", positions="nearest").tokenizer.audio_pooling == "nearest"
    assert not build(settings, "per_modality").tokenizer.positions


def test_anchors_may_stay_as_they_are(settings: Model) -> None:
    for learned in (True, False):
        model = build(settings, "per_modality", AnchorSettings(count=7, learned=learned))
        assert [x.requires_grad for x in model.anchors.parameters()] == 6 * [learned]
        assert "anchors.joint.a" in model.state_dict()


def test_avlnet_with_and_without_audio(settings: Model) -> None:
    three, two = build(settings, "avlnet"), build(settings, "avlnet", modalities="tv")
    assert isinstance(three, AVLnetModel)
    assert not three.audio_nonempty_from_video
    assert (three.modalities, two.modalities) == (("t", "v", "a"), ("t", "v"))
    torch.manual_seed(0)
    batch = {
        "text": torch.randn(4, 3, 5),
        "text_mask": torch.tensor([[True] * 3, [False] * 3, [True] * 3, [True] * 3]),
        "video": torch.randn(4, 6, 6),
        "video_mask": torch.ones(4, 6, dtype=torch.bool),
    }
    found = two(batch)
    assert found.joint.keys() == found.nonempty.keys() == {"t", "v"}
    assert found.nonempty["t"].tolist() == [True, False, True, True]
    assert all(x.shape == (4, 12) for x in found.joint.values())
    with pytest.raises(InputError, match="avlnet has no anchors"):
        build(settings, "avlnet", AnchorSettings(count=7))


def test_positions_are_those_of_a_pretraining_clip(repository: Path) -> None:
    paper = load_profile("paper", repository / "profiles")
    assert position_counts(paper.model, paper.clips.pretrain) == {"t": 20, "v": 12, "a": 12}


def test_heads_must_divide_the_changed_width(settings: Model) -> None:
    with pytest.raises(InputError, match="heads"):
        build(settings, "per_modality", width=0.75)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"model": "avlnet", "architecture": {"depth": 1}},
            "architecture.depth: model avlnet has no such choice",
        ),
        ({"architecture": {"fused": False}}, "architecture.fused: model per_modality has no such choice"),
        (
            {"model": "eao", "architecture": {"cls_token": True}},
            "set shared_projection: true or fused: false",
        ),
        ({"model": "avlnet", "reconstruction": {"weight": 1.0}}, "avlnet has none; leave it out"),
        ({"sspc": {"sinkhorn": {"slots": "single", "fraction": 0.5}}}, "single assigns one anchor"),
        ({"sspc": {"sinkhorn": {"slots": "ramp", "fraction": None}}}, "slots: ramp needs fraction"),
    ],
)
def test_what_does_not_fit_together_is_refused(
    repository: Path, change: dict[str, Any], message: str
) -> None:
    profile = load_profile("miniature", repository / "profiles")
    entry = profile.methods["sspc"].model_dump()
    if "sspc" in change:
        entry["sspc"]["sinkhorn"] |= change["sspc"]["sinkhorn"]
    else:
        entry |= {"sspc": None, **change}
    with pytest.raises(ValidationError, match=message):
        Method.model_validate(entry)


def test_sspc_with_a_model_that_has_no_anchors_is_refused(repository: Path) -> None:
    profile = load_profile("miniature", repository / "profiles")
    for model in ("eao", "avlnet"):
        with pytest.raises(ValidationError, match=f"sspc needs a model with anchors, {model} has none"):
            Method.model_validate({**profile.methods["sspc"].model_dump(), "model": model})


def test_the_default_profile_builds(repository: Path) -> None:
    default = load_profile("miniature", repository / "profiles")
    for method in default.methods.values():
        anchors = method.sspc.anchors.count if method.sspc else None
        with torch.device("meta"):
            build_model(method.model, default.model, text_dimension=5, video_dimension=6, anchors=anchors)
