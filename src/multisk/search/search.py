"""Questions to an index: a text, a sound, or an example clip.

Whatever the question is, its embedding is compared with the clips' embeddings of video and audio together.
"""

import logging
import math
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from multisk.corpora.manifest import write_corpus
from multisk.errors import InputError
from multisk.evaluation.embed import embed
from multisk.evaluation.retrieval import similarity
from multisk.features.audio import BANDS, FRAMES_PER_SECOND
from multisk.features.clip import ClipWords
from multisk.features.decode import Mono
from multisk.features.extraction import extract
from multisk.features.logmel import LogMel
from multisk.features.store import FeatureStore
from multisk.features.words import WordVectors, open_words, words_digest
from multisk.methods.trained import TrainedModel
from multisk.models.embeddings import Embeddings
from multisk.sampling import CaptionedClips
from multisk.sampling.tokens import audio_tokens
from multisk.search.index import Index

log = logging.getLogger(__name__)


class Searcher:
    """An index with the model and the word vectors that it was made with, ready for questions.

    The methods return a DataFrame with the `top` clips, best first: file (absolute path), start and end in
    seconds, score (cosine similarity).
    """

    def __init__(self, index: Index, trained: TrainedModel, words: WordVectors | ClipWords) -> None:
        trained.check(words.dimension, trained.widths["video"])
        self.index, self.trained, self.words = index, trained, words

    @classmethod
    def open(cls, folder: Path | str) -> Self:
        """Open an index and what it was made with; raise InputError when that has changed since."""
        index = Index.open(folder)
        made = index.made
        trained, words = TrainedModel.open(made.model), open_words(made.words)
        changed = [made.model] * (trained.digest != made.model_sha256)
        changed += [made.words] * (words_digest(made.words) != made.words_sha256)
        if changed:
            raise InputError(f"{changed[0]}: changed since {folder} was made; run multisk index again")
        return cls(index, trained, words)

    def text(self, query: str, top: int = 10) -> pd.DataFrame:
        """Search by a sentence; raise InputError when none of its words has a vector."""
        unknown = self.words.unknown(query)
        if not self.words.tokens(query):
            raise InputError(
                f"query: {query!r}: none of its words has a vector in {self.index.made.words}; "
                "use other words, and mind upper and lower case"
            )
        if unknown:
            log.warning("query: left out words without a vector: %s", ", ".join(unknown))
        vectors, mask = self.words.encode(query, self.index.made.clips.words)
        return self._best(self._embed(text=vectors, text_mask=mask).joint["t"], top)

    def audio(self, path: Path | str, top: int = 10, *, start: float = 0) -> pd.DataFrame:
        """Search by the sound of a media file from `start` seconds on, as long as a clip."""
        logmel = _logmel(Path(path))[round(start * FRAMES_PER_SECOND) :]
        if not len(logmel):
            raise InputError(f"{path}: no sound at {start:g} s; choose an earlier start")
        frames = min(
            self.index.made.clips.audio_frames, round(self.index.made.seconds * FRAMES_PER_SECOND) + 1
        )
        audio, mask = audio_tokens(logmel[:frames], self.index.made.clips.audio_frames)
        joint = self._embed(audio=audio, audio_mask=mask).joint
        if "a" not in joint:
            raise InputError(f"{self.trained.path}: takes no audio; search by text or by an example clip")
        return self._best(joint["a"], top)

    def clip(self, path: Path | str, top: int = 10, *, start: float = 0) -> pd.DataFrame:
        """Search by what a video shows and sounds like from `start` seconds on, as long as a clip."""
        path = Path(path)
        with TemporaryDirectory() as folder:
            store, clips = self._example(path, start, Path(folder))
            if start >= _seconds(store):
                raise InputError(f"{path}: ends before {start:g} s; choose an earlier start")
            embedded = embed(self.trained.model, clips, batch_size=1, device=self._device)
        return self._best(torch.from_numpy(embedded.joint[self.index.answer]), top)

    @property
    def _device(self) -> torch.device:
        return next(self.trained.model.parameters()).device

    @torch.inference_mode()
    def _embed(self, **given: np.ndarray) -> Embeddings:
        """Embed one sample that has nothing but what is given."""
        clips, widths = self.index.made.clips, self.trained.widths
        batch: dict[str, Tensor] = {
            "text": torch.zeros(1, clips.words, widths["text"]),
            "text_mask": torch.zeros(1, clips.words, dtype=torch.bool),
            "video": torch.zeros(1, clips.video_tokens, widths["video"]),
            "video_mask": torch.zeros(1, clips.video_tokens, dtype=torch.bool),
            "audio": torch.zeros(1, BANDS, clips.audio_frames),
            "audio_mask": torch.zeros(1, clips.audio_frames, dtype=torch.bool),
        }
        batch |= {key: torch.from_numpy(value)[None] for key, value in given.items()}
        return self.trained.model({key: value.to(self._device) for key, value in batch.items()})

    def _best(self, query: Tensor, top: int) -> pd.DataFrame:
        scores = similarity(query.float().cpu().numpy(), self.index.joint)[0]
        order = np.argsort(-scores, kind="stable")[:top]
        found = self.index.clips.iloc[order][["file", "start", "end"]]
        return found.assign(score=scores[order]).reset_index(drop=True)

    def _example(self, path: Path, start: float, folder: Path) -> tuple[FeatureStore, CaptionedClips]:
        """Extract the features of one video as indexing does, with one clip in it."""
        made = self.index.made
        if not path.is_file():
            raise InputError(f"{path}: no such file; name a video")
        video = {"video_id": "example", "path": str(path.resolve()), "split": "test", "seconds": np.nan}
        clip: dict[str, Any] = {
            "clip_id": "example",
            "video_id": "example",
            "split": "test",
            "captions": [""],
        }
        clip |= {"start": float(start), "end": start + made.seconds}
        corpus = write_corpus(
            folder / "corpus",
            name=path.name,
            role="captioned",
            description="Example",
            videos=pd.DataFrame([video]),
            clips=pd.DataFrame([clip]),
        )
        try:
            store = extract(corpus, made.features, made.extractors, folder / "features")
        except InputError as error:
            raise InputError(_reason(path, folder / "features") or str(error)) from None
        return store, CaptionedClips(store, corpus, self.words, made.clips, "test")


def search(
    index: Path | str | Searcher,
    *,
    text: str | None = None,
    audio: Path | str | None = None,
    clip: Path | str | None = None,
    start: float = 0,
    top: int = 10,
) -> pd.DataFrame:
    """Ask an index one question: by `text`, by `audio` or by example `clip`.

    Returns file, start, end, score of the `top` clips, best first. `start` is where in the audio or the
    clip to begin, in seconds. Raises InputError unless exactly one question is given, and for a `start` or a
    `top` that cannot be.
    """
    if not 0 <= start < math.inf:
        raise InputError(f"--start: {start:g} s; choose a second from 0 on")
    if top < 1:
        raise InputError(f"--top: {top} clips; choose 1 or more")
    given = {name: value for name, value in (("text", text), ("audio", audio), ("clip", clip)) if value}
    if len(given) != 1:
        raise InputError(f"query: {len(given)} given; give either a text, or --audio FILE, or --clip FILE")
    searcher = index if isinstance(index, Searcher) else Searcher.open(index)
    if text:
        return searcher.text(text, top)
    if audio:
        return searcher.audio(audio, top, start=start)
    assert clip is not None
    return searcher.clip(clip, top, start=start)


def _logmel(path: Path) -> np.ndarray:
    """Return the log-mel frames [T, F] of any file with sound."""
    waveform = _waveform(path)
    if not len(waveform):
        raise InputError(f"{path}: no sound in its audio track; name another file")
    return LogMel()(torch.from_numpy(waveform)[None])[0].T.numpy()


def _waveform(path: Path) -> np.ndarray:
    """Decode the first audio track, f32 [samples], mono."""
    import av

    sound = Mono()
    try:
        with av.open(str(path), metadata_errors="replace") as container:
            track = container.streams.best("audio")
            if track is None:
                raise InputError(f"{path}: no audio track; search by an example clip instead")
            for frame in container.decode(track):
                sound.add(frame)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; name a file with sound") from None
    except (av.FFmpegError, OSError) as error:
        raise InputError(f"{path}: cannot be decoded ({type(error).__name__}); name another file") from None
    return sound.finish()


def _seconds(store: FeatureStore) -> float:
    return float(store.status["seconds"].iloc[0])


def _reason(path: Path, features: Path) -> str | None:
    try:
        return f"{path}: {FeatureStore.open(features).status['reason'].iloc[0]}; name another video"
    except InputError:
        return None
