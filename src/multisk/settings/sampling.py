"""The settings of clips: how they are cut, and into how many tokens."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from multisk.settings import Count, Fraction, Name, Positive, Section

TokenSampling = Literal["clip", "nearest", "max_pool"]  # how too many features become video_tokens


class PretrainClips(Section):
    """How training clips are cut from narrated videos (paper: inputs)."""

    corpus: Name
    share: Annotated[float, Field(gt=0, le=1)]  # of the training videos; a larger one contains a smaller one
    misaligned: Fraction  # share of the narrated clips that get the words of another video
    clips_per_video: Count
    seconds: Positive
    video_tokens: Count
    audio_frames: Count
    words: Count
    sampling: TokenSampling
    shift_audio: bool  # as released: the audio window lies half a clip later than the text


class BenchmarkClips(Section):
    """How clips that were cut already, such as a benchmark's, become tokens."""

    video_tokens: Count
    audio_frames: Count
    words: Count
    sampling: TokenSampling
    segments: Count  # cut each clip into so many pieces, embedded one by one and averaged; 1: at once

    @model_validator(mode="after")
    def _segments_divide_tokens(self) -> Self:
        self.check_pieces(self.segments)
        return self

    def check_pieces(self, segments: int) -> None:
        """Raise ValueError for a number of pieces that would differ in size."""
        if self.video_tokens % segments or self.audio_frames % segments:
            raise ValueError(f"segments ({segments}) must divide video_tokens and audio_frames")

    @property
    def whole(self) -> Self:
        """The same without pieces: in training, parts of a clip would be each other's negatives."""
        return self.model_copy(update={"segments": 1})
