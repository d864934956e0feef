"""Pretraining examples: a few clips of each narrated video (paper: inputs; as released)."""

import warnings
from functools import lru_cache

import numpy as np
import torch
from torch.utils.data import Dataset

from multisk.corpora.manifest import Corpus
from multisk.errors import InputError
from multisk.features.streams import AUDIO_STREAM
from multisk.sampling.collate import Item
from multisk.sampling.narrations import Narrations, Span, grow_caption, sample_span
from multisk.sampling.part import part_of
from multisk.sampling.reader import ClipReader, Store, Words, stack
from multisk.sampling.tokens import audio_slice, duration_of, video_slice
from multisk.settings.sampling import PretrainClips

CACHED_VIDEOS = 4096
ELSEWHERE = 1  # tells the random numbers of misaligned narration from those of the clips


class NarratedClips(Dataset[Item]):
    """Item i is the i-th training video: `clips.clips_per_video` clips, drawn anew in each epoch.

    An item has `text` f32 [n, Nt, Dw], `video` f32 [n, Nv, Dv], `audio` f32 [n, F, T], a bool mask for
    each, `video_index` int64 [n] (i), `start` f32 [n] (seconds), and the lists `clip_id` and `caption`.
    All randomness comes from (seed, epoch, i): neither the workers nor what was read before matter.

    Attributes:
        videos: the ids of the videos that are used.
        missing: the ids that the corpus lists but that have no usable features; they are left out.
    """

    def __init__(self, store: Store, corpus: Corpus, words: Words, clips: PretrainClips, seed: int) -> None:
        usable = set(store.videos())
        listed = corpus.videos.loc[corpus.videos["split"] == "train", "video_id"].tolist()
        self.videos = part_of([video for video in listed if video in usable], clips.share)
        self.missing = [video for video in listed if video not in usable]
        if not self.videos:
            raise InputError(
                f"{corpus.name}: no training video with features; run the extract stage for it first"
            )
        if self.missing:
            warnings.warn(
                f"{corpus.name}: {len(self.missing)} of {len(listed)} videos have no features; left out",
                stacklevel=2,
            )
        self.clips, self.seed, self.epoch = clips, seed, 0
        self._store, self._corpus = store, corpus
        self._reader = ClipReader(store, words, clips)
        self._narrations = _NarrationCache(corpus)

    def __len__(self) -> int:
        return len(self.videos)

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose clips are drawn."""
        self.epoch = epoch

    def __getitem__(self, index: int) -> Item:
        identity = [self.seed, self.epoch, index]
        elsewhere = np.random.RandomState([*identity, ELSEWHERE])
        item = self.draw(self.videos[index], np.random.RandomState(identity), elsewhere)
        return {**item, "video_index": torch.full((len(item["start"]),), index)}

    def draw(
        self, video_id: str, rng: np.random.RandomState, elsewhere: np.random.RandomState | None = None
    ) -> Item:
        """Draw the clips of a video.

        elsewhere: draws which clips are misaligned, and whose words they get; None: all are as narrated
        """
        narrations, seconds = self._narrations(video_id), self.clips.seconds
        duration = self._duration(video_id)
        spans = [
            sample_span(narrations, duration, seconds, rng, self.clips.shift_audio)
            for _ in range(self.clips.clips_per_video)
        ]
        if elsewhere is not None and self.clips.misaligned > 0:
            spans = [self._misaligned(span, video_id, elsewhere) for span in spans]
        names = [_name(video_id, span) for span in spans]
        clips = [self._read(video_id, span, name) for span, name in zip(spans, names, strict=True)]
        item = stack(clips, names, [span.text for span in spans])
        return {**item, "start": torch.tensor([span.start for span in spans], dtype=torch.float32)}

    def _misaligned(self, span: Span, video_id: str, rng: np.random.RandomState) -> Span:
        """Give a narrated clip, with the chance `clips.misaligned`, the words of another video."""
        if not span.text or len(self.videos) < 2 or rng.rand() >= self.clips.misaligned:
            return span
        other = video_id
        while other == video_id:
            other = self.videos[rng.randint(len(self.videos))]
        narrations = self._narrations(other)
        if not narrations.texts:
            return span._replace(text="")
        caption = rng.randint(len(narrations.texts))
        words = [narrations.texts[i] for i in grow_caption(narrations, caption, self.clips.seconds)]
        return span._replace(text=" ".join(words))

    def _read(self, video_id: str, span: Span, name: str) -> Item:
        """Read the arrays of a clip, without the first dimension."""
        video = [video_slice(span.start, span.end, rate) for rate in self._reader.video_rates.values()]
        frames = self._store.length(video_id, AUDIO_STREAM)
        audio = audio_slice(span.audio_start, span.audio_end, frames)
        return self._reader.read(name, video_id, span.text, video, audio)

    def _duration(self, video_id: str) -> int:
        """Return a video's whole seconds: by its sound (as released), by its pictures where it has none."""
        frames = self._store.length(video_id, AUDIO_STREAM)
        if frames:
            return duration_of(frames)
        stream, rate = list(self._reader.video_rates.items())[-1]
        return int(self._store.length(video_id, stream) / rate)


def _name(video_id: str, span: Span) -> str:
    return f"{video_id}@{span.start:.3f}"


class _NarrationCache:
    """Parsed captions of the videos that were read last."""

    def __init__(self, corpus: Corpus) -> None:
        self._corpus = corpus
        self._read = lru_cache(CACHED_VIDEOS)(self._parse)

    def __call__(self, video_id: str) -> Narrations:
        return self._read(video_id)

    def __reduce__(self) -> tuple[type, tuple[Corpus]]:
        return type(self), (self._corpus,)

    def _parse(self, video_id: str) -> Narrations:
        table = self._corpus.captions(video_id)
        starts, ends = (table[column].to_numpy(np.float64) for column in ("start", "end"))
        return Narrations(starts, ends, table["text"].tolist())
