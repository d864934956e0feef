"""Everything At Once: one transformer for all modalities, also run on pairs of them.

Shvetsova et al.: Everything at Once - Multi-modal Fusion Transformer for Video Retrieval (CVPR 2022).

Shapes: B samples, N tokens, D token dimension, J joint dimension.
"""

from collections.abc import Mapping
from itertools import combinations
from typing import ClassVar, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from multisk.errors import InputError
from multisk.models.blocks import ProjectionKind, Transformer, TransformerSettings, masked_mean, projection
from multisk.models.embeddings import Embeddings
from multisk.models.plan import Plan
from multisk.models.tokens import TOKENIZER_INPUT_LAYERS, Tokenizer, Tokens, input_features


class EAOModel(nn.Module):
    """A fusion transformer that embeds single modalities and pairs alike.

    A pair's tokens attend to each other. Its embedding is the mean of the two modalities' L2-normalised
    joint embeddings, each the projected mean of that modality's tokens; with a cls token it is the
    projected cls token.

    Args:
        tokenizer: makes the tokens; without an audio network the model is the TV-only variant.
        joint_dimension: width J of the joint embeddings.
        transformer: shape of the transformer.
        projection_kind: "gated", or "minimal" for plain linear layers.
        individual_projections: a projection per modality rather than one for all.
        fused: embed pairs too.
        mean_epsilon: added to token counts in means; 0 in the release of EAO, 1e-5 in that of Multi-SK.
    """

    INPUT_LAYERS: ClassVar[Mapping[str, str]] = TOKENIZER_INPUT_LAYERS
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
        individual_projections: bool = True,
        fused: bool = True,
        mean_epsilon: float = 0.0,
    ) -> None:
        super().__init__()
        if fused and transformer.cls_token and individual_projections:
            raise InputError(
                "individual_projections: a pair's cls token belongs to no modality; "
                "use one shared projection, or no fused pairs"
            )
        modalities, dimension = tokenizer.modalities, tokenizer.dimension
        self.modalities = modalities
        self.input_dimensions = dict.fromkeys(modalities, dimension)
        self.joint_dimension = joint_dimension
        self.mean_epsilon = mean_epsilon
        self.tokenizer = tokenizer
        self.pairs = tuple(combinations(modalities, 2)) if fused else ()
        self.transformer = Transformer(dimension, transformer)
        names = modalities if individual_projections else ("shared",)
        self.projection = nn.ModuleDict(
            {m: projection(projection_kind, dimension, joint_dimension) for m in names}
        )

    @classmethod
    def of_plan(cls, plan: Plan) -> Self:
        """Build the model of a method."""
        return cls(
            plan.tokenizer(),
            plan.sizes.joint_dimension,
            plan.transformer,
            individual_projections=not plan.architecture.shared_projection,
            fused=plan.architecture.fused,
        )

    def forward(self, batch: Mapping[str, Tensor]) -> Embeddings:
        """Embed a batch (see `Tokenizer.forward`)."""
        tokens = self.tokenizer(batch)
        placed = self.tokenizer.add_positions(tokens)
        # Pairs hold the very tokens of the single modalities, so these share the first block's qkv.
        qkv = {m: self.transformer.first_qkv(x.values) for m, x in placed.items()}
        joint = {m: self._single(m, x, qkv[m]) for m, x in placed.items()}
        joint |= {m + n: self._pair((m, n), placed, qkv) for m, n in self.pairs}
        return Embeddings(
            joint=joint,
            input=input_features(tokens, self.mean_epsilon),
            nonempty={m: x.nonempty for m, x in tokens.items()},
        )

    def _single(self, modality: str, tokens: Tokens, qkv: Tensor | None) -> Tensor:
        x_BND, cls_BD = self.transformer(tokens.values, tokens.mask, qkv)
        summary_BD = masked_mean(x_BND, tokens.mask, self.mean_epsilon) if cls_BD is None else cls_BD
        return self._project(modality, summary_BD)

    def _pair(
        self, pair: tuple[str, str], tokens: Mapping[str, Tokens], qkv: Mapping[str, Tensor | None]
    ) -> Tensor:
        values_BND = torch.cat([tokens[m].values for m in pair], 1)
        masks = [tokens[m].mask for m in pair]
        first = [x for x in (qkv[m] for m in pair) if x is not None]
        x_BND, cls_BD = self.transformer(
            values_BND, torch.cat(masks, 1), torch.cat(first, 1) if first else None
        )
        if cls_BD is not None:
            return self._project("shared", cls_BD)
        parts = x_BND.split([mask_BN.shape[1] for mask_BN in masks], 1)
        unit = [
            F.normalize(self._project(m, masked_mean(part, mask, self.mean_epsilon)), dim=-1)
            for m, part, mask in zip(pair, parts, masks, strict=True)
        ]
        return (unit[0] + unit[1]) / 2

    def _project(self, modality: str, summary_BD: Tensor) -> Tensor:
        name = modality if modality in self.projection else "shared"
        return self.projection[name](summary_BD)
