"""What a model says about a batch of clips.

Shapes: B samples, D token dimension, J joint dimension.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class Embeddings:
    """Embeddings of a batch by modality: `t` text, `v` video, `a` audio; fused pairs `tv`, `ta`, `va`.

    Attributes:
        joint: [B, J] each, not normalised (as released); in half precision under autocast.
        input: [B, D] each, L2-normalised features before the transformer.
        nonempty: bool [B] each, which samples have a token in the modality; the embedding of an empty
            one stands for "missing".
    """

    joint: dict[str, Tensor]
    input: dict[str, Tensor]
    nonempty: dict[str, Tensor]


def averaged_pairs(joint: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return `t+v`, `t+a`, `v+a`: half the sum of two modalities' L2-normalised embeddings, [B, J].

    Pairs of the single modalities that `joint` has; fused pairs take no part. As released, the mean
    itself is not normalised again.
    """
    unit = {m: F.normalize(joint[m], dim=-1) for m in ("t", "v", "a") if m in joint}
    return {f"{m}+{n}": (unit[m] + unit[n]) / 2 for m, n in combinations(unit, 2)}
