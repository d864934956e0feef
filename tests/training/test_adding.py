"""A new loss and a new model: a file, its settings and its registration are all there is to write."""

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from pydantic import ValidationError

from multisk.errors import InputError
from multisk.losses import LOSSES
from multisk.models.build import MODELS, build_model
from multisk.settings.losses import Losses
from multisk.settings.models import MODEL_KINDS, Model
from multisk.training import Objective

SETTINGS = '''
from multisk.settings import Weight
from multisk.settings.losses import Loss
from multisk.settings.models import INPUT_FEATURES, MODEL_KINDS, ModelKind
from multisk.settings.training import Method


class Length(Loss):
    """Joint embeddings as long as the input features are wide."""

    needs = frozenset({INPUT_FEATURES})

    weight: Weight


class LongerMethod(Method):
    length: Length | None = None


MODEL_KINDS["mean"] = ModelKind({"modalities"}, {INPUT_FEATURES})
'''
LOSS = """
from torch import nn


class LengthLoss(nn.Module):
    def __init__(self, weight, dimensions):
        super().__init__()
        self.weight, self.dimensions = weight, dimensions

    @classmethod
    def of_model(cls, settings, model):
        return cls(settings.weight, model.input_dimensions)

    def of_batch(self, batch):
        joint = batch.embeddings.joint
        parts = [(joint[m].norm(dim=1) - d).square().mean() for m, d in self.dimensions.items()]
        loss = self.weight * sum(parts)
        return loss, {"length": loss.detach()}
"""
MODEL = """
from torch import nn

from multisk.models.embeddings import Embeddings


class MeanModel(nn.Module):
    INPUT_LAYERS = {"text": "text", "video": "video"}
    modalities = ("t", "v")

    def __init__(self, text, video, joint):
        super().__init__()
        self.input_dimensions, self.joint_dimension = {"t": text, "v": video}, joint
        self.text, self.video = nn.Linear(text, joint), nn.Linear(video, joint)

    @classmethod
    def of_plan(cls, plan):
        return cls(plan.text_dimension, plan.video_dimension, plan.sizes.joint_dimension)

    def forward(self, batch):
        inputs = {"t": batch["text"].mean(1), "v": batch["video"].mean(1)}
        joint = {"t": self.text(inputs["t"]), "v": self.video(inputs["v"])}
        return Embeddings(joint, inputs, {"t": batch["text_mask"].any(1), "v": batch["video_mask"].any(1)})
"""


@pytest.fixture
def added(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The settings of a method that may have the new loss; loss and model are registered."""
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    for registry in (LOSSES, MODELS, MODEL_KINDS):
        for name in ("length", "mean"):
            monkeypatch.setitem(registry, name, None)  # so that it is taken out again
            del registry[name]
    modules = {}
    for name, source in (("length_settings", SETTINGS), ("length", LOSS), ("mean_model", MODEL)):
        path = tmp_path / f"{name}.py"
        path.write_text(source)
        specification = importlib.util.spec_from_file_location(name, path)
        assert specification is not None
        assert specification.loader is not None
        modules[name] = importlib.util.module_from_spec(specification)
        specification.loader.exec_module(modules[name])
    LOSSES["length"] = modules["length"].LengthLoss
    MODELS["mean"] = modules["mean_model"].MeanModel
    return modules["length_settings"].LongerMethod


def test_a_new_loss_and_a_new_model_train(tiny: ModuleType, added: Any, tmp_path: Path) -> None:
    entry = {"model": "mean", "contrastive": tiny.METHOD["contrastive"], "length": {"weight": 0.5}}
    method = added.model_validate(entry)
    sizes = Model.model_validate(tiny.MODEL)
    model = build_model(method.model, sizes, text_dimension=6, video_dimension=10, anchors=method.anchors)
    log = tiny.Log()
    tiny.run(tmp_path, log, objective=Objective(model, method), epochs=1, batch_size=21)
    assert len(log.rows) == 2
    for row in log.rows:
        assert row["loss"] == pytest.approx(row["contrastive/t-v"] + row["length"])
    assert len({row["length"] for row in log.rows}) == 2


def test_what_they_declare_is_checked(tiny: ModuleType, added: Any) -> None:
    entry = {"model": "mean", "contrastive": tiny.METHOD["contrastive"]}
    with pytest.raises(
        ValidationError, match="sspc needs a model with anchors, mean has none; leave it out or"
    ):
        added.model_validate({**entry, "sspc": tiny.METHOD["sspc"]})
    with pytest.raises(ValidationError, match="length needs a model with input features, avlnet has none"):
        added.model_validate({**entry, "model": "avlnet", "length": {"weight": 1}})
    with pytest.raises(ValidationError, match=r"architecture\.depth: model mean has no such choice"):
        added.model_validate({**entry, "architecture": {"depth": 2}})
    with pytest.raises(ValidationError, match="no such model; known: per_modality, eao, avlnet, mean"):
        added.model_validate({**entry, "model": "eoa"})
    sizes = Model.model_validate(tiny.MODEL)
    with pytest.raises(InputError, match="mean has no anchors"):
        build_model("mean", sizes, text_dimension=6, video_dimension=10, anchors=4)


def test_every_loss_and_every_model_is_registered_under_the_name_of_its_settings() -> None:
    assert list(LOSSES) == list(Losses.model_fields)
    assert list(MODELS) == list(MODEL_KINDS)
    for model in MODELS.values():
        assert set(model.INPUT_LAYERS) == {"text", "video"}
    assert torch.nn.Module in MODELS["eao"].__mro__
