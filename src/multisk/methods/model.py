"""A method of params.yaml as a model."""

from typing import Any

from multisk.models import build_model
from multisk.params import Params
from multisk.settings.models import Model
from multisk.settings.sampling import PretrainClips


def method_model(params: Params, method: str, dimensions: dict[str, int]) -> Any:
    """Build a method's model, with weights from torch's global generator.

    dimensions: `text_dimension` and `video_dimension`, as `ClipSource.dimensions` gives them
    """
    entry = params.method(method)
    return build_model(
        entry.model,
        params.model,
        anchors=entry.anchors,
        architecture=entry.architecture,
        positions=position_counts(params.model, params.clips.pretrain),
        **dimensions,
    )


def position_counts(model: Model, clips: PretrainClips) -> dict[str, int]:
    """Return how many tokens a pretraining clip has, by modality."""
    audio = -(-clips.audio_frames // 2 ** len(model.davenet.layers))
    return {"t": clips.words, "v": clips.video_tokens, "a": audio}
