"""What a model is built from: settings, and the sizes of what it will take."""

from collections.abc import Mapping
from dataclasses import dataclass

from multisk.errors import InputError
from multisk.models.blocks import TransformerSettings
from multisk.models.davenet import ResDavenet
from multisk.models.tokens import Tokenizer
from multisk.settings.models import AnchorSettings, Architecture, Model


@dataclass(frozen=True)
class Plan:
    """Settings and sizes of a model, and the parts that several kinds of models share.

    Parts are made anew at each call, with weights from torch's global generator.

    Attributes:
        sizes: section `model` of params.yaml.
        architecture: `methods.<name>.architecture`.
        text_dimension, video_dimension: width of the word vectors, and of the video features.
        anchors: for a method with SSPC.
        positions: number of tokens of a pretraining clip by modality.
    """

    sizes: Model
    architecture: Architecture
    text_dimension: int
    video_dimension: int
    anchors: AnchorSettings | None
    positions: Mapping[str, int] | None

    def davenet(self) -> ResDavenet | None:
        """Make the audio network; None for a method without audio."""
        if "a" not in self.architecture.modalities:
            return None
        sizes = self.sizes.davenet
        return ResDavenet(sizes.layers, sizes.widths, sizes.kernel)

    def tokenizer(self) -> Tokenizer:
        """Make what turns a batch into tokens; raise InputError for positions of unknown number."""
        dimension = round(self.sizes.dimension * self.architecture.width)
        davenet, pooling = self.davenet(), self.architecture.positions
        if pooling is None:
            return Tokenizer(self.text_dimension, self.video_dimension, dimension, davenet)
        if self.positions is None:
            raise InputError(
                "methods: architecture.positions: the number of tokens of a pretraining clip is missing"
            )
        return Tokenizer(
            self.text_dimension,
            self.video_dimension,
            dimension,
            davenet,
            positions=self.positions,
            audio_pooling=pooling,
            video_pooling=pooling,
        )

    @property
    def transformer(self) -> TransformerSettings:
        """The shape of a transformer."""
        depth = self.sizes.depth if self.architecture.depth is None else self.architecture.depth
        return TransformerSettings(
            depth, self.sizes.heads, self.sizes.mlp_ratio, cls_token=self.architecture.cls_token
        )
