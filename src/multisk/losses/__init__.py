"""The losses of the paper and of those it compares with."""

from multisk.losses.batch import ClipOrigins, GlobalBatch, MethodLoss
from multisk.losses.clustering import ClusteringLoss
from multisk.losses.consistency import SSPCLoss, assignment_loss
from multisk.losses.contrastive import (
    ContrastiveLoss,
    max_margin_ranking,
    max_margin_softmax,
    mil_nce,
    norm_softmax,
)
from multisk.losses.queue import FeatureQueue
from multisk.losses.reconstruction import ReconstructionLoss

# By the name of their settings in `Losses`. Their order is that of the random numbers they begin with.
LOSSES: dict[str, type[MethodLoss]] = {
    "contrastive": ContrastiveLoss,
    "sspc": SSPCLoss,
    "clustering": ClusteringLoss,
    "reconstruction": ReconstructionLoss,
}

__all__ = [
    "LOSSES",
    "ClipOrigins",
    "ClusteringLoss",
    "ContrastiveLoss",
    "FeatureQueue",
    "GlobalBatch",
    "MethodLoss",
    "ReconstructionLoss",
    "SSPCLoss",
    "assignment_loss",
    "max_margin_ranking",
    "max_margin_softmax",
    "mil_nce",
    "norm_softmax",
]
