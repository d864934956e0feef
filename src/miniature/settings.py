"""The settings of the miniature world."""

from typing import Annotated, Literal

from pydantic import Field

from multisk.settings import Count, Fraction, Natural, Positive, Range, Section


class HowtoWorld(Section):
    """Pretraining videos: a narrator who talks before, after and beside what is seen."""

    videos: Count
    seconds: Range
    lead_seconds: Positive  # largest distance between a word and what it names
    chat: Fraction  # share of sentences about nothing
    dropped_words: Fraction  # share of words that the transcript loses
    misheard_words: Fraction  # share of words that the transcript gets wrong


class Youcook2World(Section):
    """Close domain: new recipes in the same look, clips with imperative captions."""

    train_videos: Count
    validation_videos: Count
    clips_per_video: Annotated[int, Field(ge=1, le=40)]  # a recipe has no more steps that make sense
    clip_seconds: Range


class MsrvttWorld(Section):
    """Far domain: other look, other sound, third-person captions."""

    train_clips: Count
    test_clips: Count
    clip_seconds: Range
    captions_per_train_clip: Count
    without_audio: Fraction
    missing: Fraction  # share of the test clips that are listed but have no file


class Miniature(Section):
    """The three small corpora that the project renders itself."""

    kind: Literal["miniature"]
    rendered: Annotated[tuple[Literal["howto", "youcook2", "msrvtt"], ...], Field(min_length=1)]
    calibrating: tuple[Literal["howto"]]  # the one whose frames the random networks are calibrated on
    seed: Natural
    width: Annotated[int, Field(ge=32, multiple_of=2)]
    height: Annotated[int, Field(ge=32, multiple_of=2)]
    frames_per_second: Count
    workers: Count
    howto: HowtoWorld
    youcook2: Youcook2World
    msrvtt: MsrvttWorld
