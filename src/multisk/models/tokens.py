"""From the arrays of a batch to the tokens of each modality; the same in all models.

Shapes: B samples, N tokens, D token dimension, F mel bands, T frames.
"""

from collections.abc import Mapping
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from multisk.errors import InputError
from multisk.models.blocks import NORM_EPSILON, ProjectionKind, learned_token, masked_mean, projection
from multisk.models.davenet import ResDavenet

TimePooling = Literal["none", "clip", "nearest", "max_pool", "avg_pool"]

NAMES = {"t": "text", "v": "video", "a": "audio"}
TOKENIZER_INPUT_LAYERS = {"text": "tokenizer.projection.t", "video": "tokenizer.projection.v"}


class Tokens(NamedTuple):
    """Tokens of one modality."""

    values: Tensor  # [B, N, D]
    mask: Tensor  # bool [B, N], True for real tokens; at least one in each row
    nonempty: Tensor  # bool [B], False where the only real token is the masking token


class Tokenizer(nn.Module):
    """Projection, LayerNorm, masking token and (optionally) positions of each modality.

    Args:
        text_dimension: width of the word vectors.
        video_dimension: width of the video features.
        dimension: width D of the tokens.
        davenet: the audio network; None leaves audio out (TV-only).
        projection_kind: "gated", or "minimal" for plain linear layers.
        positions: number of tokens per modality (`t`, `v`, `a`), to learn an embedding of each position;
            a batch must then have no more than that. None: no positions.
        audio_pooling: how longer audio comes down to `positions["a"]` tokens: not at all, the first ones,
            ones spread evenly over time, or adaptive pooling over time.
        video_pooling: how longer video comes down to `positions["v"]` features, likewise.
    """

    def __init__(
        self,
        text_dimension: int,
        video_dimension: int,
        dimension: int,
        davenet: ResDavenet | None,
        *,
        projection_kind: ProjectionKind = "gated",
        positions: Mapping[str, int] | None = None,
        audio_pooling: TimePooling = "none",
        video_pooling: TimePooling = "none",
    ) -> None:
        super().__init__()
        widths = {"t": text_dimension, "v": video_dimension}
        if davenet is not None:
            widths["a"] = davenet.channels
        self.dimension = dimension
        self.widths = widths
        self.audio_pooling = audio_pooling
        self.video_pooling = video_pooling
        self.davenet = davenet
        self.projection = nn.ModuleDict(
            {m: projection(projection_kind, w, dimension) for m, w in widths.items()}
        )
        self.norm = nn.ModuleDict({m: nn.LayerNorm(dimension, eps=NORM_EPSILON) for m in widths})
        self.masking_token = learned_token(dimension)
        self.positions = nn.ParameterDict(
            {m: learned_token(positions[m], dimension) for m in widths} if positions else {}
        )

    @property
    def modalities(self) -> tuple[str, ...]:
        """The modalities that the tokenizer reads, in the order t, v, a."""
        return tuple(self.widths)

    def forward(self, batch: Mapping[str, Tensor]) -> dict[str, Tokens]:
        """Return the tokens of each modality, without positions; the batch is left as it is.

        Reads `text` [B, N, text_dimension], `video` [B, N, video_dimension], `audio` [B, F, T] and their
        masks, bool [B, N] and [B, T]. A sample without a real token gets the masking token as its only
        one, in slot 0. Raises InputError for an audio length T that does not fit the audio network.
        """
        return {m: self._tokens(m, *self._features(m, batch)) for m in self.modalities}

    def add_positions(self, tokens: Mapping[str, Tokens]) -> dict[str, Tokens]:
        """Add each position's embedding, to padding and masking tokens as well (as released).

        Tokens that are fewer than the positions have the first of them. Raises InputError for a modality
        with more tokens than positions.
        """
        return {m: self._placed(m, x) if m in self.positions else x for m, x in tokens.items()}

    def _features(self, modality: str, batch: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        x, mask = batch[NAMES[modality]], batch[f"{NAMES[modality]}_mask"]
        if modality == "v" and self.video_pooling != "none" and self.positions:
            count = self.positions["v"].shape[0]
            x = pool_time(x.transpose(1, 2), mask.sum(1), count, self.video_pooling).transpose(1, 2)
            return x, mask[:, :count]
        if self.davenet is None or modality != "a":
            return x, mask
        mask_BN = self.davenet.token_mask(mask)
        x_BCN = self.davenet(x)
        if self.audio_pooling != "none" and self.positions:
            count = self.positions["a"].shape[0]
            # As released: pooling covers whole tokens only, while the mask has every token once begun.
            length_B = mask.sum(1) // self.davenet.stride
            x_BCN, mask_BN = pool_time(x_BCN, length_B, count, self.audio_pooling), mask_BN[:, :count]
        return x_BCN.transpose(1, 2), mask_BN

    def _tokens(self, modality: str, features: Tensor, mask_BN: Tensor) -> Tokens:
        _, N = mask_BN.shape
        x_BND = self.norm[modality](self.projection[modality](features))
        nonempty_B = mask_BN.any(1)
        # Attention and means need a token in each row: over none, both are NaN.
        first_N = torch.arange(N, device=mask_BN.device) == 0
        missing_BN = ~nonempty_B[:, None] & first_N
        x_BND = torch.where(missing_BN[:, :, None], self.masking_token.to(x_BND.dtype), x_BND)
        return Tokens(x_BND, mask_BN | missing_BN, nonempty_B)

    def _placed(self, modality: str, tokens: Tokens) -> Tokens:
        position_ND = self.positions[modality]
        found, learned = tokens.mask.shape[1], position_ND.shape[0]
        if found > learned:
            raise InputError(
                f"{NAMES[modality]}: {found} tokens but {learned} learned positions; "
                f"give {learned} tokens at most or train without positions"
            )
        return tokens._replace(values=tokens.values + position_ND[:found])


def pool_time(x_BCN: Tensor, length_B: Tensor, count: int, kind: TimePooling) -> Tensor:
    """Bring N time steps down to `count`; [B, C, count].

    "clip" keeps the first ones. The others do so for samples of at most `count` real steps. Of longer ones,
    of L = `length_B` real steps, "nearest" takes step floor(i L / count) as output i; "max_pool" and
    "avg_pool" pool adaptively: output i covers the steps floor(i L / count) to ceil((i + 1) L / count).
    """
    _, C, N = x_BCN.shape
    if kind == "clip" or count >= N:
        return x_BCN[:, :, :count]
    length_B1 = length_B[:, None].clamp(min=count)
    i_K = torch.arange(count, device=x_BCN.device)
    if kind == "nearest":
        # In single precision, as torch's interpolation: now and then this rounds to another step.
        step_BK = (i_K * (length_B1.float() / count)).long().minimum(length_B1 - 1)
        return x_BCN.gather(2, step_BK[:, None].expand(-1, C, -1))
    start_BK = i_K * length_B1 // count
    stop_BK = ((i_K + 1) * length_B1 + count - 1) // count
    n_N = torch.arange(N, device=x_BCN.device)
    window_BKN = (n_N >= start_BK[:, :, None]) & (n_N < stop_BK[:, :, None])
    if kind == "avg_pool":
        weight_BKN = window_BKN / (stop_BK - start_BK)[:, :, None]
        return x_BCN @ weight_BKN.to(x_BCN.dtype).transpose(1, 2)
    steps = [x_BCN.masked_fill(~window_BKN[:, k, None], -torch.inf).amax(2) for k in range(count)]
    return torch.stack(steps, 2)


def input_features(tokens: Mapping[str, Tokens], epsilon: float) -> dict[str, Tensor]:
    """Return each modality's L2-normalised masked mean of tokens, [B, D]."""
    return {m: F.normalize(masked_mean(x.values, x.mask, epsilon), dim=-1) for m, x in tokens.items()}
