"""What a caption retrieves: the clips that text -> video+audio ranks highest."""

import numpy as np
import pandas as pd

from multisk.evaluation.embed import EmbeddedSet
from multisk.evaluation.ranking import query_ranks
from multisk.evaluation.retrieval import similarity


def gallery(embedded: EmbeddedSet, size: int = 5) -> pd.DataFrame:
    """Return clip_id, rank, top (the ids of the `size` best clips, best first) for each caption.

    Video and audio are fused (`va`) where the model does so, else averaged (`v+a`); a model without audio
    answers with video.
    """
    answer = next(key for key in ("va", "v+a", "v") if key in embedded.joint)
    sim_NN = similarity(embedded.joint["t"], embedded.joint[answer])
    best = np.argsort(-sim_NN, axis=1, kind="stable")[:, :size]
    top = [[embedded.clip_ids[index] for index in row] for row in best]
    return pd.DataFrame({"clip_id": embedded.clip_ids, "rank": query_ranks(sim_NN), "top": top})
