"""Models against recorded outputs of the releases (section D)."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from tests.reference.audio_pooling import pooled_audio
from tests.reference.release import FusedGatedUnit, to_release
from torch import Tensor, nn

from multisk.models import EAOModel, Embeddings, PerModalityModel, averaged_pairs
from multisk.models.avlnet import AVLnetModel, SentenceMaxpool
from multisk.models.blocks import Block, GatedProjection
from multisk.models.davenet import ResDavenet
from multisk.models.release import alias_of, from_release, is_unused, model_from_release_config
from multisk.models.tokens import NAMES

RTOL, ATOL = 1e-4, 1e-5

Model = PerModalityModel | EAOModel
Recorded = dict[str, Any]


@pytest.fixture
def recorded(case: Path) -> Recorded:
    return torch.load(case, weights_only=True)


@pytest.fixture
def model(recorded: Recorded) -> Model:
    """Our model with the recorded weights, in eval mode."""
    model, _ = from_release(recorded["state_dict"], recorded["config"])
    assert not isinstance(model, AVLnetModel)
    return model.eval()


def batch_of(inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    batch = {name: inputs[name] for name in NAMES.values()}
    return batch | {f"{name}_mask": inputs[f"{name}_mask"] > 0 for name in NAMES.values()}


def outputs(model: nn.Module, embeddings: Embeddings) -> dict[str, Tensor]:
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
    read = model.tokenizer.modalities
    absent = tuple(name for m, name in NAMES.items() if m not in read)
    return {name: x for name, x in recorded.items() if not name.startswith(absent)}


def assert_close(found: Tensor, expected: Tensor, name: str = "") -> None:
    torch.testing.assert_close(found, expected, rtol=RTOL, atol=ATOL, msg=lambda text: f"{name}: {text}")


def check(found: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        assert_close(found[name], tensor, name)


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
        assert_close(found.values, expected["all_tokens"])
        assert torch.equal(found.mask, expected["attention_mask"] > 0)
        assert torch.equal(found.nonempty, expected["nonempty_input_mask"])


@pytest.mark.recorded("D_models", "d*_eao_[Ep]*.pt")
@pytest.mark.parametrize("strategy", ["clip", "nearest", "max_pool", "avg_pool"])
@torch.no_grad()
def test_audio_pooling(recorded: Recorded, strategy: str) -> None:
    """No case was recorded with `nearest`: what the others follow is written a second time, plainly."""
    config, inputs, weights = recorded["config"], recorded["inputs"], dict(recorded["state_dict"])
    own = config["args"].get("strategy_audio_pooling") == strategy
    tokens, dimension = recorded["davenet_out"].shape[2], config["args"]["fusion_params"]["embed_dim"]
    count = config["args"]["audio_max_num_STFT_frames"] // 64 if own else tokens // 2
    args = {"use_positional_emb": True, "audio_max_num_STFT_frames": 64 * count}
    for name, positions in (("text", inputs["text"].shape[1]), ("video", inputs["video"].shape[1])):
        args[f"{name}_max_tokens"] = positions
        weights[f"{name}_pos_embed"] = torch.zeros(1, positions, dimension)
    weights["audio_pos_embed"] = torch.arange(count * dimension).reshape(1, count, dimension) / 100
    changed = config["args"] | args | {"strategy_audio_pooling": strategy}
    model, _ = from_release(weights, config | {"args": changed})
    tokenizer = cast(EAOModel, model.eval()).tokenizer
    found = tokenizer.add_positions(tokenizer(batch_of(inputs)))["a"]

    frames = (inputs["audio_mask"] > 0, inputs["audio_STFT_nframes"])
    features, mask = pooled_audio(tokenizer.davenet(inputs["audio"]), *frames, count, strategy)
    values = tokenizer.norm["a"](tokenizer.projection["a"](features))
    empty = ~mask.any(1)
    values[empty, 0], mask[empty, 0] = weights["fusion.masking_token"], True
    if own:
        assert_close(values, recorded["tokens"]["audio"]["all_tokens"])
    assert_close(found.values, values + weights["audio_pos_embed"])
    assert torch.equal(found.mask, mask)


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
    atol = ATOL * max(1, expected.abs().max().item())
    found = davenet(recorded["inputs"]["audio"])
    torch.testing.assert_close(found, expected, rtol=RTOL, atol=atol)


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
    with torch.device("meta"):
        model = model_from_release_config(config["type"], config["args"])
    ours = {key: list(x.shape) for key, x in to_release(model, {}).items()}
    expected = {entry["key"]: entry["shape"] for entry in published["state_dict"]}
    unused = {key: shape for key, shape in expected.items() if is_unused(key, model)}
    unused_aliases = {alias for key in unused if (alias := alias_of(key, model))}
    assert ours | unused == expected
    buffers = {key for key in expected if "running_" in key or key.endswith("num_batches_tracked")}
    count = sum(p.numel() for p in model.parameters())
    count += sum(torch.Size(s).numel() for key, s in unused.items() if key not in buffers | unused_aliases)
    assert count == published["n_params_unique"]


def variance_shares(shapes: Mapping[str, torch.Size | list[int]]) -> dict[str, float]:
    """By what the initial variance of each entry is divided: units and kernel, inputs, or nothing."""
    shares = dict.fromkeys(shapes, 1.0)
    for key, shape in shapes.items():
        if "davenet" in key.lower() and len(shape) == 4:
            shares[key] = shape[0] * shape[2] * shape[3]
        elif "_proj" in key or "GU_" in key or "pooling" in key:
            shares[key] = shapes[key.replace("bias", "weight")][1]
    return shares


@pytest.mark.recorded("D_models", "full_*.json")
def test_initialization(case: Path) -> None:
    published = json.loads(case.read_text())
    recorded = {entry["key"]: entry for entry in published["state_dict"]}
    if "init_std" not in published["state_dict"][0]:
        pytest.skip("this case has sizes alone")
    torch.manual_seed(0)
    config = published["arch_config"]
    stages = len({key.split(".")[1] for key in recorded if key.lower().startswith("davenet.layer")})
    sizes = {"layers": [2] * stages, "layer_widths": [32] * (stages + 1)}
    small = {"we_dim": 96, "video_dim": 128, "embd_dim": 96}
    if config["type"] != "AVLnetBaselineModel":
        fusion = config["args"]["fusion_params"] | {"embed_dim": 64, "num_heads": 4}
        dimensions = {"text_embed_dim": 96, "video_embed_dim": 128, "projection_dim": 96}
        small = config["args"] | dimensions | {"fusion_params": fusion}
    found = to_release(model_from_release_config(config["type"], small, sizes), {})
    shares = variance_shares({key: x.shape for key, x in found.items()})
    published_shares = variance_shares({key: entry["shape"] for key, entry in recorded.items()})
    for key in found.keys() & recorded.keys():
        entry, x = recorded[key], found[key].float()
        spread = entry["init_std"] * (published_shares[key] / shares[key]) ** 0.5
        doubt = 5 * spread / x.numel() ** 0.5
        assert abs(x.std(correction=0).item() - spread) <= doubt, key
        constant = entry["init_std"] == 0
        assert abs(x.mean().item() - (entry["init_mean"] if constant else 0)) <= doubt, key


@pytest.fixture
def avlnet(recorded: Recorded) -> AVLnetModel:
    """Our AVLnet with the recorded weights, in eval mode."""
    sizes = recorded["config"]
    args = {key: sizes[key] for key in ("embd_dim", "video_dim", "we_dim")}
    config = {"cls": "AVLnetBaselineModel", "args": args, "davenet": sizes["davenet"]}
    model, _ = from_release(recorded["state_dict"], config)
    assert isinstance(model, AVLnetModel)
    return model.eval()


@pytest.mark.recorded("D_models", "d2*.pt")
@pytest.mark.parametrize("pool_padding", [False, True])
@torch.no_grad()
def test_avlnet(recorded: Recorded, avlnet: AVLnetModel, pool_padding: bool) -> None:
    inputs = recorded["inputs"]
    frames = torch.arange(inputs["audio"].shape[2])
    audio_mask = frames < inputs["audio_STFT_nframes"][:, None]
    avlnet.pool_padding = pool_padding
    found = outputs(avlnet, avlnet(batch_of(inputs) | {"audio_mask": audio_mask}))
    check(found, recorded["outputs_mean_pool" if pool_padding else "outputs_nframes"])


def loaded(layer: nn.Module, weights: Mapping[str, Tensor]) -> nn.Module:
    layer.load_state_dict({key.replace("cg.fc", "gate"): x for key, x in weights.items()})
    return layer


@pytest.mark.recorded("D_models", "layers_*.pt")
@torch.no_grad()
def test_gated_projection(recorded: Recorded) -> None:
    expected = recorded["gated"]
    outputs, inputs = expected["sd"]["fc.weight"].shape
    layer = loaded(GatedProjection(inputs, outputs), expected["sd"])
    assert_close(layer(recorded["x2"]), expected["out2"])
    assert_close(layer(recorded["x3"]), expected["out3"])


@pytest.mark.recorded("D_models", "layers_*.pt")
@torch.no_grad()
def test_pooling_and_fusion_of_avlnet(recorded: Recorded) -> None:
    pooling, fusion = recorded["sentmax"], recorded["fused"]
    outputs, inputs = pooling["sd"]["fc.weight"].shape
    assert_close(loaded(SentenceMaxpool(inputs, outputs), pooling["sd"])(recorded["x3"]), pooling["out"])
    outputs, inputs = fusion["sd"]["fc_audio.weight"].shape
    layer = loaded(FusedGatedUnit(inputs, outputs), fusion["sd"])
    # The recorded text input is twice the audio input.
    assert_close(layer(recorded["x2"], 2 * recorded["x2"]), fusion["out"])


@pytest.mark.recorded("D_models", "layers_*.pt")
def test_block_and_its_gradients(recorded: Recorded) -> None:
    expected = recorded["block"]
    x = recorded["x3"].clone().requires_grad_()
    block = loaded(Block(x.shape[2], expected["num_heads"], expected["mlp_ratio"]), expected["sd"])
    out = block(x, recorded["mask"] > 0)
    assert_close(out, expected["out"])
    # The recorded gradients are those of the sum of squares.
    out.square().sum().backward()
    assert x.grad is not None
    assert_close(x.grad, expected["grad_x"])
    check({name: p.grad for name, p in block.named_parameters() if p.grad is not None}, expected["grads"])
