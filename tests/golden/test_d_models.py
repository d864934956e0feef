"""Models against recorded outputs of the releases (section D)."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from multisk.models import EAOModel, Embeddings, PerModalityModel, averaged_pairs
from multisk.models.blocks import Block, GatedProjection
from multisk.models.davenet import ResDavenet
from multisk.models.release import alias_of, from_release, is_unused, model_from_release_config, to_release
from multisk.models.tokens import NAMES

TOLERANCE = {"rtol": 1e-4, "atol": 1e-5}

Model = PerModalityModel | EAOModel
Recorded = dict[str, Any]


@pytest.fixture
def recorded(case: Path) -> Recorded:
    return torch.load(case, weights_only=True)


@pytest.fixture
def model(recorded: Recorded) -> Model:
    """Our model with the recorded weights, in eval mode."""
    return from_release(recorded["state_dict"], recorded["config"])[0].eval()


def batch_of(inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    batch = {name: inputs[name] for name in NAMES.values()}
    return batch | {f"{name}_mask": inputs[f"{name}_mask"] > 0 for name in NAMES.values()}


def outputs(model: Model, embeddings: Embeddings) -> dict[str, Tensor]:
    """All that the release returns, under its names, except averaged pairs."""
    joint, nonempty = embeddings.joint, embeddings.nonempty
    found = {f"{NAMES.get(m, m)}_embed": x for m, x in joint.items()}
    found |= {f"{NAMES[m]}_nonempty_input_mask": x for m, x in nonempty.items()}
    anchors = getattr(model, "anchors", None)
    if anchors is None:
        return found
    unit = {m: nn.functional.normalize(x, dim=-1) for m, x in joint.items()}
    found |= {f"{NAMES[m]}_embed_norm": x for m, x in unit.items()}
    found |= {f"in_{NAMES[m]}_embed": x for m, x in embeddings.input.items()}
    for m, x in embeddings.input.items():
        found[f"in_{NAMES[m]}_assignment"] = anchors.similarity("input", m, x)
    for m, x in unit.items():
        for k, name in NAMES.items():
            found[f"trans_{NAMES[m]}_a{name}_assignment"] = anchors.similarity("joint", k, x)
    return found


def outputs_of(recorded: Mapping[str, Tensor], model: Model) -> dict[str, Tensor]:
    """The recorded outputs, without those of modalities that our model does not read (TV-only)."""
    absent = tuple(name for m, name in NAMES.items() if m not in model.tokenizer.modalities)
    return {name: x for name, x in recorded.items() if not name.startswith(absent)}


def check(found: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        torch.testing.assert_close(found[name], tensor, **TOLERANCE, msg=lambda text, n=name: f"{n}: {text}")


@pytest.mark.recorded("D_models", "d[01]*.pt")
@torch.no_grad()
def test_outputs_in_eval_mode(recorded: Recorded, model: Model) -> None:
    embeddings = model(batch_of(recorded["inputs"]))
    check(outputs(model, embeddings), outputs_of(recorded["outputs_no_force"], model))


@pytest.mark.recorded("D_models", "d[01]*.pt")
@torch.no_grad()
def test_averaged_pairs(recorded: Recorded, model: Model) -> None:
    expected = {name: x for name, x in recorded["outputs"].items() if "+" in name}
    found = averaged_pairs(model(batch_of(recorded["inputs"])).joint)
    # The TV-only release never averages, ours may.
    check({f"{pair}_embed": x for pair, x in found.items() if expected}, expected)


@pytest.mark.recorded("D_models", "d[01]*.pt")
@torch.no_grad()
def test_tokens(recorded: Recorded, model: Model) -> None:
    tokens = model.tokenizer(batch_of(recorded["inputs"]))
    for m, found in tokens.items():
        expected = recorded["tokens"][NAMES[m]]
        torch.testing.assert_close(found.values, expected["all_tokens"], **TOLERANCE)
        assert torch.equal(found.mask, expected["attention_mask"] > 0)
        assert torch.equal(found.nonempty, expected["nonempty_input_mask"])


@pytest.mark.recorded("D_models", "d[01]*.pt")
def test_forward_leaves_the_batch_alone(recorded: Recorded, model: Model) -> None:
    batch = batch_of(recorded["inputs"])
    before = {name: x.clone() for name, x in batch.items()}
    model(batch)
    assert all(torch.equal(batch[name], x) for name, x in before.items())


@pytest.mark.recorded("D_models", "d*.pt")
@torch.no_grad()
def test_davenet(recorded: Recorded) -> None:
    sizes = recorded["config"]["davenet"]
    davenet = ResDavenet(sizes["layers"], sizes["layer_widths"], sizes.get("convsize", 9)).eval()
    load_davenet(davenet, recorded["state_dict"])
    expected = recorded["davenet_out"]
    # Features cancel from intermediate values far above 1, so rounding is relative to the largest.
    atol = TOLERANCE["atol"] * max(1, expected.abs().max().item())
    found = davenet(recorded["inputs"]["audio"])
    torch.testing.assert_close(found, expected, rtol=TOLERANCE["rtol"], atol=atol)


def load_davenet(davenet: ResDavenet, state_dict: Mapping[str, Tensor]) -> None:
    """Load by order: the release makes the same layers in the same order, after an unused batch norm."""
    weights = [
        x for key, x in state_dict.items() if key.lower().startswith("davenet.") and "batchnorm1" not in key
    ]
    ours = davenet.state_dict()
    davenet.load_state_dict({key: x.reshape(ours[key].shape) for key, x in zip(ours, weights, strict=True)})


@pytest.mark.recorded("D_models", "d[01]*.pt")
def test_train_mode(recorded: Recorded, model: Model) -> None:
    if "outputs_train_mode" not in recorded:
        pytest.skip("this case has no recorded forward in train mode")
    _, leftovers = from_release(recorded["state_dict"], recorded["config"])
    embeddings = model.train()(batch_of(recorded["inputs"]))
    check(outputs(model, embeddings), outputs_of(recorded["outputs_train_mode"], model))
    statistics = recorded["state_dict_after_train_forward"]
    check(to_release(model, leftovers), recorded["state_dict"] | statistics)


@pytest.mark.recorded("D_models", "d[01]*.pt")
@pytest.mark.parametrize("prefix", ["", "module."])
def test_checkpoint_round_trip(recorded: Recorded, prefix: str) -> None:
    released = {prefix + key: x for key, x in recorded["state_dict"].items()}
    model, leftovers = from_release(released, recorded["config"])
    written = to_release(model, leftovers)
    assert written.keys() == recorded["state_dict"].keys()
    assert all(torch.equal(written[key], x) for key, x in recorded["state_dict"].items())


@pytest.mark.recorded("D_models", "full_*_*.json")
def test_published_sizes(case: Path) -> None:
    published = json.loads(case.read_text())
    config = published["arch_config"]
    if config["type"] == "AVLnetBaselineModel":
        pytest.skip("the AVLnet baseline is not part of this project")
    with torch.device("meta"):
        model = model_from_release_config(config["type"], config["args"])
    ours = {key: list(x.shape) for key, x in to_release(model, {}).items()}
    expected = {entry["key"]: entry["shape"] for entry in published["state_dict"]}
    unused = {key: shape for key, shape in expected.items() if is_unused(key, model)}
    unused_aliases = {alias for key in unused if (alias := alias_of(key, model))}
    assert ours | unused == {key: shape for key, shape in expected.items()}
    buffers = {key for key in expected if "running_" in key or key.endswith("num_batches_tracked")}
    count = sum(p.numel() for p in model.parameters())
    count += sum(torch.Size(s).numel() for key, s in unused.items() if key not in buffers | unused_aliases)
    assert count == published["n_params_unique"]


@pytest.mark.recorded("D_models", "layers_*.pt")
@torch.no_grad()
def test_gated_projection(recorded: Recorded) -> None:
    weights = {key.replace("cg.fc", "gate"): x for key, x in recorded["gated"]["sd"].items()}
    outputs, inputs = weights["fc.weight"].shape
    layer = GatedProjection(inputs, outputs)
    layer.load_state_dict(weights)
    torch.testing.assert_close(layer(recorded["x2"]), recorded["gated"]["out2"], **TOLERANCE)
    torch.testing.assert_close(layer(recorded["x3"]), recorded["gated"]["out3"], **TOLERANCE)


@pytest.mark.recorded("D_models", "layers_*.pt")
def test_block_and_its_gradients(recorded: Recorded) -> None:
    expected = recorded["block"]
    x = recorded["x3"].clone().requires_grad_()
    block = Block(x.shape[2], expected["num_heads"], expected["mlp_ratio"])
    block.load_state_dict(expected["sd"])
    out = block(x, recorded["mask"] > 0)
    torch.testing.assert_close(out, expected["out"], **TOLERANCE)
