"""Benchmark examples: clips with captions, cut from videos."""

import math
import warnings
from typing import Any

import numpy as np
from torch import Tensor
from torch.utils.data import Dataset

from multisk.corpora.manifest import Corpus
from multisk.errors import InputError
from multisk.features.streams import AUDIO_STREAM
from multisk.sampling.collate import Item
from multisk.sampling.reader import ClipReader, Slice, Store, Words, stack
from multisk.sampling.tokens import segment_is_sound
from multisk.settings.sampling import BenchmarkClips


class CaptionedClips(Dataset[Item]):
    """Item i is the i-th clip of a split that has features.

    An item has `text` f32 [n, Nt, Dw], `video` f32 [n, Nv, Dv], `audio` f32 [n, F, T], a bool mask for
    each, and the lists `clip_id` and `caption`; n is 1, or the number of sound segments of the clip when
    `clips.segments` is more. A clip with several captions shows one of them, drawn from (seed, epoch, i).

    Attributes:
        clip_ids: the clips.
        missing: clips that the split lists but that have no usable features; they are left out.
        rows: the clips' rows of the corpus.
        complete_size: the size of the whole benchmark, for which missing clips are errors.
    """

    def __init__(
        self,
        store: Store,
        corpus: Corpus,
        words: Words,
        clips: BenchmarkClips,
        split: str,
        *,
        complete_size: int | None = None,
        seed: int = 0,
    ) -> None:
        usable, table = set(store.videos()), corpus.of_split(split)
        present = table["video_id"].isin(usable)
        self.rows = table[present].reset_index(drop=True)
        self._records: list[dict[Any, Any]] = self.rows.to_dict("records")
        self.clip_ids: list[str] = self.rows["clip_id"].tolist()
        self.missing: list[str] = table.loc[~present, "clip_id"].tolist()
        self.complete_size = complete_size or len(table)
        if not self.clip_ids:
            raise InputError(
                f"{corpus.name}: {split}: no clip with features; run the extract stage for it first"
            )
        if self.complete_size < len(self.clip_ids):
            raise InputError(
                f"params.yaml: benchmarks: {corpus.name}: complete_size: {self.complete_size} is less than "
                f"the {len(self.clip_ids)} {split} clips that are there; raise it or write null"
            )
        if self.missing:
            warnings.warn(
                f"{corpus.name}: {split}: {len(self.missing)} of {len(table)} clips have no features",
                stacklevel=2,
            )
        self.clips, self.seed, self.epoch = clips, seed, 0
        self._audio_rate = store.rate(AUDIO_STREAM)
        self._reader = ClipReader(store, words, clips)

    def __len__(self) -> int:
        return len(self.clip_ids)

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose captions are drawn."""
        self.epoch = epoch

    def __getitem__(self, index: int) -> Item:
        row = self._records[index]
        captions = row["captions"]
        chosen = 0
        if len(captions) > 1:
            chosen = np.random.RandomState([self.seed, self.epoch, index]).randint(len(captions))
        caption = captions[chosen]
        video = [_slice(rate, row["start"], row["end"]) for rate in self._reader.video_rates.values()]
        first, stop = _slice(self._audio_rate, row["start"], row["end"])
        # Frames are centred on a grid that begins at 0: s seconds have one more than s · rate.
        clip = self._reader.read(row["clip_id"], row["video_id"], caption, video, (first, stop + 1))
        pieces = _segments(clip, self.clips.segments)
        return stack(pieces, [row["clip_id"]] * len(pieces), [caption] * len(pieces))


def _slice(rate: float, start: float, end: float) -> Slice:
    # Seconds such as 8.1 fall a little beside the grid of features; rounding keeps that from adding one.
    return math.floor(round(start * rate, 3)), math.ceil(round(end * rate, 3))


def _segments(clip: Item, segments: int) -> list[Item]:
    """Cut video and audio into equal segments, each with the whole text; leave out the unsound ones."""
    if segments == 1:
        return [clip]
    heard = clip["audio_mask"] if clip["audio_mask"].any() else clip["video_mask"]
    return [
        {key: _segment(key, value, index, segments) for key, value in clip.items()}
        for index in np.flatnonzero(segment_is_sound(heard.numpy(), segments)).tolist()
    ]


def _segment(key: str, value: Tensor, index: int, segments: int) -> Tensor:
    if key.startswith("text"):
        return value
    return value.chunk(segments, dim=1 if key == "audio" else 0)[index]
