"""What holds for every model: padding, order, gradients, and how EAO makes pairs."""

from collections.abc import Callable, Mapping

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from multisk.errors import InputError
from multisk.models import EAOModel, Embeddings, PerModalityModel, averaged_pairs
from multisk.models.avlnet import AVLnetModel
from multisk.models.blocks import TransformerSettings, masked_mean
from multisk.models.davenet import ResDavenet
from multisk.models.tokens import NAMES, Tokenizer

ONE = TransformerSettings(depth=1, heads=2)
CLS = TransformerSettings(depth=2, heads=2, cls_token=True)


def tokenizer(audio: bool = True) -> Tokenizer:
    return Tokenizer(5, 6, 8, ResDavenet([1, 1], [4, 4, 4]) if audio else None)


MAKERS: dict[str, Callable[[], nn.Module]] = {
    "per_modality": lambda: PerModalityModel(tokenizer(), 10, ONE),
    "sspc": lambda: PerModalityModel(tokenizer(), 10, ONE, anchors=3),
    "sspc_raw": lambda: PerModalityModel(tokenizer(), 10, ONE, anchors=3, input_space="raw"),
    "per_modality_cls": lambda: PerModalityModel(tokenizer(), 10, CLS),
    "eao": lambda: EAOModel(tokenizer(), 10, ONE),
    "eao_shared": lambda: EAOModel(tokenizer(), 10, ONE, individual_projections=False),
    "eao_cls": lambda: EAOModel(tokenizer(), 10, CLS, individual_projections=False),
    "eao_tv": lambda: EAOModel(tokenizer(audio=False), 10, ONE),
    "eao_flat": lambda: EAOModel(tokenizer(), 10, TransformerSettings(0, 2), projection_kind="minimal"),
}


@pytest.fixture(params=MAKERS)
def model(request: pytest.FixtureRequest) -> nn.Module:
    torch.manual_seed(0)
    model = MAKERS[request.param]()
    # The release starts transformers and tokens so small that attention would hardly show.
    for parameter in model.parameters():
        if parameter.ndim == 1:
            nn.init.normal_(parameter)
    return model


def batch(B: int = 5) -> dict[str, Tensor]:
    """Sample 0 is whole, the next ones lack text, video, audio, all; the rest is shortened."""
    torch.manual_seed(1)
    data = {"text": torch.randn(B, 4, 5), "video": torch.randn(B, 6, 6), "audio": torch.randn(B, 40, 16)}
    lengths = {"text": [4, 0, 2, 3, 0], "video": [6, 1, 0, 5, 0], "audio": [16, 3, 9, 0, 0]}
    for name, N in (("text", 4), ("video", 6), ("audio", 16)):
        data[f"{name}_mask"] = torch.arange(N) < torch.tensor(lengths[name])[:, None]
    return data


def assert_same(found: Embeddings, expected: Embeddings, rows: Tensor | None = None) -> None:
    rows = torch.arange(5) if rows is None else rows
    for part in ("joint", "input", "nonempty"):
        a, b = getattr(found, part), getattr(expected, part)
        assert a.keys() == b.keys()
        for m in a:
            torch.testing.assert_close(a[m], b[m][rows])


@torch.no_grad()
def test_padding_means_nothing(model: nn.Module) -> None:
    model.eval()
    data, padded = batch(), batch()
    for name in ("text", "video"):
        noise = torch.randn_like(data[name])
        padded[name] = torch.cat([data[name].where(data[f"{name}_mask"][:, :, None], noise), noise], 1)
        padded[f"{name}_mask"] = F.pad(data[f"{name}_mask"], (0, noise.shape[1]), value=False)
    assert_same(model(padded), model(data))


@torch.no_grad()
def test_samples_do_not_see_each_other(model: nn.Module) -> None:
    model.eval()
    order = torch.tensor([3, 1, 4, 0, 2])
    data = batch()
    assert_same(model({name: x[order] for name, x in data.items()}), model(data), order)
    alone = model({name: x[:1] for name, x in data.items()})
    assert_same(alone, model(data), torch.tensor([0]))


@torch.no_grad()
def test_a_second_forward_sees_the_same_batch(model: nn.Module) -> None:
    model.eval()
    data = batch()
    before = {name: x.clone() for name, x in data.items()}
    first = model(data)
    assert all(torch.equal(data[name], x) for name, x in before.items())
    assert_same(model(data), first)


def test_nonempty_and_shapes(model: nn.Module) -> None:
    found = model(batch())
    modalities = ("t", "v", "a") if "a" in found.nonempty else ("t", "v")
    for m in modalities:
        assert torch.equal(found.nonempty[m], batch()[f"{NAMES[m]}_mask"].any(1))
        norms = found.input[m].norm(dim=1)
        assert bool((torch.isclose(norms, torch.ones(5)) | (norms == 0)).all())
    assert all(x.shape == (5, 10) for x in found.joint.values())


def test_every_parameter_learns(model: nn.Module) -> None:
    found = model(batch())
    loss = sum(x.sin().sum() for x in (found.joint | {f"in {m}": x for m, x in found.input.items()}).values())
    anchors = getattr(model, "anchors", None)
    if anchors is not None:
        loss += sum(anchors.similarity("input", m, x).sum() for m, x in found.input.items())
        loss += sum(anchors.similarity("joint", m, x).sum() for m, x in found.joint.items())
    assert isinstance(loss, Tensor)
    loss.backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.any(), name


def test_autocast_stays_close(model: nn.Module) -> None:
    model.eval()
    expected = model(batch())
    with torch.autocast("cpu", torch.bfloat16):
        found = model(batch())
    for m, x in expected.joint.items():
        assert F.cosine_similarity(found.joint[m].float(), x, dim=1).min() > 0.99, m
        assert found.joint[m].isfinite().all()


def test_compiles_into_one_graph(model: nn.Module) -> None:
    model.eval()
    torch._dynamo.reset()
    compiled = torch.compile(model, backend="eager", fullgraph=True)
    with torch.no_grad():
        assert_same(compiled(batch()), model(batch()))


@torch.no_grad()
def test_a_pair_is_the_mean_of_what_attention_over_both_makes_of_each() -> None:
    torch.manual_seed(0)
    model = EAOModel(tokenizer(), 10, TransformerSettings(depth=2, heads=2), mean_epsilon=0.1).eval()
    found = model(batch()).joint
    assert found.keys() == {"t", "v", "a", "tv", "ta", "va"}
    tokens = model.tokenizer(batch())
    for m, n in (("t", "v"), ("t", "a"), ("v", "a")):
        mask = torch.cat([tokens[m].mask, tokens[n].mask], 1)
        x = torch.cat([tokens[m].values, tokens[n].values], 1)
        for block in model.transformer.blocks:
            x = block(x, mask)
        N = tokens[m].mask.shape[1]
        mean_m = masked_mean(x[:, :N], tokens[m].mask, 0.1)
        mean_n = masked_mean(x[:, N:], tokens[n].mask, 0.1)
        unit = [F.normalize(model.projection[k](y), dim=1) for k, y in ((m, mean_m), (n, mean_n))]
        torch.testing.assert_close(found[m + n], (unit[0] + unit[1]) / 2)


def test_a_pair_with_cls_token_needs_a_shared_projection() -> None:
    with pytest.raises(InputError, match="individual_projections"):
        EAOModel(tokenizer(), 10, CLS)
    EAOModel(tokenizer(), 10, CLS, fused=False)


@torch.no_grad()
def test_averaged_pairs_are_means_of_unit_embeddings() -> None:
    joint: Mapping[str, Tensor] = {m: torch.randn(3, 4) for m in ("t", "v", "a", "tv")}
    found = averaged_pairs(joint)
    assert list(found) == ["t+v", "t+a", "v+a"]
    t, a = (x / x.norm(dim=1, keepdim=True) for x in (joint["t"], joint["a"]))
    torch.testing.assert_close(found["t+a"], (t + a) / 2)


def test_raw_input_features_are_means_of_the_arrays() -> None:
    torch.manual_seed(0)
    model = PerModalityModel(tokenizer(), 10, ONE, anchors={"t": 2, "v": 3, "a": 4}, input_space="raw")
    assert model.anchors is not None
    assert {m: tuple(z.shape) for m, z in model.anchors.input.items()} == {
        "t": (2, 5),
        "v": (3, 6),
        "a": (4, 8),
    }
    data = batch()
    found = model(data).input
    expected = data["text"][2, :2].mean(0)
    torch.testing.assert_close(found["t"][2], expected / expected.norm())
    assert not found["t"][1].any()


@pytest.mark.parametrize("from_video", [True, False])
def test_avlnet_says_which_samples_have_audio(from_video: bool) -> None:
    model = AVLnetModel(5, 6, 10, ResDavenet([1, 1], [4, 4, 4]), audio_nonempty_from_video=from_video)
    found = model(batch()).nonempty["a"]
    assert torch.equal(found, batch()["video_mask" if from_video else "audio_mask"].any(1))
