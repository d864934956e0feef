"""Imported checkpoints against recorded outputs of the releases (section D)."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from multisk.models.release import alias_of, is_unused, model_from_release_config, released_names
from multisk.models.tokens import NAMES
from multisk.published.checkpoints import davenet_sizes, import_checkpoint, load_imported

AVLNET = ("embd_dim", "video_dim", "we_dim")


def architecture(config: dict[str, Any]) -> dict[str, Any]:
    """The section `arch` of the config that was recorded."""
    if config["cls"].startswith("AVLnet"):
        return {"type": config["cls"], "args": {key: config[key] for key in AVLNET}}
    return {"type": config["cls"], "args": config["args"]}


@pytest.mark.recorded("D_models", "d*.pt")
@pytest.mark.parametrize(("prefix", "epoch"), [("", 3), ("module.", None)])
@torch.no_grad()
def test_imported_model_gives_the_recorded_outputs(
    case: Path, tmp_path: Path, prefix: str, epoch: int | None
) -> None:
    recorded = torch.load(case, weights_only=True)
    config, inputs = recorded["config"], recorded["inputs"]
    content = {"arch": config["cls"], "epoch": epoch, "config": {"arch": architecture(config)}}
    content["state_dict"] = {prefix + key: x for key, x in recorded["state_dict"].items()}
    torch.save(content, tmp_path / "latest_model.pth")
    model = load_imported(
        import_checkpoint(tmp_path / "latest_model.pth", tmp_path, package=config.get("package"))
    )
    batch = {name: inputs[name] for name in NAMES.values()}
    batch |= {f"{name}_mask": inputs[f"{name}_mask"] > 0 for name in NAMES.values()}
    if config["cls"].startswith("AVLnet"):
        frames = torch.arange(inputs["audio"].shape[2])
        batch["audio_mask"] = frames < inputs["audio_STFT_nframes"][:, None]
    expected = recorded.get("outputs_no_force") or recorded["outputs_nframes"]
    joint = model(batch).joint
    assert {"t", "v"} <= joint.keys()
    for m, found in joint.items():
        name = f"{NAMES.get(m, m)}_embed"
        torch.testing.assert_close(found, expected[name], rtol=1e-4, atol=1e-5)


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
