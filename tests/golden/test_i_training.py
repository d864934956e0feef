"""Twenty recorded steps of the release: the training loop gives the same losses, weights and averages."""

import math
from collections.abc import Mapping
from functools import cache, partial
from itertools import product
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from accelerate import PartialState
from safetensors.torch import load_file
from torch import Tensor

from multisk.models.per_modality import PerModalityModel
from multisk.models.release import from_release, released_names
from multisk.settings.losses import Contrastive, Losses, Sspc
from multisk.settings.training import Training
from multisk.training import Objective, train
from multisk.training.batches import TrainingBatches

NAMES = {"t": "text", "v": "video", "a": "audio"}


class Recorded(torch.utils.data.Dataset[dict[str, Tensor]]):
    """Item s is the whole batch of step s."""

    def __init__(self, case: Mapping[str, Any], steps: int) -> None:
        self.batches = case["batches"]
        self.steps = steps

    def __len__(self) -> int:
        return self.steps

    def __getitem__(self, step: int) -> dict[str, Tensor]:
        batch = self.batches[step % len(self.batches)]
        return {name: x > 0 if name.endswith("_mask") else x for name, x in batch.items()}


class Log(list[dict[str, float]]):
    def __call__(self, step: int, metrics: Mapping[str, float]) -> None:
        self.append({"step": step, **metrics})

    def rewind(self, step: int) -> None:
        assert step == len(self) == 0


def recorded_pair(side: str, anchor: str, data: str) -> str:
    """Return a term's recorded number: rows 1-3 are A by anchors, rows 4-6 are B by data."""
    m, n = "tva".index(anchor), "tva".index(data)
    return f"{m + 1}_{n + 1}" if side == "input_to_joint" else f"{n + 4}_{m + 1}"


def weights_of(fusion: Mapping[str, float], side: str) -> dict[str, dict[str, float]]:
    return {m: {n: fusion[f"c_loss_{recorded_pair(side, m, n)}"] for n in "tva"} for m in "tva"}


def objective_of(case: Mapping[str, Any]) -> Objective:
    config = case["config"]
    fusion, loss, sk = config["args"]["fusion_params"], config["loss"], config["anc"]["sk_params"]
    cls = {"cls": "TransformerPerModalityModel2", "args": config["args"], "davenet": config["davenet"]}
    model, _ = from_release(case["init_state_dict"], cls)
    pairs = ("t_v", "t_a", "v_a", "t_va", "v_ta", "a_tv")
    released = ("tv", "ta", "va", "t_va", "v_ta", "a_tv")
    contrastive = Contrastive(
        temperature=loss["temperature"],
        alpha=loss["alpha_closs"],
        weights={pair: loss[f"{name}_weight"] for pair, name in zip(pairs, released, strict=True)},
    )
    sspc = Sspc(
        anchors={"count": fusion["anc_len_txt"]},
        queue=config["anc"]["queue_len"],
        temperature=0.1,
        beta=sk.get("beta_loss", 1.0),
        input_to_joint=weights_of(fusion, "input_to_joint"),
        joint_to_input=weights_of(fusion, "joint_to_input"),
        sinkhorn={
            "fraction": sk["required_properties"],
            "epsilon": sk["eps"],
            "iterations": sk["niters"],
            "slots": "constant",
        },
    )
    objective = Objective(model, Losses(contrastive=contrastive, sspc=sspc))
    assert objective.sspc is not None
    for space, side in [("input", "in"), ("joint", "out")]:
        for m, name in NAMES.items():
            queue = objective.sspc.queues[space][m]  # type: ignore[index]
            queue.features.copy_(case["queues_initial"][f"{side}_{name}_queue"])
    return objective


class Run:
    """The first `steps` recorded steps, done by our loop, in the release's names."""

    def __init__(self, case: Mapping[str, Any], directory: Path, steps: int, decay: float) -> None:
        self.objective = objective_of(case)
        self.names = released_names(cast(PerModalityModel, self.objective.model))
        self.log = Log()
        self.gradient_norms: dict[str, list[float]] = {name: [] for name in self.names.values()}
        for key, parameter in self.objective.model.named_parameters():
            parameter.register_post_accumulate_grad_hook(partial(self.keep_norm, self.names[key]))
        settings = Training(
            epochs=1,
            batch_size=1,
            learning_rate=case["config"]["lr"],
            decay=1.0,
            ema=decay,
            mixed_precision="no",
            freeze_batch_norm=False,
            checkpoint_steps=steps,
            workers=0,
        )
        data = Recorded(case, steps)
        train(self.objective, data, lambda items: items[0], settings, directory, self.log, seed=0)
        self.weights = self.released(load_file(directory / "model.safetensors"))
        self.average = self.released(load_file(directory / "ema.safetensors"))
        self.state = self.objective.state_dict()

    def keep_norm(self, name: str, parameter: Tensor) -> None:
        assert parameter.grad is not None
        self.gradient_norms[name].append(float(parameter.grad.norm()))

    def released(self, ours: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {self.names[key]: tensor for key, tensor in ours.items()}


@pytest.fixture(autouse=True)
def recorded_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """Show the items in the recorded order, on the CPU as recorded."""
    monkeypatch.setenv("ACCELERATE_USE_CPU", "1")
    PartialState._reset_state()
    monkeypatch.setattr(
        TrainingBatches, "indices", lambda self, _epoch: [[step] for step in range(self.items)]
    )


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Give the run of a recorded case: once each, since every test looks at another side of it."""

    @cache
    def run(path: Path, steps: int | None = None, squared: bool = False) -> tuple[dict[str, Any], Run]:
        case = torch.load(path, weights_only=True)
        decay = case["config"]["ema_decay"] ** (2 if squared else 1)
        directory = tmp_path_factory.mktemp("run")
        return case, Run(case, directory, steps or case["config"]["steps"], decay)

    return run


def assert_near(ours: Mapping[str, Tensor], recorded: Mapping[str, Tensor], learning_rate: float) -> None:
    """Compare all of ours, within a fraction of what one step of Adam moves a weight.

    Running statistics are of order 1e3: their ratio counts. No output depends on the biases of the keys:
    their gradients are rounding, which Adam turns into parts of steps.
    """
    assert ours
    for name, tensor in ours.items():
        absolute = (5 if name.endswith("qkv.bias") else 0.1) * learning_rate
        expected = recorded[name].reshape(tensor.shape)
        torch.testing.assert_close(tensor, expected, rtol=1e-4, atol=absolute, msg=partial(named, name))


def named(name: str, message: str) -> str:
    return f"{name}: {message}"


@pytest.mark.recorded("I_training", "*.pt")
def test_losses_and_terms(runs: Any, case: Path) -> None:
    recorded, run = runs(case)
    fusion = recorded["config"]["args"]["fusion_params"]
    assert len(run.log) == len(recorded["log"])
    for row, expected in zip(run.log, recorded["log"], strict=True):
        assert row["loss"] == pytest.approx(expected["loss"], rel=1e-5)
        info = expected["info"]
        terms = {pair: row[f"contrastive/{pair[0]}-{pair[1]}"] for pair in ("tv", "ta", "va") if pair in info}
        for side, m, n in product(("input_to_joint", "joint_to_input"), "tva", "tva"):
            pair = recorded_pair(side, m, n)
            if f"loss_pair_{pair}" in info and fusion[f"c_loss_{pair}"]:
                terms[f"loss_pair_{pair}"] = fusion[f"c_loss_{pair}"] * row[f"sspc/{side}/{m}-{n}"]
        assert terms == pytest.approx({name: info[name] for name in terms}, rel=1e-4)
        assert bool(info.get("anc_loss")) == any(name.startswith("sspc/") for name in row)
        assert {name for name in info if name.startswith("loss_pair") and info[name]} <= set(terms)


@pytest.mark.recorded("I_training", "*.pt")
def test_gradients_of_first_and_last_step(runs: Any, case: Path) -> None:
    recorded, run = runs(case)
    last = recorded["config"]["steps"] - 1
    for step, position in [(0, 0), (last, -1)]:
        expected = {
            name: norm for name, norm in recorded["snapshots"][f"gradnorm_step{step}"].items() if norm >= 0
        }
        ours = {name: norms[position] for name, norms in run.gradient_norms.items() if norms}
        ours = {name: norm for name, norm in ours.items() if name in expected}
        assert ours == pytest.approx({name: expected[name] for name in ours}, rel=5e-3, abs=1e-4)
        assert set(expected) == set(ours)
        whole = math.sqrt(sum(norm**2 for norm in expected.values()))
        assert run.log[step]["gradient_norm"] == pytest.approx(whole, rel=1e-3)


@pytest.mark.recorded("I_training", "*.pt")
def test_anchors_have_no_gradient_before_the_queue_is_full(runs: Any, case: Path) -> None:
    recorded, run = runs(case)
    with_loss = sum(bool(row["info"].get("anc_loss")) for row in recorded["log"])
    last = recorded["snapshots"][f"gradnorm_step{recorded['config']['steps'] - 1}"]
    anchors = {name: len(norms) for name, norms in run.gradient_norms.items() if "cluster" in name}
    assert len(anchors) == 6
    for name, count in anchors.items():
        assert count == (with_loss if last[name] >= 0 else 0), name


@pytest.mark.recorded("I_training", "*.pt")
def test_final_weights(runs: Any, case: Path) -> None:
    recorded, run = runs(case)
    assert_near(run.weights, recorded["final_state_dict"], recorded["config"]["lr"])


@pytest.mark.recorded("I_training", "*.pt")
def test_final_average(runs: Any, case: Path) -> None:
    """The release steps the average of `fusion.*` twice, which is one step with the squared decay."""
    recorded, run = runs(case)
    _, twice = runs(case, squared=True)
    average = {n: x for n, x in run.average.items() if not n.startswith("fusion.") and x.is_floating_point()}
    average |= {n: x for n, x in twice.average.items() if n.startswith("fusion.")}
    assert_near(average, recorded["final_ema_state_dict"], recorded["config"]["lr"])


@pytest.mark.recorded("I_training", "*.pt")
def test_first_step_of_weights_and_average(runs: Any, case: Path) -> None:
    recorded, run = runs(case, steps=1)
    _, twice = runs(case, steps=1, squared=True)
    snapshots = recorded["snapshots"]
    after = snapshots["state_dict_after_step0"]
    assert_near({n: x for n, x in run.weights.items() if n in after}, after, recorded["config"]["lr"])
    average = {n: x for n, x in twice.average.items() if n.startswith("fusion.") and "qkv.bias" not in n}
    moved = (1 - recorded["config"]["ema_decay"]) * recorded["config"]["lr"]  # by one step of the average
    for name, tensor in average.items():
        torch.testing.assert_close(tensor, snapshots["ema_after_step0"][name], rtol=2e-7, atol=0.2 * moved)


@pytest.mark.recorded("I_training", "*.pt")
def test_final_queues(runs: Any, case: Path) -> None:
    recorded, run = runs(case)
    for space, side in [("input", "in"), ("joint", "out")]:
        for m, name in NAMES.items():
            ours = run.state[f"sspc.queues.{space}.{m}.features"]
            torch.testing.assert_close(
                ours, recorded["final_queues"][f"{side}_{name}_queue"], rtol=1e-3, atol=1e-3
            )
    assert run.state["sspc.filled"] == recorded["log"][-1]["queue_size"]
