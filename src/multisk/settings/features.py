"""The settings of features: networks, word vectors, shards."""

from typing import Self

from pydantic import model_validator

from multisk.settings import Count, Natural, Positive, Section, Sha256


class FeatureNetwork(Section):
    """Where a network's weights come from."""

    weights: str
    sha256: Sha256 | None  # of the file that `weights` names; None: recorded, but not checked

    @model_validator(mode="after")
    def _checksum_is_of_a_file(self) -> Self:
        if self.sha256 is not None and self.weights in ("random", "pretrained"):
            raise ValueError(f"sha256 is checked of a file: with weights {self.weights}, set it to null")
        return self


class Appearance(FeatureNetwork):
    """Features of frames at a fixed rate (paper: ResNet-152 on ImageNet, 1 per second)."""

    model: str  # a timm name, or clip: and a folder (or a name in transformers' cache)
    weights: str  # "random" (seeded; all stages are read), "pretrained" (the model's own) or a path
    seed: Natural
    features_per_second: Positive
    short_side: Count
    crop: bool  # the central square alone, which transformers need; paper: the whole picture
    batch_size: Count


class Motion(FeatureNetwork):
    """3-D ResNeXt features of windows of frames (paper: ResNeXt-101 on Kinetics, 16 frames at 24/s)."""

    blocks: tuple[Count, Count, Count, Count]
    cardinality: Count
    width: Count  # channels of the first stage's bottleneck; 128 in ResNeXt-101
    weights: str  # "random" (seeded; all stages are read) or a path
    seed: Natural
    frames_per_second: Positive
    window: Count
    side: Count
    batch_size: Count


class Words(Section):
    """Word vectors: trained on the transcripts (skip-gram), published (word2vec, GloVe), or CLIP's tokens."""

    source: str  # "skipgram", a path, or clip: and a folder (or a name in transformers' cache)
    dimension: Count
    epochs: Count
    window: Count
    min_count: Count
    seed: Natural


class Features(Section):
    """What the extraction stage makes of the media files (log-mel settings are fixed by the paper)."""

    appearance: Appearance
    motion: Motion | None  # None: video tokens of appearance alone, as in EAO's variant with CLIP
    words: Words
    shard_megabytes: Positive
    workers: Count

    @property
    def networks(self) -> dict[str, Appearance | Motion]:
        """The networks that there are, by the stream of features that they make."""
        networks = {"appearance": self.appearance, "motion": self.motion}
        return {stream: network for stream, network in networks.items() if network}
