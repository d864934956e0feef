"""Models from settings."""

from pathlib import Path

import pytest
import torch

from multisk import params
from multisk.errors import InputError
from multisk.models import EAOModel, PerModalityModel, build_model
from multisk.models.blocks import Attention


@pytest.fixture
def settings() -> params.Model:
    davenet = params.Davenet(layers=(1, 1), widths=(4, 4, 8), kernel=5)
    return params.Model(dimension=8, joint_dimension=12, depth=2, heads=4, mlp_ratio=2, davenet=davenet)


def test_settings_arrive(settings: params.Model) -> None:
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


def test_a_method_without_sspc_has_no_anchors(settings: params.Model) -> None:
    model = build_model("per_modality", settings, text_dimension=5, video_dimension=6, anchors=None)
    assert model.anchors is None
    assert not any("anchors" in name for name in model.state_dict())


def test_eao(settings: params.Model) -> None:
    model = build_model("eao", settings, text_dimension=5, video_dimension=6, anchors=None)
    assert isinstance(model, EAOModel)
    assert model.mean_epsilon == 0
    assert len(model.pairs) == 3
    with pytest.raises(InputError, match="sspc"):
        build_model("eao", settings, text_dimension=5, video_dimension=6, anchors=7)


def test_the_default_profile_builds(repository: Path) -> None:
    default = params.load_params(repository / "profiles" / "miniature.yaml")
    for method in default.methods.values():
        anchors = method.sspc.anchors.count if method.sspc else None
        with torch.device("meta"):
            build_model(method.model, default.model, text_dimension=5, video_dimension=6, anchors=anchors)
