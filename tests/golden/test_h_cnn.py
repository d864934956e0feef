"""Recorded features of the release's extractors, with weights that a rule makes from each key's name."""

import json
import math
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from multisk.features.appearance import AppearanceNetwork
from multisk.features.decode import target_size
from multisk.features.motion import MotionNetwork, ResNeXt3d

LAYOUT = {"blocks": (3, 4, 23, 3), "cardinality": 32, "width": 128, "classes": 400}


def ruled(key: str, shape: tuple[int, ...]) -> Tensor:
    """The recording's weight rule: drawn from a generator seeded by the key, in double precision."""
    random = np.random.Generator(np.random.PCG64(zlib.crc32(key.encode())))
    if key.endswith("num_batches_tracked"):
        return torch.tensor(0)
    if key.endswith("running_var"):
        values = 0.5 + random.random(shape)
    elif key.endswith("running_mean"):
        values = 0.1 * random.standard_normal(shape)
    elif len(shape) >= 2:
        values = random.standard_normal(shape) * math.sqrt(2 / math.prod(shape[1:]))
    elif key.endswith("weight"):
        values = 0.2 + 0.4 * random.random(shape) if "bn3" in key else 0.8 + 0.4 * random.random(shape)
    else:
        values = 0.1 * random.standard_normal(shape)
    return torch.from_numpy(values).float()


def rule_weights(network: nn.Module) -> nn.Module:
    network.load_state_dict(
        {key: ruled(key, tuple(value.shape)) for key, value in network.state_dict().items()}
    )
    return network.eval()


def check_weights(network: nn.Module, recorded: dict[str, Any]) -> None:
    state = network.state_dict()
    for key, weights in recorded["weight_check"].items():
        if key not in state:  # the classifier, which the appearance network leaves out
            continue
        tensor = state[key]
        torch.testing.assert_close(tensor.flatten()[:4], weights["first"])
        assert tensor.double().sum().item() == pytest.approx(weights["sum"], rel=1e-4, abs=1e-4)


def check_features(features: Tensor, recorded: dict[str, Any]) -> None:
    torch.testing.assert_close(
        features, recorded["features"], rtol=1e-3, atol=1e-3 * features.abs().mean().item()
    )
    unit = nn.functional.normalize(features, dim=1)
    torch.testing.assert_close(unit, recorded["features_l2"], rtol=1e-3, atol=1e-5)
    torch.testing.assert_close(unit.half(), recorded["features_l2_fp16"], rtol=2e-3, atol=1e-4)


def record(network: nn.Module, names: dict[str, str]) -> dict[str, Tensor]:
    """Keep the outputs of the named submodules under the recording's names."""
    outputs: dict[str, Tensor] = {}
    for name, module in names.items():
        network.get_submodule(module).register_forward_hook(
            lambda _module, _inputs, output, name=name: outputs.__setitem__(name, output.detach().clone())
        )
    return outputs


def check_layers(outputs: dict[str, Tensor], recorded: dict[str, Any]) -> None:
    for name, output in outputs.items():
        expected = recorded["layers"][name]
        assert list(output.shape) == expected["shape"], name
        assert output.mean().item() == pytest.approx(expected["mean"], rel=1e-3), name
        assert output.std().item() == pytest.approx(expected["std"], rel=1e-3), name
        scale = output.abs().mean().item()
        torch.testing.assert_close(output.flatten()[:8], expected["first"], rtol=1e-3, atol=1e-3 * scale)


def shapes(network: nn.Module) -> list[dict[str, Any]]:
    return [
        {"key": key, "shape": list(value.shape), "dtype": str(value.dtype).removeprefix("torch.")}
        for key, value in network.state_dict().items()
    ]


@pytest.mark.recorded("H_video_cnn", "resnext101_3d_keys.json")
def test_motion_keys(case: Path) -> None:
    recorded = json.loads(case.read_text())
    with torch.device("meta"):
        network = ResNeXt3d(**LAYOUT)
    assert shapes(network) == recorded["state_dict"]
    assert sum(parameter.numel() for parameter in network.parameters()) == recorded["n_params"]


@pytest.mark.recorded("H_video_cnn", "resnet152_2d_keys.json")
def test_appearance_keys(case: Path) -> None:
    recorded = json.loads(case.read_text())
    with torch.device("meta"):
        network = AppearanceNetwork("resnet152.tv_in1k").backbone
    assert shapes(network) == [row for row in recorded["state_dict"] if not row["key"].startswith("fc.")]


@pytest.mark.recorded("H_video_cnn", "resnext101_3d.pt")
@torch.inference_mode()
def test_motion(case: Path) -> None:
    recorded = torch.load(case, weights_only=True)
    backbone = rule_weights(ResNeXt3d(**LAYOUT))
    check_weights(backbone, recorded)
    network = MotionNetwork(backbone, window=16)
    frames = recorded["frames_uint8"].permute(0, 2, 3, 1)
    windows = network.preprocess(frames)
    assert list(windows.shape) == recorded["preprocessed_shape"]
    torch.testing.assert_close(windows.flatten()[:32], recorded["preprocessed_first"])
    torch.testing.assert_close(windows[-1, :, -1, :2, :2], recorded["preprocessed_last_frame"])
    outputs = record(backbone, {name: name for name in recorded["layers"] if name != "avgpool"})
    check_features(network(frames), recorded)
    check_layers(outputs, recorded)


@pytest.mark.recorded("H_video_cnn", "resnet152_2d.pt")
@torch.inference_mode()
def test_appearance(case: Path) -> None:
    recorded = torch.load(case, weights_only=True)
    network = AppearanceNetwork("resnet152.tv_in1k")
    rule_weights(network.backbone)
    check_weights(network.backbone, recorded)
    frames = recorded["frames_uint8"].permute(0, 2, 3, 1)
    torch.testing.assert_close(network.preprocess(frames).flatten()[:32], recorded["preprocessed_first"])
    numbered = {"0": "conv1", "3": "maxpool", "4": "layer1", "5": "layer2", "6": "layer3", "7": "layer4"}
    outputs = record(network.backbone, numbered)
    check_features(network(frames), recorded)
    check_layers(outputs, recorded)


@pytest.mark.recorded("H_video_cnn", "preprocess.json")
def test_sizes(case: Path) -> None:
    for short_side, height, width, *expected in json.loads(case.read_text())[
        "output_dim_rows_size_h_w_outh_outw"
    ]:
        assert list(target_size(width, height, short_side))[::-1] == expected


@pytest.mark.recorded("H_video_cnn", "preprocess.json")
def test_padding(case: Path) -> None:
    with torch.device("meta"):
        network = MotionNetwork(ResNeXt3d((1, 1, 1, 1), cardinality=1, width=2), window=16)
        for row in json.loads(case.read_text())["zero_pad"]:
            windows = network.preprocess(torch.empty(row["n"], 2, 2, 3, dtype=torch.uint8))
            assert windows.shape[0] * windows.shape[2] == row["padded"]
