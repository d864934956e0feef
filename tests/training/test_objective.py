from types import ModuleType
from typing import Any

import pytest
import torch

from multisk.errors import InputError
from multisk.losses import ClipOrigins
from multisk.models import AVLnetModel
from multisk.models.davenet import ResDavenet
from multisk.models.embeddings import Embeddings
from multisk.settings.losses import Losses, Reconstruction
from multisk.settings.training import Method
from multisk.training import Objective


def batch(tiny: ModuleType, first: int = 0) -> dict[str, Any]:
    data = tiny.Clips()
    return tiny.collate([data[i] for i in range(first, first + 8)])


def test_loss_is_the_sum_of_both_losses(tiny: ModuleType) -> None:
    objective = tiny.objective().train()
    for first in (0, 8):
        loss, terms = objective(batch(tiny, first))
        assert not any(name.startswith("sspc/") for name in terms)
        weighted = terms["contrastive/t-v"] + 0.1 * (terms["contrastive/t-a"] + terms["contrastive/v-a"])
        torch.testing.assert_close(loss.detach(), weighted / 1.2)
    loss, terms = objective(batch(tiny, 16))
    weighted = terms["contrastive/t-v"] + 0.1 * (terms["contrastive/t-a"] + terms["contrastive/v-a"])
    consistency = sum(
        (0.1 if n == "a" else 1.0) * terms[f"sspc/{side}/{m}-{n}"]
        for side in ("input_to_joint", "joint_to_input")
        for m in "tva"
        for n in "tva"
    )
    torch.testing.assert_close(loss.detach(), weighted / 1.2 + consistency)
    assert not any(term.requires_grad for term in terms.values())


def test_losses_are_in_full_precision_under_autocast(tiny: ModuleType) -> None:
    objective = tiny.objective().eval()
    seen: list[Embeddings] = []
    objective.model.register_forward_hook(lambda _module, _inputs, output: seen.append(output))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss, _ = objective(batch(tiny))
    (embeddings,) = seen
    assert all(x.dtype == torch.bfloat16 for x in embeddings.joint.values())
    full = Embeddings(
        {m: x.double() for m, x in embeddings.joint.items()},
        {m: x.double() for m, x in embeddings.input.items()},
        embeddings.nonempty,
    )
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss.double(), objective.losses(full)[0], rtol=1e-6, atol=1e-6)


def test_state_holds_model_queues_and_count(tiny: ModuleType) -> None:
    names = set(tiny.objective().state_dict())
    assert {"sspc.filled", "model.anchors.input.t"} <= names
    assert sum(name.endswith(".features") for name in names) == 6


def test_a_methods_other_losses_are_added_up(tiny: ModuleType) -> None:
    objective = tiny.objective(other=True).train()
    assert objective.sspc is None
    for first in (0, 8):
        objective(batch(tiny, first))
    loss, terms = objective(batch(tiny, 16))
    clips = batch(tiny, 16)
    torch.manual_seed(0)
    contrastive = objective.contrastive(
        objective.model(clips), ClipOrigins(clips["video_index"], clips["start"])
    )[0]
    alone = objective.contrastive(objective.model(clips))[0]
    assert not torch.isclose(contrastive, alone)
    others = [
        torch.stack([terms[f"{name}/{m}"] for m in "tva"]).mean() for name in ("clustering", "reconstruction")
    ]
    torch.testing.assert_close(loss.detach(), contrastive.detach() + sum(others))


def test_what_other_losses_keep_is_part_of_the_state(tiny: ModuleType) -> None:
    objective = tiny.objective(other=True).train()
    for first in (0, 8):
        objective(batch(tiny, first))
    other = tiny.objective(seed=1, other=True).train()
    other.load_state_dict(objective.state_dict())
    for first in (16, 24, 32):
        (loss, terms), (same, same_terms) = (each(batch(tiny, first)) for each in (objective, other))
        assert torch.equal(loss, same)
        assert terms == same_terms
    assert {"clustering.centroids", "clustering.queue.features", "clustering.filled"} <= set(
        other.state_dict()
    )


def test_reconstruction_needs_input_features(tiny: ModuleType) -> None:
    davenet = ResDavenet((1, 1), (4, 4, 8), 3)
    contrastive = Method.model_validate(tiny.METHOD).contrastive
    with pytest.raises(InputError, match="reconstruction needs a model with input features"):
        Objective(
            AVLnetModel(6, 10, 8, davenet),
            Losses(contrastive=contrastive, reconstruction=Reconstruction(weight=1)),
        )


@pytest.mark.parametrize("broken", ["embedding", "anchor"])
def test_what_is_not_finite_gives_a_loss_that_is_not(tiny: ModuleType, broken: str) -> None:
    objective = tiny.objective().train()
    for first in (0, 8):
        objective(batch(tiny, first))
    clips = batch(tiny, 16)
    if broken == "embedding":
        clips["audio"][3] = torch.inf
    else:
        objective.model.anchors.joint["v"].data[0, 0] = torch.nan
    loss, _ = objective(clips)
    assert loss.isnan()


def test_sspc_needs_anchors(tiny: ModuleType) -> None:
    model = tiny.objective(sspc=False).model
    method = Method.model_validate(tiny.METHOD)
    with pytest.raises(InputError, match="sspc needs a model with anchors"):
        Objective(model, method)
