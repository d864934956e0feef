"""Contrastive losses against recorded values and gradients."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from multisk.losses import ContrastiveLoss, assignment_loss, max_margin_softmax, norm_softmax
from multisk.losses.contrastive import normalized

TOLERANCE = {"rtol": 1e-4, "atol": 1e-5}
OURS = {"text": "t", "video": "v", "audio": "a", "tv": "tv", "ta": "ta", "va": "va"}
PAIRS = {"tv": "t-v", "ta": "t-a", "va": "v-a", "t_va": "t-va", "v_ta": "v-ta", "a_tv": "a-tv"}


@pytest.fixture
def record(case: Path) -> dict[str, Any]:
    return torch.load(case, weights_only=True)


def released_loss(kwargs: dict[str, Any], alpha: float) -> ContrastiveLoss:
    weights = {ours.replace("-", "_"): kwargs.get(f"{pair}_weight", 0.0) for pair, ours in PAIRS.items()}
    if kwargs.get("tv_only"):
        weights = {key: weight if key == "t_v" else 0.0 for key, weight in weights.items()}
    settings = {"temperature": kwargs.get("temperature", 0.05), "alpha": alpha, "weights": weights}
    return ContrastiveLoss(settings, max_margin_softmax if kwargs.get("contrastive_loss") == "MMS" else None)


def embeddings(record: dict[str, Any]) -> SimpleNamespace:
    joint = {
        OURS[key.removesuffix("_embed")]: x.clone().requires_grad_() for key, x in record["embeds"].items()
    }
    masks = {OURS[key.removesuffix("_nonempty_input_mask")]: mask for key, mask in record["masks"].items()}
    return SimpleNamespace(joint=joint, nonempty=masks)


def alpha(release: str, kwargs: dict[str, Any]) -> float:
    """EAO's loss has no alpha and ignores the argument."""
    return kwargs.get("alpha_closs", 1.0) if release == "msk" else 1.0


@pytest.mark.recorded("C_contrastive", "c[0-9]*.pt")
@pytest.mark.parametrize("release", ["eao", "msk"])
def test_combined_loss(record: dict[str, Any], release: str) -> None:
    if release not in record["results"]:
        return
    recorded = record["results"][release]
    kwargs = record["config"]["kwargs"]
    given = embeddings(record)
    loss, terms = released_loss(kwargs, alpha(release, kwargs))(given)
    loss.backward()
    defined = {
        PAIRS[pair]: value for pair, value in recorded["info"].items() if pair in PAIRS and value == value
    }
    assert terms.keys() == {f"contrastive/{pair}" for pair in defined}
    for pair, value in defined.items():
        torch.testing.assert_close(terms[f"contrastive/{pair}"].item(), value, **TOLERANCE)
    if torch.isnan(recorded["loss"]):
        remaining_pairs_share_the_weight(record, loss, terms, alpha(release, kwargs))
        return
    torch.testing.assert_close(loss.detach(), recorded["loss"], **TOLERANCE)
    torch.testing.assert_close(loss.item(), recorded["info"]["Retrieval"], **TOLERANCE)
    for key, gradient in recorded["grads"].items():
        leaf = given.joint[OURS[key.removesuffix("_embed")]]
        actual = torch.zeros_like(leaf) if leaf.grad is None else leaf.grad
        torch.testing.assert_close(actual, gradient, **TOLERANCE)


def remaining_pairs_share_the_weight(
    record: dict[str, Any], loss: Tensor, terms: dict[str, Tensor], factor: float
) -> None:
    """Where a pair has no sample the release gives NaN; here the pair is left out of the weighted mean."""
    names = {f"contrastive/{ours}": pair for pair, ours in PAIRS.items()}
    weight = {name: record["config"]["kwargs"][f"{names[name]}_weight"] for name in terms}
    assert terms
    mean = sum(weight[name] * term.item() for name, term in terms.items()) / sum(weight.values())
    assert loss.item() == pytest.approx(factor * mean, rel=1e-5)


@pytest.mark.recorded("C_contrastive", "bare_losses_*.pt")
def test_losses_of_a_similarity_matrix(record: dict[str, Any]) -> None:
    for name, recorded in record.items():
        if name == "x":
            continue
        kind, parameter = name[0], float(name.split("_")[1][1:])
        x = record["x"].clone().requires_grad_()
        loss = norm_softmax(x, parameter) if kind == "N" else max_margin_softmax(x, parameter)
        loss.backward()
        torch.testing.assert_close(loss.detach(), recorded["loss"], **TOLERANCE)
        torch.testing.assert_close(x.grad, recorded["grad"], **TOLERANCE)


@pytest.mark.recorded("C_contrastive", "sim_and_cost*.pt")
def test_similarity_and_cost(record: dict[str, Any]) -> None:
    torch.testing.assert_close(normalized(record["a"]), record["a_norm"], **TOLERANCE)
    torch.testing.assert_close(
        normalized(record["a"]) @ normalized(record["b"]).T, record["sim"], **TOLERANCE
    )
    similarity = record["cost_similarity"].clone().requires_grad_()
    cost = assignment_loss(similarity, record["cost_target"])
    cost.backward()
    torch.testing.assert_close(cost.detach(), record["cost"], **TOLERANCE)
    torch.testing.assert_close(similarity.grad, record["cost_grad"], **TOLERANCE)
