"""Reads the arrays of one clip: only the slices that it needs."""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import torch

from multisk.errors import InputError
from multisk.features.streams import AUDIO_STREAM, video_streams
from multisk.sampling.collate import Item
from multisk.sampling.tokens import audio_tokens, video_tokens
from multisk.settings.sampling import BenchmarkClips, PretrainClips

Slice = tuple[int, int]


class Store(Protocol):
    """What clips need of a `FeatureStore`."""

    def videos(self) -> list[str]:
        """Return the usable videos."""

    def streams(self) -> list[str]:
        """Return the names of the streams."""

    def length(self, video_id: str, stream: str) -> int:
        """Return the number of features of a video's stream."""

    def rate(self, stream: str) -> float:
        """Return a stream's features per second."""

    def dimension(self, stream: str) -> int:
        """Return the width of a stream's features."""

    def read(self, video_id: str, stream: str, start: int = 0, stop: int | None = None) -> np.ndarray:
        """Return a slice of features, f32 [n, D]."""


class Words(Protocol):
    """What clips need of `WordVectors`."""

    def encode(self, text: str, max_words: int) -> tuple[np.ndarray, np.ndarray]:
        """Return word vectors f32 [max_words, D] and their mask bool [max_words]."""


def video_dimension(store: Store) -> int:
    """Return the width of video tokens: that of all video features that there are, side by side."""
    return sum(store.dimension(stream) for stream in video_streams(store.streams()))


class ClipReader:
    """Turns spans of a video and a text into arrays of fixed size.

    Args:
        store: the features.
        words: the word vectors.
        clips: how many words, video tokens and log-mel frames a clip has.
    """

    def __init__(self, store: Store, words: Words, clips: PretrainClips | BenchmarkClips) -> None:
        self.store, self.words, self.clips = store, words, clips
        self.video_rates = {stream: store.rate(stream) for stream in video_streams(store.streams())}

    def read(self, name: str, video_id: str, text: str, video: Sequence[Slice], audio: Slice) -> Item:
        """Read a clip's arrays, each with its mask: text [Nt, Dw], video [Nv, Dv], audio [F, T].

        video: a slice of features for each stream of `self.video_rates`
        Raises InputError when a value is not finite; `name` is the clip's, for that message.
        """
        streams = [
            self.store.read(video_id, stream, *bounds)
            for stream, bounds in zip(self.video_rates, video, strict=True)
        ]
        logmel = self.store.read(video_id, AUDIO_STREAM, *audio)
        arrays = {
            "text": self.words.encode(text, self.clips.words),
            "video": video_tokens(streams, self.clips.video_tokens, self.clips.sampling),
            "audio": audio_tokens(logmel, self.clips.audio_frames),
        }
        item: Item = {}
        for modality, (values, mask) in arrays.items():
            if not np.isfinite(values).all():
                raise InputError(
                    f"clip {name}: {modality}: not finite; extract the features of {video_id} again"
                )
            item[modality], item[f"{modality}_mask"] = torch.from_numpy(values), torch.from_numpy(mask)
        return item


def stack(clips: Sequence[Item], clip_ids: Sequence[str], captions: Sequence[str]) -> Item:
    """Stack clips along a new first dimension and name them."""
    item: dict[str, Any] = {key: torch.stack([clip[key] for clip in clips]) for key in clips[0]}
    return {**item, "clip_id": list(clip_ids), "caption": list(captions)}
