"""Exponential moving average of a model's weights, as released: e <- decay * e + (1 - decay) * p."""

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

Tensors = tuple[Tensor, ...] | list[Tensor]


def averaged_model(model: nn.Module, decay: float) -> AveragedModel:
    """Return a copy of `model` whose `update_parameters(model)` moves it towards the model.

    Floating-point buffers (the running statistics of batch norm) are averaged with the parameters, and
    integer buffers are copied. The release updates `fusion.*` twice a step, because it lists those
    weights under two names; here every weight is updated once.
    """

    def update(averaged: Tensors, current: Tensors, _updates: Tensor | int) -> None:
        if averaged[0].is_floating_point():
            torch._foreach_lerp_(averaged, current, 1 - decay)
        else:
            torch._foreach_copy_(averaged, current)

    average = AveragedModel(model, multi_avg_fn=update, use_buffers=True)
    # AveragedModel would replace the start by the weights after the first step.
    average.n_averaged.fill_(1)
    return average.requires_grad_(False)
