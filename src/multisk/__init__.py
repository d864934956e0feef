"""Reproduction suite for *Preserving Modality Structure Improves Multi-Modal Learning* (ICCV 2023).

    from multisk import Anchors, SSPCLoss, multi_sinkhorn

The three names that other trainers want are loaded on first use, so that `import multisk` costs nothing.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from multisk.losses import SSPCLoss
    from multisk.models.anchors import Anchors
    from multisk.sinkhorn import multi_sinkhorn

__all__ = ["Anchors", "SSPCLoss", "multi_sinkhorn"]


def __getattr__(name: str) -> Any:
    from importlib import import_module

    homes = {"Anchors": "models.anchors", "SSPCLoss": "losses", "multi_sinkhorn": "sinkhorn"}
    if name not in homes:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{homes[name]}"), name)
