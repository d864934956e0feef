"""A method of params.yaml as a model."""

from typing import Any

from multisk.models import build_model, position_counts
from multisk.params import Params

TRAINING_CODE = (
    "sampling",
    "models",
    "losses",
    "sinkhorn.py",
    "training",
    "pipeline/methods.py",
    "pipeline/pretrain.py",
)


def method_model(params: Params, method: str, dimensions: dict[str, int]) -> Any:
    """Build a method's model, with weights from torch's global generator.

    dimensions: `text_dimension` and `video_dimension`, as `Inputs.dimensions` gives them
    """
    recipe = params.method(method)
    anchors = recipe.sspc.anchors if recipe.sspc else None
    return build_model(
        recipe.model,
        params.model,
        anchors=anchors,
        architecture=recipe.architecture,
        positions=position_counts(params.model, params.clips.pretrain),
        **dimensions,
    )
