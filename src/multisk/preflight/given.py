"""The corpora that settings name: what each is used for, and those that are there."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Self

from multisk.corpora.manifest import Corpus
from multisk.errors import InputError
from multisk.features.store import FeatureStore
from multisk.features.streams import AUDIO_STREAM, video_streams
from multisk.features.tree_store import open_features
from multisk.layout import Layout
from multisk.params import Params

PRETRAIN = "pretrain"  # a use; the others are benchmarks


@dataclass(frozen=True)
class Given:
    """A corpus that has features, and what it is used for."""

    use: str
    corpus: Corpus
    store: FeatureStore

    @classmethod
    def open(cls, params: Params, layout: Layout, use: str) -> Self | None:
        """Open what is there; None as long as it is not."""
        name = corpus_name(params, use)
        try:
            return cls(use, Corpus.open(layout.corpus(name)), open_features(layout.features(name)))
        except InputError:
            return None

    @cached_property
    def usable(self) -> set[str]:
        """The videos that have features."""
        return set(self.store.videos())

    def count(self, split: str) -> tuple[int, int]:
        """Return how many items of a split have features, and how many it lists."""
        listed = self.corpus.videos if self.corpus.clips is None else self.corpus.clips
        videos = listed.loc[listed["split"] == split, "video_id"]
        return int(videos.isin(self.usable).sum()), len(videos)

    def trained_split(self, params: Params) -> str:
        """Return the split that is trained on."""
        return "train" if self.use == PRETRAIN else params.benchmark(self.use).splits.train

    def trained_on(self, params: Params) -> int:
        """Return how many items training goes over in an epoch."""
        have = self.count(self.trained_split(params))[0]
        return max(1, round(params.clips.pretrain.share * have)) if self.use == PRETRAIN and have else have

    @property
    def video_dimensions(self) -> tuple[int, ...]:
        """The widths of its video features, of each stream that there is."""
        return tuple(self.store.dimension(stream) for stream in video_streams(self.store.streams()))


def streams_of(params: Params) -> tuple[str, ...]:
    """Return the streams of features that the settings ask for."""
    return (*params.features.networks, AUDIO_STREAM)


def uses(params: Params) -> tuple[str, ...]:
    """Return what corpora are used for: pretraining, and each benchmark."""
    return PRETRAIN, *params.benchmarks


def corpus_name(params: Params, use: str) -> str:
    """Return the name of the corpus that is used for something."""
    return params.clips.pretrain.corpus if use == PRETRAIN else params.benchmark(use).corpus


def corpus_key(use: str) -> str:
    """Return where params.yaml names the corpus that is used for something."""
    return f"clips.{use}.corpus" if use == PRETRAIN else f"benchmarks.{use}.corpus"


def rendered(params: Params) -> set[str]:
    """Return the corpora that the pipeline makes itself."""
    return {f"mini-{name}" for name in params.corpora.rendered}


def open_corpora(params: Params, layout: Layout) -> dict[str, Given]:
    """Open the corpora that have features; millions of rows, which are read but once."""
    found = {use: Given.open(params, layout, use) for use in uses(params)}
    return {use: given for use, given in found.items() if given}


def to_extract(params: Params, layout: Layout) -> list[str]:
    """Return the corpora of videos whose features are still to be extracted."""
    names = [corpus_name(params, use) for use in uses(params)]
    waiting = [name for name in names if not (layout.features(name) / "index.parquet").is_file()]
    return [name for name in waiting if name not in rendered(params) and has_videos(layout.corpus(name))]


def has_videos(folder: Path) -> bool:
    """Return whether a corpus lists video files; what was published as features has none."""
    try:
        return bool((Corpus.open(folder).videos["path"] != "").any())
    except InputError:
        return False
