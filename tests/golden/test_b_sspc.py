"""SSPC against recorded calls of the released loss: terms, targets, queues and gradients."""

from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from multisk.losses import SSPCLoss
from multisk.losses.consistency import Problem
from multisk.models.anchors import Anchors
from multisk.sinkhorn import multi_sinkhorn

TOLERANCE = {"rtol": 1e-4, "atol": 1e-5}
RECORDED = {"t": "text", "v": "video", "a": "audio"}
LETTER = {name: letter for letter, name in RECORDED.items()}
MODALITIES = tuple(RECORDED)


@pytest.fixture
def record(case: Path) -> dict[str, Any]:
    return torch.load(case, weights_only=True)


def recorded_pairs() -> dict[str, str]:
    """Recorded name `row_column` of each term. Rows 1-3 are A by anchors, columns the data; rows 4-6 are
    B by *data*, columns the anchors."""
    pairs = {}
    for (i, m), (j, n) in product(enumerate(MODALITIES), repeat=2):
        pairs[f"sspc/input_to_joint/{m}-{n}"] = f"{i + 1}_{j + 1}"
        pairs[f"sspc/joint_to_input/{m}-{n}"] = f"{j + 4}_{i + 1}"
    return pairs


def weights(config: dict[str, Any], direction: str) -> dict[str, dict[str, float]]:
    """Weights by anchor and data modality."""
    pairs = recorded_pairs()
    return {
        m: {n: config["c_loss"][f"c_loss_{pairs[f'sspc/{direction}/{m}-{n}']}"] for n in MODALITIES}
        for m in MODALITIES
    }


def released_anchors(record: dict[str, Any]) -> Anchors:
    dims = {m: record["config"]["dims"][f"in_{name}"] for m, name in RECORDED.items()}
    counts = {m: record["config"]["anchors"][name] for m, name in RECORDED.items()}
    anchors = Anchors(counts, dims, record["config"]["dims"]["out"])
    with torch.no_grad():
        for m, name in RECORDED.items():
            anchors.input[m].copy_(record["anchors"][f"cluster_{name}"])
            anchors.joint[m].copy_(record["anchors"][f"trans_cluster_{name}"])
    return anchors


def sinkhorn_settings(config: dict[str, Any]) -> dict[str, Any]:
    recorded = config["sk_params"]
    return {
        "fraction": recorded["required_properties"],
        "epsilon": recorded["eps"],
        "iterations": recorded["niters"],
        "slots": "constant",
    }


def released_loss(record: dict[str, Any]) -> SSPCLoss:
    config = record["config"]
    loss = SSPCLoss(
        {
            "queue": config["queue_len"],
            "beta": config["sk_params"].get("beta_loss", 1.0),
            "input_to_joint": weights(config, "input_to_joint"),
            "joint_to_input": weights(config, "joint_to_input"),
            "sinkhorn": sinkhorn_settings(config),
        },
        {m: config["dims"][f"in_{name}"] for m, name in RECORDED.items()},
        config["dims"]["out"],
    )
    state = loss.state_dict()
    for m, name in RECORDED.items():
        state[f"queues.input.{m}.features"] = record["queues_initial"][f"in_{name}_queue"]
        state[f"queues.joint.{m}.features"] = record["queues_initial"][f"out_{name}_queue"]
    loss.load_state_dict(state)
    return loss


def features(call: dict[str, Any]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    embeds = {key: x.clone().requires_grad_() for key, x in call["embeds"].items()}
    return (
        {m: embeds[f"in_{name}_embed"] for m, name in RECORDED.items()},
        {m: embeds[f"{name}_embed_norm"] for m, name in RECORDED.items()},
    )


def replay(
    record: dict[str, Any],
) -> Iterator[tuple[dict[str, Any], SSPCLoss, Anchors, Any, Any, Tensor, Any]]:
    """Run all calls in order; yield each with what went in and what came out."""
    anchors, loss = released_anchors(record), released_loss(record)
    for call in record["calls"]:
        anchors.zero_grad()
        input, joint = features(call)
        assert loss.filled == call["queue_size_before"]
        yield call, loss, anchors, input, joint, *loss(anchors, input, joint)


@pytest.mark.recorded("B_anc_loss", "b*.pt")
def test_loss_and_terms(record: dict[str, Any]) -> None:
    for call, loss, _, _, _, total, terms in replay(record):
        torch.testing.assert_close(total.detach(), torch.as_tensor(call["loss"]).float(), **TOLERANCE)
        if not call["terms"]:
            assert terms == {}
            continue
        recorded = recorded_terms(call, record["config"])
        assert {name for name in terms if "_to_" in name} == recorded.keys()
        for term in loss.terms:
            torch.testing.assert_close(term.weight * terms[term.name], recorded[term.name], **TOLERANCE)


def recorded_terms(call: dict[str, Any], config: dict[str, Any]) -> dict[str, Tensor]:
    return {
        name: torch.as_tensor(call["terms"][f"loss_pair_{pair}"])
        for name, pair in recorded_pairs().items()
        if config["c_loss"][f"c_loss_{pair}"]
    }


@pytest.mark.recorded("B_anc_loss", "b*.pt")
def test_queues(record: dict[str, Any]) -> None:
    for call, loss, *_ in replay(record):
        assert loss.filled == call["queue_size_after"]
        state = loss.state_dict()
        for m, name in RECORDED.items():
            for space, recorded in (("input", "in"), ("joint", "out")):
                queue = state[f"queues.{space}.{m}.features"]
                expected = call["queues_after"][f"{recorded}_{name}_queue"]
                torch.testing.assert_close(queue, expected, rtol=0, atol=1e-6)


@pytest.mark.recorded("B_anc_loss", "b*.pt")
def test_gradients(record: dict[str, Any]) -> None:
    for call, _, anchors, input, joint, total, _ in replay(record):
        if not call["terms"]:
            continue
        total.backward()
        for m, name in RECORDED.items():
            for x, recorded in ((input[m], f"in_{name}_embed"), (joint[m], f"{name}_embed_norm")):
                expected = tangential(call["grad_embeds"][recorded], x.detach())
                close_in_size(zero_if_none(x), expected)
            close_in_size(zero_if_none(anchors.input[m]), call["grad_anchors"][f"cluster_{name}"])
            close_in_size(zero_if_none(anchors.joint[m]), call["grad_anchors"][f"trans_cluster_{name}"])


def tangential(gradient: Tensor, unit: Tensor) -> Tensor:
    """Remove the part along the feature itself, which vanishes in our normalisation (recorded: before it)."""
    return gradient - (gradient * unit).sum(1, keepdim=True) * unit


def zero_if_none(leaf: Tensor) -> Tensor:
    return torch.zeros_like(leaf) if leaf.grad is None else leaf.grad


def close_in_size(actual: Tensor, expected: Tensor) -> None:
    """Compare relative to the largest entry: a gradient is a sum of terms up to e^10 that may cancel."""
    torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-5 * (1 + expected.abs().max().item()))


@pytest.mark.recorded("B_anc_loss", "b*.pt")
def test_targets(record: dict[str, Any]) -> None:
    """The recorded targets, which the release computes on every call, from our similarities and Multi-SK."""
    anchors, loss = released_anchors(record), released_loss(record)
    for call in record["calls"]:
        input, joint = features(call)
        for name, target in call["targets"].items():
            problem = recorded_problem(name)
            space = input if problem.space == "input" else joint
            batch = anchors.similarity(problem.space, problem.anchor, space[problem.data])
            torch.testing.assert_close(batch, call["assignments"][name], **TOLERANCE)
            queue = loss.get_buffer(f"queues.{problem.space}.{problem.data}.features")
            scores = torch.cat([anchors.similarity(problem.space, problem.anchor, queue), batch])
            result = multi_sinkhorn(scores, **sinkhorn_settings(record["config"]))
            torch.testing.assert_close(result.assignment[-len(batch) :], target, **TOLERANCE)
        loss(anchors, input, joint)


def recorded_problem(name: str) -> Problem:
    """`in_text_assignment`, or `trans_text_avideo_assignment`: data text, anchors of video."""
    space, data, *anchor = name.removesuffix("_assignment").split("_")
    if space == "in":
        return Problem("input", LETTER[data], LETTER[data])
    return Problem("joint", LETTER[anchor[0].removeprefix("a")], LETTER[data])
