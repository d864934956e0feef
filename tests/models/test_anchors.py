"""Anchors: sizes, similarity, parameters."""

import pytest
import torch
import torch.nn.functional as F

from multisk.models.anchors import Anchors


def test_sizes_may_differ_between_modalities() -> None:
    anchors = Anchors({"t": 3, "v": 4, "a": 5}, {"t": 6, "v": 7, "a": 8}, 9)
    assert {m: tuple(anchors.input[m].shape) for m in "tva"} == {"t": (3, 6), "v": (4, 7), "a": (5, 8)}
    assert {m: tuple(anchors.joint[m].shape) for m in "tva"} == {"t": (3, 9), "v": (4, 9), "a": (5, 9)}


def test_one_size_for_all() -> None:
    anchors = Anchors(64, 16, 32)
    assert {tuple(x.shape) for x in anchors.input.values()} == {(64, 16)}
    assert {tuple(x.shape) for x in anchors.joint.values()} == {(64, 32)}


def test_similarity_is_the_cosine_for_features_of_length_one() -> None:
    anchors, x = Anchors(5, 6, 7), F.normalize(torch.randn(4, 7), dim=1)
    expected = F.cosine_similarity(x[:, None], anchors.joint["v"][None], dim=2)
    torch.testing.assert_close(anchors.similarity("joint", "v", x), expected)


def test_similarity_grows_with_the_feature_but_not_with_the_anchor() -> None:
    anchors, x = Anchors(5, 6, 7), torch.randn(4, 6)
    before = anchors.similarity("input", "t", x)
    with torch.no_grad():
        anchors.input["t"] *= 10
    torch.testing.assert_close(anchors.similarity("input", "t", x), before)
    torch.testing.assert_close(anchors.similarity("input", "t", 2 * x), 2 * before)


@pytest.mark.parametrize("dtype", [torch.float16, torch.float64])
def test_features_take_the_precision_of_the_anchors(dtype: torch.dtype) -> None:
    assert Anchors(5, 6, 7).similarity("input", "t", torch.randn(4, 6).to(dtype)).dtype == torch.float32


def test_anchors_are_parameters_drawn_from_a_standard_normal() -> None:
    torch.manual_seed(0)
    anchors = Anchors(64, 512, 512)
    assert len(list(anchors.parameters())) == 6
    for x in anchors.parameters():
        assert x.requires_grad
        assert x.mean().abs() < 0.03
        assert x.std().sub(1).abs() < 0.03
