"""Published weights: taken when all of them fit, refused with what was expected and found."""

import hashlib
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from multisk.errors import InputError
from multisk.features.appearance import AppearanceNetwork
from multisk.features.extractors import Extractors, prepare_extractors
from multisk.features.motion import ResNeXt3d
from multisk.features.weights import load_weights
from multisk.files import read_json

SIZES = {"blocks": (1, 1, 1, 1), "cardinality": 2, "width": 4}


def network(**changes) -> ResNeXt3d:
    return ResNeXt3d(**{**SIZES, **changes})


@pytest.fixture
def published() -> ResNeXt3d:
    """A network with a classifier, as it was published."""
    torch.manual_seed(0)
    return network(classes=7)


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("layout", ["plain", "wrapped", "parallel", "safetensors", "old"])
def test_published_layouts_are_read(tmp_path, published, layout: str) -> None:
    state, path = dict(published.state_dict()), tmp_path / "published.pth"
    if layout == "safetensors":
        path = path.with_suffix(".safetensors")
        save_file(state, path)
    else:
        if layout == "old":  # before PyTorch 0.4.1, normalisations counted no batches
            state = {key: value for key, value in state.items() if not key.endswith("tracked")}
        if layout == "parallel":
            state = {f"module.{key}": value for key, value in state.items()}
        torch.save(state if layout == "plain" else {"epoch": 3, "arch": "x", "state_dict": state}, path)
    filled = network()
    assert load_weights(filled, path, "motion", sha256=sha256(path)) == sha256(path)
    for key, value in filled.state_dict().items():
        assert torch.equal(value, published.state_dict()[key]), key


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"blocks": (2, 1, 1, 1)}, "102 of 120 keys fit; 15 missing, first layer1.1.conv1.weight"),
        ({"blocks": (1, 1, 1)}, "78 of 78 keys fit; 24 unexpected, first layer4.0.conv1.weight"),
        (
            {"width": 8},
            "of another shape, first conv1.weight (expected [4, 3, 7, 7, 7], found [2, 3, 7, 7, 7])",
        ),
    ],
)
def test_other_networks_are_refused_by_their_keys(tmp_path, published, changes, message) -> None:
    path = tmp_path / "other.pth"
    torch.save(published.state_dict(), path)
    filled = network(**changes)
    before = {key: value.clone() for key, value in filled.state_dict().items()}
    with pytest.raises(InputError, match=r"features\.motion\.weights: .*other\.pth \(sha256") as caught:
        load_weights(filled, path, "motion")
    assert sha256(path) in str(caught.value)
    assert message in str(caught.value)
    assert all(torch.equal(value, before[key]) for key, value in filled.state_dict().items())


def test_another_checksum_is_refused_with_both(tmp_path, published) -> None:
    path = tmp_path / "published.pth"
    torch.save(published.state_dict(), path)
    message = rf"features\.motion\.sha256: .*expected {'0' * 64}, found {sha256(path)}"
    with pytest.raises(InputError, match=message):
        load_weights(network(), path, "motion", sha256="0" * 64)


class Foreign:
    """What a state dict has no use for."""


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no such file"),
        (b"no checkpoint", r"file\.pth"),
        ({"state_dict": {"conv1.weight": Foreign()}}, "Foreign"),
        ({"state_dict": {"conv1.weight": "text"}}, "holds no state dict"),
        ([1, 2], "holds no state dict"),
    ],
)
def test_files_that_hold_no_weights_are_named(tmp_path, content, message: str) -> None:
    path = tmp_path / "file.pth"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        torch.save(content, path)
    with pytest.raises(InputError, match=rf"features\.motion\.weights: .*{message}") as caught:
        load_weights(network(), path, "motion")
    assert "\n" not in str(caught.value)


def test_extractors_note_the_file_that_they_came_from(tmp_path, settings, published) -> None:
    torch.save(published.state_dict(), tmp_path / "motion.pth")
    picture = AppearanceNetwork("test_resnet").backbone
    torch.save({f"module.{key}": value for key, value in picture.state_dict().items()}, tmp_path / "p.pth")
    options = settings(
        motion__weights=str(tmp_path / "motion.pth"),
        motion__sha256=sha256(tmp_path / "motion.pth"),
        appearance__weights=str(tmp_path / "p.pth"),
    )
    prepare_extractors(None, options, tmp_path / "out")
    written = read_json(tmp_path / "out" / "extractors.json")
    assert written["motion"]["source"] == {"file": "motion.pth", "sha256": sha256(tmp_path / "motion.pth")}
    assert written["calibrated_on"] == {}
    opened = Extractors.open(tmp_path / "out", options).networks["appearance"].network.backbone
    assert all(torch.equal(value, picture.state_dict()[key]) for key, value in opened.state_dict().items())
