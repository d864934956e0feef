"""How the release of EAO brings audio down to as many tokens as it has positions, sample by sample.

Derived from recorded facts: a token is real when any of its frames is, whole tokens alone are pooled, and a
sample that has no more of them than there are positions keeps its first ones.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

POOLING = {
    "nearest": lambda x_CN, count: F.interpolate(x_CN[None], size=count, mode="nearest")[0],
    "max_pool": F.adaptive_max_pool1d,
    "avg_pool": F.adaptive_avg_pool1d,
}


def pooled_audio(
    features_BCN: Tensor, mask_BT: Tensor, frames_B: Tensor, count: int, strategy: str
) -> tuple[Tensor, Tensor]:
    """Return features [B, count, C] and their mask [B, count], of an audio network's output.

    mask_BT, frames_B: which frames are real, and how many.
    """
    frames_of_token = math.ceil(mask_BT.shape[1] / features_BCN.shape[2])
    mask_BN = F.max_pool1d(mask_BT.float(), frames_of_token)[:, :count]
    pooled = []
    for x_CN, frames in zip(features_BCN, frames_B.tolist(), strict=True):
        tokens = int(frames / frames_of_token)
        if strategy == "clip" or tokens <= count:
            pooled.append(x_CN[:, :count])
        else:
            pooled.append(POOLING[strategy](x_CN[:, :tokens], count))
    return torch.stack(pooled).transpose(1, 2), mask_BN > 0
