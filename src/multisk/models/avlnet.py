"""The AVLnet baseline: pooled text, video and audio, each through a gated unit, no transformer.

Rouditchenko et al.: AVLnet - Learning Audio-Visual Language Representations from Instructional Videos
(2020), as the releases of EAO and Multi-SK carry it.

Shapes: B samples, N tokens, T frames, C audio channels, J joint dimension.
"""

from collections.abc import Mapping
from typing import ClassVar, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from multisk.models.blocks import GatedProjection
from multisk.models.davenet import ResDavenet
from multisk.models.embeddings import Embeddings
from multisk.models.plan import Plan


class SentenceMaxpool(nn.Module):
    """Linear layer and ReLU on every word, then the maximum over words."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.fc = nn.Linear(inputs, outputs)

    def forward(self, x_BND: Tensor) -> Tensor:
        """Map [B, N, inputs] to [B, outputs]; padding takes part, as released."""
        return F.relu(self.fc(x_BND)).amax(1)


class AVLnetModel(nn.Module):
    """Embeds each modality from one pooled vector.

    Without audio it is the text-video model of Miech et al., HowTo100M (2019).

    Args:
        text_dimension: width of the word vectors.
        video_dimension: width of the video features.
        joint_dimension: width J of the joint embeddings.
        davenet: the audio network (four stages in the published model); None leaves audio out.
        pool_padding: average audio over all frames rather than over the real ones.
        audio_nonempty_from_video: a sample counts as having audio when it has video (as released);
            False asks the audio mask.
    """

    INPUT_LAYERS: ClassVar[Mapping[str, str]] = {"text": "text_pooling", "video": "video_projection"}

    def __init__(
        self,
        text_dimension: int,
        video_dimension: int,
        joint_dimension: int,
        davenet: ResDavenet | None,
        *,
        pool_padding: bool = False,
        audio_nonempty_from_video: bool = True,
    ) -> None:
        super().__init__()
        self.pool_padding = pool_padding
        self.audio_nonempty_from_video = audio_nonempty_from_video
        self.modalities: tuple[str, ...] = ("t", "v") if davenet is None else ("t", "v", "a")
        self.input_dimensions: dict[str, int] = {}
        self.joint_dimension = joint_dimension
        self.davenet = davenet
        if davenet is not None:
            self.audio_gate = GatedProjection(davenet.channels, davenet.channels)
            self.audio_projection = nn.Linear(davenet.channels, joint_dimension)
        self.video_projection = GatedProjection(video_dimension, joint_dimension)
        self.text_pooling = SentenceMaxpool(text_dimension, joint_dimension)
        self.text_projection = GatedProjection(joint_dimension, joint_dimension)

    @classmethod
    def of_plan(cls, plan: Plan) -> Self:
        """Build the model of a method."""
        return cls(
            plan.text_dimension,
            plan.video_dimension,
            plan.sizes.joint_dimension,
            plan.davenet(),
            audio_nonempty_from_video=False,
        )

    def forward(self, batch: Mapping[str, Tensor]) -> Embeddings:
        """Embed a batch with `text` [B, N, D], `video` [B, N, D] or pooled [B, D], `audio` [B, F, T]."""
        video = batch["video"]
        video_BD = F.normalize(video.amax(1) if video.ndim == 3 else video, dim=-1)
        joint = {
            "t": self.text_projection(self.text_pooling(batch["text"])),
            "v": self.video_projection(video_BD),
        }
        nonempty = {"t": batch["text_mask"].any(1), "v": batch["video_mask"].any(1)}
        if self.davenet is not None:
            joint["a"] = self.audio_projection(self.audio_gate(self._audio(self.davenet, batch)))
            nonempty["a"] = nonempty["v"] if self.audio_nonempty_from_video else batch["audio_mask"].any(1)
        return Embeddings(joint, {}, nonempty)

    def _audio(self, davenet: ResDavenet, batch: Mapping[str, Tensor]) -> Tensor:
        """Return the mean of the whole tokens under real frames, the first one at least; [B, C]."""
        x_BCN = davenet(batch["audio"])
        if self.pool_padding:
            return x_BCN.mean(2)
        _, _, N = x_BCN.shape
        _, T = batch["audio_mask"].shape
        length_B1 = (batch["audio_mask"].sum(1, keepdim=True) * N // T).clamp(min=1)
        weight_BN = (torch.arange(N, device=x_BCN.device) < length_B1) / length_B1
        return (x_BCN * weight_BN[:, None].to(x_BCN.dtype)).sum(2)
