"""The model of SSPC: one transformer per modality, no fusion, optionally with anchors.

Shapes: B samples, N tokens, D token dimension, J joint dimension.
"""

from collections.abc import Mapping
from typing import ClassVar, Literal, Self

import torch.nn.functional as F
from torch import Tensor, nn

from multisk.models.anchors import Anchors
from multisk.models.blocks import ProjectionKind, Transformer, TransformerSettings, masked_mean, projection
from multisk.models.embeddings import Embeddings
from multisk.models.plan import Plan
from multisk.models.tokens import NAMES, TOKENIZER_INPUT_LAYERS, Tokenizer, Tokens, input_features

InputFeatures = Literal["tokens", "raw"]


class PerModalityModel(nn.Module):
    """Each modality has its own transformer and projection into the joint space (paper: model).

    Args:
        tokenizer: makes the tokens.
        joint_dimension: width J of the joint embeddings.
        transformer: shape of each transformer.
        projection_kind: "gated", or "minimal" for plain linear layers.
        mean_epsilon: added to token counts in means; 1e-5 in the release of Multi-SK, 0 in that of EAO.
        anchors: number of anchors per modality, one for all or one each; None: no anchors.
        learned_anchors: whether the anchors learn, or stay as they are drawn.
        input_space: what the input features are: means of tokens, or ("raw") of the text and video
            arrays themselves. Audio has no raw features and always uses tokens.
    """

    INPUT_LAYERS: ClassVar[Mapping[str, str]] = TOKENIZER_INPUT_LAYERS
    anchors: Anchors | None
    modalities: tuple[str, ...]
    input_dimensions: dict[str, int]  # width of the input features, by modality
    joint_dimension: int

    def __init__(
        self,
        tokenizer: Tokenizer,
        joint_dimension: int,
        transformer: TransformerSettings,
        *,
        projection_kind: ProjectionKind = "gated",
        mean_epsilon: float = 1e-5,
        anchors: int | Mapping[str, int] | None = None,
        learned_anchors: bool = True,
        input_space: InputFeatures = "tokens",
    ) -> None:
        super().__init__()
        modalities, dimension = tokenizer.modalities, tokenizer.dimension
        self.mean_epsilon = mean_epsilon
        self.input_space = input_space
        self.tokenizer = tokenizer
        self.transformer = nn.ModuleDict({m: Transformer(dimension, transformer) for m in modalities})
        self.projection = nn.ModuleDict(
            {m: projection(projection_kind, dimension, joint_dimension) for m in modalities}
        )
        raw = tokenizer.widths if input_space == "raw" else {}
        self.modalities = modalities
        self.input_dimensions = {m: raw[m] if m in raw and m != "a" else dimension for m in modalities}
        self.joint_dimension = joint_dimension
        self.anchors = None
        if anchors is not None:
            self.anchors = Anchors(
                anchors, self.input_dimensions, joint_dimension, modalities, learned=learned_anchors
            )

    @classmethod
    def of_plan(cls, plan: Plan) -> Self:
        """Build the model of a method."""
        return cls(
            plan.tokenizer(),
            plan.sizes.joint_dimension,
            plan.transformer,
            anchors=plan.anchors.count if plan.anchors else None,
            learned_anchors=plan.anchors.learned if plan.anchors else True,
        )

    def forward(self, batch: Mapping[str, Tensor]) -> Embeddings:
        """Embed a batch (see `Tokenizer.forward`)."""
        tokens = self.tokenizer(batch)
        return Embeddings(
            joint={m: self._joint(m, x) for m, x in self.tokenizer.add_positions(tokens).items()},
            input=self._input(tokens, batch),
            nonempty={m: x.nonempty for m, x in tokens.items()},
        )

    def _joint(self, modality: str, tokens: Tokens) -> Tensor:
        x_BND, cls_BD = self.transformer[modality](tokens.values, tokens.mask)
        summary_BD = masked_mean(x_BND, tokens.mask, self.mean_epsilon) if cls_BD is None else cls_BD
        return self.projection[modality](summary_BD)

    def _input(self, tokens: Mapping[str, Tokens], batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        features = input_features(tokens, self.mean_epsilon)
        if self.input_space == "raw":
            for m in ("t", "v"):
                mean = masked_mean(batch[NAMES[m]], batch[f"{NAMES[m]}_mask"], self.mean_epsilon)
                features[m] = F.normalize(mean, dim=-1)
        return features
