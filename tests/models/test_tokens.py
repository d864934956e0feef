"""Tokens: masking token, positions, audio pooling."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from multisk.errors import InputError
from multisk.models.davenet import ResDavenet
from multisk.models.tokens import TimePooling, Tokenizer, pool_time

KINDS: tuple[TimePooling, ...] = ("clip", "nearest", "max_pool", "avg_pool")


def make(**options: object) -> Tokenizer:
    return Tokenizer(5, 6, 8, ResDavenet([1, 1], [4, 4, 4]), **options)  # type: ignore[arg-type]


def batch(B: int = 4) -> dict[str, Tensor]:
    torch.manual_seed(1)
    arrays = {"text": torch.randn(B, 3, 5), "video": torch.randn(B, 4, 6), "audio": torch.randn(B, 40, 16)}
    masks = {
        "text_mask": torch.ones(B, 3, dtype=torch.bool),
        "video_mask": torch.ones(B, 4, dtype=torch.bool),
        "audio_mask": torch.ones(B, 16, dtype=torch.bool),
    }
    return arrays | masks


def test_an_empty_sample_is_the_masking_token() -> None:
    tokenizer, data = make(), batch()
    for m, name in (("t", "text"), ("v", "video"), ("a", "audio")):
        data[f"{name}_mask"][2] = False
        tokens = tokenizer(data)[m]
        assert tokens.nonempty.tolist() == [True, True, False, True]
        assert torch.equal(tokens.values[2, 0], tokenizer.masking_token)
        assert tokens.mask[2].nonzero().tolist() == [[0]]
        others = torch.tensor([0, 1, 3])
        assert tokens.mask[others].all()
        assert not (tokens.values[others] == tokenizer.masking_token).all(-1).any()


def test_the_masking_token_learns_from_empty_samples_alone() -> None:
    tokenizer, data = make(), batch()
    tokenizer(data)["t"].values.sum().backward()
    assert tokenizer.masking_token.grad is not None
    assert not tokenizer.masking_token.grad.any()
    data["text_mask"][0] = False
    tokenizer(data)["t"].values.sum().backward()
    assert torch.equal(tokenizer.masking_token.grad, torch.ones(8))


def test_tokens_of_one_modality_do_not_depend_on_another() -> None:
    tokenizer, data = make().eval(), batch()
    before = tokenizer(data)
    after = tokenizer(data | {"audio": data["audio"] + 1})
    assert torch.equal(before["t"].values, after["t"].values)
    assert torch.equal(before["v"].values, after["v"].values)
    assert not torch.equal(before["a"].values, after["a"].values)


def test_positions_are_added_to_every_token() -> None:
    tokenizer, data = make(positions={"t": 3, "v": 4, "a": 4}), batch()
    tokens = tokenizer(data)
    for m, placed in tokenizer.add_positions(tokens).items():
        torch.testing.assert_close(placed.values - tokens[m].values, tokenizer.positions[m].expand(4, -1, -1))


def test_more_tokens_than_positions_are_refused() -> None:
    tokenizer = make(positions={"t": 2, "v": 4, "a": 4})
    with pytest.raises(InputError, match=r"^text: 3 tokens but 2 learned positions; give 2 tokens at most"):
        tokenizer.add_positions(tokenizer(batch()))


def test_fewer_tokens_have_the_first_positions() -> None:
    tokenizer, data = make(positions={"t": 7, "v": 4, "a": 4}), batch()
    tokens = tokenizer(data)
    placed = tokenizer.add_positions(tokens)["t"]
    torch.testing.assert_close(
        placed.values - tokens["t"].values, tokenizer.positions["t"][:3].expand(4, -1, -1)
    )


def test_without_an_audio_network_audio_is_not_read() -> None:
    tokenizer = Tokenizer(5, 6, 8, None)
    data = {name: x for name, x in batch().items() if "audio" not in name}
    assert tokenizer.modalities == ("t", "v")
    assert tokenizer(data).keys() == {"t", "v"}


@settings(deadline=None, max_examples=30)
@given(N=st.integers(1, 12), count=st.integers(1, 6), kind=st.sampled_from(KINDS))
def test_pooling_over_time_covers_the_real_steps(N: int, count: int, kind: TimePooling) -> None:
    x = torch.randn(N + 1, 3, N)
    length = torch.arange(N + 1)
    found = pool_time(x, length, count, kind)
    pool = {
        "clip": lambda x, count: x[:, :count],
        "nearest": lambda x, count: F.interpolate(x[None], size=count, mode="nearest")[0],
        "max_pool": F.adaptive_max_pool1d,
        "avg_pool": F.adaptive_avg_pool1d,
    }[kind]
    for b in range(N + 1):
        expected = x[b, :, :count]
        if b > count:
            expected = pool(x[b, :, :b], count)
        torch.testing.assert_close(found[b], expected)


@pytest.mark.parametrize("kind", KINDS)
def test_longer_video_comes_down_to_the_learned_positions(kind: TimePooling) -> None:
    tokenizer = make(positions={"t": 3, "v": 2, "a": 4}, video_pooling=kind)
    data = batch()
    data["video_mask"] = torch.arange(4) < torch.tensor([[4], [2], [1], [0]])
    tokens = tokenizer(data)["v"]
    assert tokenizer.add_positions({"v": tokens})["v"].values.shape == (4, 2, 8)
    assert tokens.mask.tolist() == [[True, True], [True, True], [True, False], [True, False]]
    assert tokens.nonempty.tolist() == [True, True, True, False]
    x = data["video"][0]
    pooled = {
        "clip": x[:2],
        "nearest": x[::2],
        "max_pool": x.view(2, 2, 6).amax(1),
        "avg_pool": x.view(2, 2, 6).mean(1),
    }[kind]
    expected = tokenizer.norm["v"](tokenizer.projection["v"](pooled))
    torch.testing.assert_close(tokens.values[0], expected)
    short = tokenizer.norm["v"](tokenizer.projection["v"](data["video"][1, :2]))
    torch.testing.assert_close(tokens.values[1], short)


@pytest.mark.parametrize("kind", KINDS)
def test_longer_audio_comes_down_to_the_learned_positions(kind: TimePooling) -> None:
    tokenizer = make(positions={"t": 3, "v": 4, "a": 2}, audio_pooling=kind)
    tokens = tokenizer.add_positions(tokenizer(batch()))["a"]
    assert tokens.values.shape == (4, 2, 8)
    assert tokens.mask.shape == (4, 2)
