"""The published setting as a profile: its model has the released checkpoint's parameters."""

import json

import pytest
import torch

from multisk.errors import InputError
from multisk.models import build_model
from multisk.models.release_config import model_from_release_config
from multisk.params import load_params


@pytest.fixture
def paper(repository):
    return load_params(repository / "profiles" / "paper.yaml")


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
    text = (repository / "profiles" / "miniature.yaml").read_text()
    (tmp_path / "params.yaml").write_text(text.replace("lead_seconds:", "lead_second:"))
    with pytest.raises(InputError, match=r"corpora\.howto\.lead_second: unknown key, did you mean"):
        load_params(tmp_path / "params.yaml")
