import pytest
import torch
from torch import nn

from multisk.training.ema import averaged_model


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))


def step(model: nn.Module) -> None:
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter))
        model(torch.randn(8, 3))


@pytest.mark.parametrize("decay", [0.0, 0.9, 1.0])
def test_average_follows_the_recursion_from_the_start(decay: float) -> None:
    model = network()
    average = averaged_model(model, decay)
    expected = {name: tensor.clone().double() for name, tensor in model.state_dict().items()}
    for _ in range(5):
        step(model)
        average.update_parameters(model)
        for name, tensor in model.state_dict().items():
            expected[name] = decay * expected[name] + (1 - decay) * tensor.double()
    for name, tensor in average.module.state_dict().items():
        if tensor.is_floating_point():
            torch.testing.assert_close(tensor.double(), expected[name], rtol=1e-5, atol=1e-6)


def test_average_starts_as_a_copy_and_shares_no_memory() -> None:
    model = network()
    average = averaged_model(model, 0.5)
    before = {name: tensor.clone() for name, tensor in average.module.state_dict().items()}
    torch.testing.assert_close(before, dict(model.state_dict()), rtol=0, atol=0)
    step(model)
    torch.testing.assert_close(dict(average.module.state_dict()), before, rtol=0, atol=0)


def test_counters_are_copied_and_running_statistics_averaged() -> None:
    model = network()
    average = averaged_model(model, 0.75)
    step(model)
    average.update_parameters(model)
    averaged, current = average.module.state_dict(), model.state_dict()
    assert averaged["1.num_batches_tracked"] == current["1.num_batches_tracked"] == 1
    torch.testing.assert_close(averaged["1.running_mean"], 0.25 * current["1.running_mean"])
    torch.testing.assert_close(averaged["1.running_var"], 0.75 + 0.25 * current["1.running_var"])


def test_average_needs_no_gradient() -> None:
    assert not any(parameter.requires_grad for parameter in averaged_model(network(), 0.9).parameters())
