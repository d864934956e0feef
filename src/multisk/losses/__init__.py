"""The losses of the paper: contrastive pairs, and consistency between the input and the joint space."""

from multisk.losses.consistency import SSPCLoss, assignment_loss
from multisk.losses.contrastive import ContrastiveLoss, max_margin_softmax, norm_softmax
from multisk.losses.queue import FeatureQueue

__all__ = [
    "ContrastiveLoss",
    "FeatureQueue",
    "SSPCLoss",
    "assignment_loss",
    "max_margin_softmax",
    "norm_softmax",
]
