"""Imported checkpoints against recorded outputs of the releases (section D)."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from multisk.models.checkpoints import davenet_sizes, import_checkpoint, load_imported
from multisk.models.release import alias_of, is_unused, model_from_release_config, released_names
from multisk.models.tokens import NAMES

AVLNET = ("embd_dim", "video_dim", "we_dim")


def architecture(config: dict[str, Any]) -> dict[str, Any]:
    """The section `arch` of the config that was recorded; AVLnet's has no class."""
    if "cls" in config:
        return {"type": config["cls"], "args": config["args"]}
    return {"type": "AVLnetBaselineModel", "args": {key: config[key] for key in AVLNET}}


def batch_of(inputs: dict[str, Tensor], frames: Tensor) -> dict[str, Tensor]:
    """The recorded inputs, with the frames that have sound."""
    batch = {name: inputs[name] for name in NAMES.values()}
    return (
        batch
        | {f"{name}_mask": inputs[f"{name}_mask"] > 0 for name in NAMES.values()}
        | {"audio_mask": frames}
    )


@pytest.mark.recorded("D_models", "d*.pt")
@pytest.mark.parametrize("prefix", ["", "module."])
@torch.no_grad()
def test_imported_model_gives_the_recorded_outputs(case: Path, tmp_path: Path, prefix: str) -> None:
    recorded = torch.load(case, weights_only=True)
    config, inputs = recorded["config"], recorded["inputs"]
    arch = architecture(config)
    weights = {prefix + key: x for key, x in recorded["state_dict"].items()}
    saved = {"arch": arch["type"], "epoch": 3, "state_dict": weights, "config": {"arch": arch}}
    torch.save(saved, tmp_path / "latest_model.pth")
    model = load_imported(
        import_checkpoint(tmp_path / "latest_model.pth", tmp_path, package=config.get("package"))
    )
    sounding = inputs["audio_mask"] > 0
    if "cls" not in config:
        sounding = torch.arange(inputs["audio"].shape[2]) < inputs["audio_STFT_nframes"][:, None]
    expected = recorded["outputs_no_force" if "cls" in config else "outputs_nframes"]
    joint = model(batch_of(inputs, sounding)).joint
    assert {"t", "v"} <= joint.keys()
    for m, found in joint.items():
        torch.testing.assert_close(found, expected[f"{NAMES.get(m, m)}_embed"], rtol=1e-4, atol=1e-5)


@pytest.mark.recorded("D_models", "full_*.json")
def test_every_published_name_is_read_at_full_size(case: Path) -> None:
    published = json.loads(case.read_text())
    weights = {entry["key"]: torch.empty(entry["shape"], device="meta") for entry in published["state_dict"]}
    arch = published["arch_config"]
    with torch.device("meta"):
        model = model_from_release_config(arch["type"], arch["args"], davenet_sizes(weights))
        as_published = model_from_release_config(arch["type"], arch["args"])
    assert {key: x.shape for key, x in model.state_dict().items()} == {
        key: x.shape for key, x in as_published.state_dict().items()
    }
    primary = {key for key in weights if key not in {alias_of(other, model) for other in weights}}
    read = set(released_names(model).values())
    assert read <= primary
    assert all(is_unused(key, model) for key in primary - read)
