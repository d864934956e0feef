"""From a corpus to its feature store: worker processes decode, and run the networks if there is no GPU.

A batch holds frames of one video only, and videos are written in the order of the corpus: what is stored
for a video depends neither on its neighbours nor on the number of workers nor on interruptions.
"""

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, IterableDataset, get_worker_info
from tqdm import tqdm

from multisk.corpora.manifest import Corpus
from multisk.errors import InputError
from multisk.features.decode import MediaReader, Sampling
from multisk.features.extractors import Extractors, samplings
from multisk.features.logmel import BANDS, FRAMES_PER_SECOND, LogMel
from multisk.features.store import FeatureStore, StoreWriter, Stream
from multisk.params import Features
from multisk.resumable import digest

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Piece:
    """One batch of a video: frames u8 [n, H, W, 3] or the waveform f32 [n], later their features [m, D]."""

    video_id: str
    stream: str
    values: Tensor


@dataclass(frozen=True)
class End:
    """Said after the last piece of a video, or in place of the rest when it is damaged."""

    video_id: str
    seconds: float
    failure: str = ""


@dataclass
class Progress:
    """Features of the videos that are being decoded, and the ends that wait for earlier videos."""

    parts: dict[tuple[str, str], list[np.ndarray]] = field(default_factory=dict)
    ends: dict[str, End] = field(default_factory=dict)


def extract(corpus: Corpus, settings: Features, extractors: Path | str, out: Path | str) -> FeatureStore:
    """Make the features of all videos of a corpus and return their store.

    Resumes in the folder `out`. A file that cannot be decoded is recorded as failed, with the reason, and
    stops nothing. Raises InputError for extractors that do not fit `settings`, and when no video decodes.
    """
    device = "cuda" if torch.cuda.is_available() else "cpu"
    loaded = Extractors.open(extractors, settings, device)
    fingerprint = digest([corpus.digest, loaded.fingerprint])
    videos = corpus.videos["video_id"].tolist()
    with StoreWriter(out, settings.shard_megabytes, fingerprint) as writer:
        todo = [video for video in videos if video not in writer]
        done = len(videos) - len(todo)
        bar = tqdm(total=len(videos), initial=done, desc=corpus.name, unit="video", disable=None)
        for end, streams in _features(corpus, settings, loaded, todo, device):
            writer.add(end.video_id, end.seconds, _sound(streams))
            bar.update()
            if writer.full:
                writer.flush()
        bar.close()
    store = FeatureStore.open(out)
    _report(corpus, store)
    return store


def _features(
    corpus: Corpus, settings: Features, extractors: Extractors, todo: list[str], device: str
) -> Iterator[tuple[End, dict[str, Stream]]]:
    """Yield the streams of each video of `todo`, in this order."""
    networks: dict[str, nn.Module] = {**extractors.networks, "logmel": LogMel().to(device)}
    files = [(video, corpus.path(video)) for video in todo]
    media = _Media(files, settings, networks if device == "cpu" else None)
    progress, waiting = Progress(), iter(todo)
    following = next(waiting, None)
    for item in _loader(media, min(settings.workers, len(todo)), device):
        if isinstance(item, Piece):
            made = item if device == "cpu" else _run(networks[item.stream], item, device)
            progress.parts.setdefault((item.video_id, item.stream), []).append(made.values.numpy())
            continue
        progress.ends[item.video_id] = item
        while following in progress.ends:
            end = progress.ends.pop(following)
            yield end, _streams(end, progress, settings, extractors)
            following = next(waiting, None)


def _loader(media: "_Media", workers: int, device: str) -> DataLoader[Piece | End]:
    # Features are small and can wait in numbers for slower workers; frames for a GPU fill memory.
    ahead = None if not workers else 16 if device == "cpu" else 2
    return DataLoader(media, batch_size=None, num_workers=workers, collate_fn=_as_is, prefetch_factor=ahead)


@torch.inference_mode()
def _run(network: nn.Module, piece: Piece, device: str) -> Piece:
    values = piece.values.to(device)
    features = network(values[None])[0].T if isinstance(network, LogMel) else network(values)
    return replace(piece, values=features.cpu())


def _streams(end: End, progress: Progress, settings: Features, extractors: Extractors) -> dict[str, Stream]:
    dimensions = {
        **{name: network.dimension for name, network in extractors.networks.items()},
        "logmel": BANDS,
    }
    rates = stream_rates(settings)
    streams = {}
    for name, dimension in dimensions.items():
        parts = progress.parts.pop((end.video_id, name), [])
        nothing = np.zeros((0, dimension), np.float32)
        if end.failure:
            streams[name] = Stream(nothing, rates[name], "failed", end.failure)
        elif parts:
            streams[name] = Stream(np.concatenate(parts), rates[name])
        else:
            streams[name] = Stream(nothing, rates[name], "absent", "no audio track")
    return streams


def _sound(streams: dict[str, Stream]) -> dict[str, Stream]:
    """Mark a video as failed whose features cannot be stored (sound with NaN in it, say)."""
    with np.errstate(over="ignore"):
        broken = [name for name, s in streams.items() if not np.isfinite(s.features.astype(np.float16)).all()]
    if not broken:
        return streams
    reason = f"{', '.join(broken)}: features are not finite"
    return {name: Stream(s.features[:0], s.rate, "failed", reason) for name, s in streams.items()}


def stream_rates(settings: Features) -> dict[str, float]:
    """Return the features per second of each stream."""
    return {
        "appearance": settings.appearance.features_per_second,
        "motion": settings.motion.frames_per_second / settings.motion.window,
        "logmel": FRAMES_PER_SECOND,
    }


class _Media(IterableDataset[Piece | End]):
    """Decodes files in worker processes; worker w of n has every n-th file.

    On a CPU each worker runs the networks, too, with one thread: that is faster than one process with many
    threads, and no frame has to travel.
    """

    def __init__(
        self, videos: list[tuple[str, Path]], settings: Features, networks: dict[str, nn.Module] | None
    ) -> None:
        self._videos = videos
        self._networks = networks
        self._samplings: dict[str, Sampling] = samplings(settings)
        self._batch = {
            "appearance": settings.appearance.batch_size,
            "motion": settings.motion.batch_size * settings.motion.window,
        }

    def __iter__(self) -> Iterator[Piece | End]:
        worker = get_worker_info()
        first, step = (worker.id, worker.num_workers) if worker else (0, 1)
        for video_id, path in self._videos[first::step]:
            for item in self._video(video_id, path):
                if isinstance(item, Piece) and self._networks:
                    yield _run(self._networks[item.stream], item, "cpu")
                else:
                    yield item

    def _video(self, video_id: str, path: Path) -> Iterator[Piece | End]:
        reader = MediaReader(path, self._samplings)
        frames: dict[str, list[np.ndarray]] = {name: [] for name in self._samplings}
        try:
            for name, frame in reader:
                frames[name].append(frame)
                if len(frames[name]) == self._batch[name]:
                    yield Piece(video_id, name, torch.from_numpy(np.stack(frames[name])))
                    frames[name] = []
        except InputError as error:
            yield End(video_id, 0.0, str(error))
            return
        for name in self._samplings:
            if frames[name]:
                yield Piece(video_id, name, torch.from_numpy(np.stack(frames[name])))
        if reader.waveform is not None and len(reader.waveform):
            yield Piece(video_id, "logmel", torch.from_numpy(reader.waveform))
        yield End(video_id, reader.seconds)


def _as_is(item: Any) -> Any:
    return item


def _report(corpus: Corpus, store: FeatureStore) -> None:
    failed = store.status[store.status["status"] == "failed"].drop_duplicates("video_id")
    for video, reason in zip(failed["video_id"], failed["reason"], strict=True):
        log.warning("%s: %s", corpus.path(video), reason)
    if len(failed) == len(corpus.videos):
        raise InputError(f"{corpus.folder}: no video decodes; {store.folder}/index.parquet says why")
