"""The losses of the paper and of those it compares with."""

from multisk.losses.clustering import ClusteringLoss
from multisk.losses.consistency import SSPCLoss, assignment_loss
from multisk.losses.contrastive import (
    ContrastiveLoss,
    Places,
    max_margin_ranking,
    max_margin_softmax,
    mil_nce,
    norm_softmax,
)
from multisk.losses.queue import FeatureQueue
from multisk.losses.reconstruction import ReconstructionLoss

__all__ = [
    "ClusteringLoss",
    "ContrastiveLoss",
    "FeatureQueue",
    "Places",
    "ReconstructionLoss",
    "SSPCLoss",
    "assignment_loss",
    "max_margin_ranking",
    "max_margin_softmax",
    "mil_nce",
    "norm_softmax",
]
