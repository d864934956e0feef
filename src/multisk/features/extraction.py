"""From a corpus to its feature store: worker processes decode, and run the networks if there is no GPU.

What is stored for a video depends neither on its neighbours nor on the number of workers nor on
interruptions: videos are written in the order of the corpus, and batches hold frames of one video (in the
workers, where nothing would be gained by more) or have all the same shape (on a GPU, see `batching`).
"""

import logging
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, IterableDataset, get_worker_info
from tqdm import tqdm

from multisk.corpora.manifest import Corpus
from multisk.errors import InputError
from multisk.features.audio import BANDS, FRAMES_PER_SECOND
from multisk.features.batching import Batches, repeatable
from multisk.features.decode import MediaReader, Sampling
from multisk.features.extractors import Extractors, samplings
from multisk.features.filetable import FILES, short_note, write_file_table
from multisk.features.logmel import LogMel
from multisk.features.sources import sources_of, unchanged, write_sources
from multisk.features.store import FeatureStore, StoreWriter, Stream
from multisk.features.streams import AUDIO_STREAM
from multisk.files import digest
from multisk.settings.features import Features

log = logging.getLogger(__name__)

SAVE_SECONDS = 60  # what a kill loses at most, besides the videos that are being decoded
LONGEST_QUEUE = 64  # videos that may wait for one before them, whose frames have no company of their size


@dataclass(frozen=True)
class Piece:
    """One batch of a video: frames u8 [n, H, W, 3] or the waveform f32 [n], later their features [m, D]."""

    video_id: str
    stream: str
    values: Tensor


@dataclass(frozen=True)
class End:
    """Said after the last piece of a video, or in place of the rest when it is damaged.

    `note` is something that a person should know of a video that is fine.
    """

    video_id: str
    seconds: float
    failure: str = ""
    note: str = ""


@dataclass
class Progress:
    """Features of the videos that are being decoded, and the ends that wait for earlier videos."""

    todo: deque[str]
    parts: dict[tuple[str, str], list[np.ndarray]] = field(default_factory=dict)
    ends: dict[str, End] = field(default_factory=dict)

    def keep(self, video_id: str, stream: str, features: Tensor) -> None:
        """Keep features that follow those kept before."""
        self.parts.setdefault((video_id, stream), []).append(features.cpu().numpy())

    def finished(self, unfinished: Iterable[Batches] = ()) -> Iterator[End]:
        """Give the next videos, in order, of which everything has come and nothing waits in a batch."""
        while self.todo and self.todo[0] in self.ends and not any(self.todo[0] in one for one in unfinished):
            yield self.ends.pop(self.todo.popleft())


def extract(
    corpus: Corpus, settings: Features, extractors: Path | str, out: Path | str, *, retry: bool = False
) -> FeatureStore:
    """Make the features of all videos of a corpus and return their store.

    Resumes in the folder `out`; `files.csv` there has a row for each file. Of features of another corpus
    those of files that are the same (path, size, time of change) stay, the others go. A file that cannot be
    decoded is recorded as failed, with the reason, and stops nothing; `retry` reads the failed ones again.
    Raises InputError for extractors that do not fit `settings`, and when no video decodes.
    """
    out, device = Path(out), "cuda" if torch.cuda.is_available() else "cpu"
    loaded = Extractors.open(extractors, settings, device)
    _write(corpus, settings, loaded, out, device, retry)
    store = FeatureStore.open(out)
    table = write_file_table(corpus, store)
    for row in table[table["reason"] != ""].itertuples():
        log.warning("%s: %s", row.file, row.reason)
    if len(table) and (table["status"] == "failed").all():
        raise InputError(f"{corpus.folder}: no video decodes; {store.folder / FILES} says why")
    return store


def _write(
    corpus: Corpus, settings: Features, extractors: Extractors, out: Path, device: str, retry: bool
) -> None:
    """Add the videos to the store that it lacks."""
    fingerprint, now = store_fingerprint(corpus, extractors), sources_of(corpus, extractors.fingerprint)
    videos = corpus.videos["video_id"].tolist()
    with StoreWriter(
        out,
        settings.shard_megabytes,
        fingerprint,
        forget_failed=retry,
        keep=unchanged(out, now),
        save_seconds=SAVE_SECONDS,
    ) as writer:
        todo = [video for video in videos if video not in writer]
        write_sources(out, now, todo)
        done = len(videos) - len(todo)
        bar = tqdm(total=len(videos), initial=done, desc=corpus.name, unit="video", disable=None)
        for end, streams in _features(corpus, settings, extractors, todo, device, in_workers=device == "cpu"):
            writer.add(end.video_id, end.seconds, _sound(streams))
            bar.update()
            if writer.full:
                writer.flush()
        bar.close()


def store_fingerprint(corpus: Corpus, extractors: Extractors) -> str:
    """Return what a store says that its features were made from."""
    return digest([corpus.digest, extractors.fingerprint])


def _features(
    corpus: Corpus,
    settings: Features,
    extractors: Extractors,
    todo: list[str],
    device: str,
    *,
    in_workers: bool,
) -> Iterator[tuple[End, dict[str, Stream]]]:
    """Yield the streams of each video of `todo`, in this order."""
    networks: dict[str, nn.Module] = {**extractors.networks, AUDIO_STREAM: LogMel().to(device)}
    files = [(video, corpus.path(video)) for video in todo]
    media = _Media(files, settings, networks if in_workers else None)
    loader = _loader(media, min(settings.workers, len(todo)), ahead=16 if in_workers else 2)
    progress = Progress(deque(todo))
    if in_workers:
        ends = _ends(loader, progress)
    else:
        ends = _ends_of_batches(loader, progress, networks, settings, device)
    for end in ends:
        yield end, _streams(end, progress, settings, extractors)


def _ends(loader: Iterable[Piece | End], progress: Progress) -> Iterator[End]:
    """Keep the features that the workers made; give each video's end when its turn has come."""
    for item in loader:
        if isinstance(item, Piece):
            progress.keep(item.video_id, item.stream, item.values)
        else:
            progress.ends[item.video_id] = item
            yield from progress.finished()


def _ends_of_batches(
    loader: Iterable[Piece | End],
    progress: Progress,
    networks: dict[str, nn.Module],
    settings: Features,
    device: str,
) -> Iterator[End]:
    """Run the networks on what the workers decoded; give each video's end when its turn has come."""
    window = settings.motion.window if settings.motion else 1
    batches = {
        name: Batches(partial(_run, networks[name]), frames, window if name == "motion" else 1)
        for name, frames in frames_per_batch(settings).items()
    }
    with repeatable():
        for item in loader:
            if isinstance(item, End):
                progress.ends[item.video_id] = item
            elif item.stream in batches:
                for video_id, features in batches[item.stream].add(item.video_id, item.values.to(device)):
                    progress.keep(video_id, item.stream, features)
            else:
                made = _run(networks[item.stream], item.values.to(device))
                progress.keep(item.video_id, item.stream, made)
            if len(progress.ends) >= LONGEST_QUEUE:
                _flush(batches, progress)
            yield from progress.finished(batches.values())
        _flush(batches, progress)
        yield from progress.finished(batches.values())


def _flush(batches: dict[str, Batches], progress: Progress) -> None:
    for stream, waiting in batches.items():
        for video_id, features in waiting.flush():
            progress.keep(video_id, stream, features)


def frames_per_batch(settings: Features) -> dict[str, int]:
    """Return how many frames each network takes at a time."""
    frames = {"appearance": settings.appearance.batch_size}
    if motion := settings.motion:
        frames["motion"] = motion.batch_size * motion.window
    return frames


def _loader(media: "_Media", workers: int, ahead: int) -> DataLoader[Piece | End]:
    # Features are small and can wait in numbers for slower workers; frames for a GPU fill memory.
    factor = ahead if workers else None
    return DataLoader(media, batch_size=None, num_workers=workers, collate_fn=_as_is, prefetch_factor=factor)


@torch.inference_mode()
def _run(network: nn.Module, values: Tensor) -> Tensor:
    """Map frames [n, H, W, 3], or a waveform [n], to features [m, D]."""
    return network(values[None])[0].T if isinstance(network, LogMel) else network(values)


def _streams(end: End, progress: Progress, settings: Features, extractors: Extractors) -> dict[str, Stream]:
    dimensions = {
        **{name: network.dimension for name, network in extractors.networks.items()},
        AUDIO_STREAM: BANDS,
    }
    rates = stream_rates(settings)
    streams = {}
    for name, dimension in dimensions.items():
        parts = progress.parts.pop((end.video_id, name), [])
        nothing = np.zeros((0, dimension), np.float32)
        if end.failure:
            streams[name] = Stream(nothing, rates[name], "failed", end.failure)
        elif parts:
            streams[name] = Stream(np.concatenate(parts), rates[name], reason=end.note)
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
    rates = {"appearance": settings.appearance.features_per_second}
    if motion := settings.motion:
        rates["motion"] = motion.frames_per_second / motion.window
    return {**rates, AUDIO_STREAM: FRAMES_PER_SECOND}


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
        self._batch = frames_per_batch(settings)

    def __iter__(self) -> Iterator[Piece | End]:
        worker = get_worker_info()
        first, step = (worker.id, worker.num_workers) if worker else (0, 1)
        for video_id, path in self._videos[first::step]:
            for item in self._video(video_id, path):
                if isinstance(item, Piece) and self._networks:
                    yield replace(item, values=_run(self._networks[item.stream], item.values))
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
            yield Piece(video_id, AUDIO_STREAM, torch.from_numpy(reader.waveform))
        yield End(video_id, reader.seconds, note=short_note(reader.seconds, reader.promised))


def _as_is(item: Any) -> Any:
    return item
