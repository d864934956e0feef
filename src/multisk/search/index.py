"""The index of a folder of videos: their features, cut into clips, and the clips' embeddings.

index.json                what it was made from; written last
corpus/, features/        manifests and features of the videos, which stay where they are
embeddings/part-00000/    embeddings of the first 4096 clips, and so on
next/                     manifests of the index in the making; until it is done the one before stays good
"""

import math
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
import torch
from pydantic import ValidationError
from torch import nn
from torch.utils.data import Subset

from multisk.corpora.manifest import Corpus
from multisk.corpora.own import find_videos, register_videos
from multisk.errors import InputError
from multisk.evaluation.embed import EmbeddedSet, embed
from multisk.features.extraction import extract
from multisk.features.extractors import Extractors
from multisk.features.words import open_words, words_digest
from multisk.files import digest, file_digest, read_json, write_json
from multisk.methods.trained import TrainedModel
from multisk.params import Params
from multisk.resumable import Code, resumable
from multisk.sampling import CaptionedClips
from multisk.search.clips import cut_clips
from multisk.settings.features import Features
from multisk.settings.sampling import BenchmarkClips

PART = 4096  # clips; what is lost at most when indexing is stopped while it embeds
ANSWERS = ("va", "v+a", "v")  # what a query is compared with: the first that the model has


@dataclass(frozen=True)
class Made:
    """What an index was made from; `index.json`."""

    videos: Path
    model: Path
    model_sha256: str
    extractors: Path
    words: Path
    words_sha256: str
    features: Features
    clips: BenchmarkClips
    batch_size: int
    seconds: float
    corpus_digest: str

    @property
    def identity(self) -> str:
        """Digest of all that embeddings depend on."""
        return digest(self.plain())

    def plain(self) -> dict[str, Any]:
        """Return what JSON can write."""
        plain = {key: str(value) if isinstance(value, Path) else value for key, value in vars(self).items()}
        return plain | {name: getattr(self, name).model_dump(mode="json") for name in ("features", "clips")}

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read index.json; raise InputError when it is missing or damaged."""
        if not path.exists():
            raise InputError(f"{path}: no such index; make it with: multisk index VIDEOS")
        try:
            plain = read_json(path)
            paths = {key: Path(plain[key]) for key in ("videos", "model", "extractors", "words")}
            sections = {
                "features": Features.model_validate(plain["features"]),
                "clips": BenchmarkClips.model_validate(plain["clips"]),
            }
            return cls(**{**plain, **paths, **sections})
        except (KeyError, TypeError, ValidationError):
            raise InputError(f"{path}: not written by this version; run multisk index again") from None


@dataclass(frozen=True)
class Index:
    """Clips and their embeddings.

    Attributes:
        clips: clip_id, file (absolute), start and end in seconds; a row per clip.
        answer: the embedding that queries are compared with: video and audio fused (`va`) or averaged
            (`v+a`), or `v` alone where the model takes no audio.
        joint: f32 [N, J], that embedding of each clip.
    """

    made: Made
    clips: pd.DataFrame
    answer: str
    joint: np.ndarray

    @classmethod
    def open(cls, folder: Path | str) -> Self:
        """Open an index; raise InputError when it is missing, damaged or unfinished."""
        folder = Path(folder)
        made = Made.read(folder / "index.json")
        corpus = Corpus.open(folder / "corpus")
        parts = [EmbeddedSet.load(part) for part in sorted((folder / "embeddings").glob("part-*"))]
        clip_ids = [clip_id for part in parts for clip_id in part.clip_ids]
        assert corpus.clips is not None
        if corpus.digest != made.corpus_digest or clip_ids != corpus.clips["clip_id"].tolist():
            raise InputError(f"{folder}: unfinished; run the same multisk index again")
        answer = next(key for key in ANSWERS if key in parts[0].joint)
        joint = np.concatenate([part.joint[answer] for part in parts])
        return cls(made, _table(corpus), answer, joint)


def index_videos(
    videos: Path,
    model: Path,
    extractors: Path,
    words: Path,
    params: Params,
    out: Path,
    *,
    seconds: float | None = None,
) -> Index:
    """Extract features of all videos below a folder, cut them into clips, embed these; return the index.

    Args:
        videos: the folder; files that cannot be decoded are reported and left out.
        model: run folder, its weights, or an imported checkpoint (see `TrainedModel.open`).
        extractors: folder of the networks whose features the model was trained with.
        words: folder of the word vectors that it was trained with.
        params: features and token budgets that it was trained with.
        out: the index; goes on where it was stopped, and does nothing over what is unchanged.
        seconds: length of the clips; as in pretraining if not given.

    Raises InputError, before any work, for a model that does not fit the extractors, the words or the length
    of the clips, and for a folder that holds something else than an index of `videos`.
    """
    check_places(videos, out)
    check_seconds(seconds)
    seconds = params.clips.pretrain.seconds if seconds is None else seconds
    trained, vectors = TrainedModel.open(model), open_words(words)
    budget = token_budget(params, seconds, trained.audio_stride)
    trained.check_length(budget.video_tokens, budget.audio_frames)
    networks = Extractors.open(extractors, params.features).networks
    trained.check(vectors.dimension, sum(network.dimension for network in networks.values()))
    trained.check_extractors(extractors)
    corpus = register_videos(videos, out / "next")
    store = extract(_with_sizes(corpus), params.features, extractors, out / "features")
    corpus = cut_clips(corpus, store, seconds)
    made = Made(
        videos=videos.resolve(),
        model=trained.path,
        model_sha256=trained.digest,
        extractors=extractors.resolve(),
        words=words.resolve(),
        words_sha256=words_digest(words),
        features=params.features,
        clips=budget,
        batch_size=params.evaluate.batch_size,
        seconds=seconds,
        corpus_digest=corpus.digest,
    )
    identity = [made.identity, file_digest(out / "features" / "index.parquet")]
    if not _is_done(out, made, identity):
        if not _is_embedded(out, identity):
            clips = CaptionedClips(store, corpus, vectors, made.clips, "test")
            with resumable(out / "embeddings", identity, Code({})) as folder:
                _embed(trained.model, clips, made.batch_size, folder)
                write_json(folder / "identity.json", identity)
        shutil.rmtree(out / "corpus", ignore_errors=True)
        shutil.copytree(out / "next", out / "corpus")
        write_json(out / "index.json", made.plain())
    shutil.rmtree(out / "next")
    return Index.open(out)


def check_places(videos: Path, out: Path) -> None:
    """Raise InputError unless there are `videos`, and `out` is new or of an index of the same folder."""
    find_videos(videos)
    if out.exists() and not out.is_dir():
        raise InputError(f"{out}: is a file; choose a folder with --out")
    of = _indexed(out)
    if of is None and out.is_dir() and any(out.iterdir()):
        raise InputError(f"{out}: holds something else than an index; choose another folder with --out")
    if of not in (None, str(videos.resolve())):
        raise InputError(
            f"{out}: is the index of {of}; choose another folder with --out, or delete it to make it anew"
        )


def check_seconds(seconds: float | None) -> None:
    """Raise InputError for a length of clips that is none."""
    if seconds is not None and not 0 < seconds < math.inf:
        raise InputError(f"--seconds: clips of {seconds:g} s; choose a length above 0")


def _indexed(out: Path) -> str | None:
    """Return the folder that an index is of, be it finished or not; None if it is none."""
    if (out / "index.json").is_file():
        return str(read_json(out / "index.json").get("videos"))
    if (out / "next" / "corpus.json").is_file():
        return str(Corpus.open(out / "next").source.get("videos"))
    return None


def _with_sizes(corpus: Corpus) -> Corpus:
    """Let a file that was replaced count as another one."""
    status = {
        path: (Path(path).stat().st_size, Path(path).stat().st_mtime_ns) for path in corpus.videos["path"]
    }
    return replace(corpus, digest=digest([corpus.digest, status]))


def token_budget(params: Params, seconds: float | None = None, stride: int = 1) -> BenchmarkClips:
    """Return how many tokens a clip of own videos has: as many as in pretraining, more for longer clips.

    seconds: length of the clips; as in pretraining if not given
    stride: frames of one audio token, of which longer audio is a multiple
    """
    pretrain = params.clips.pretrain
    video, audio = pretrain.video_tokens, pretrain.audio_frames
    if seconds is not None and seconds > pretrain.seconds:
        longer = seconds / pretrain.seconds
        video = math.ceil(round(video * longer, 6))
        audio = stride * math.ceil(round(audio * longer / stride, 6))
    return BenchmarkClips(
        video_tokens=video,
        audio_frames=audio,
        words=pretrain.words,
        sampling=pretrain.sampling,
        segments=1,
    )


def _is_done(out: Path, made: Made, identity: list[str]) -> bool:
    index = out / "index.json"
    return index.exists() and _is_embedded(out, identity) and read_json(index) == made.plain()


def _is_embedded(out: Path, identity: list[str]) -> bool:
    path = out / "embeddings" / "identity.json"
    return path.exists() and read_json(path) == identity


def _embed(model: nn.Module, clips: CaptionedClips, batch_size: int, folder: Path) -> None:
    """Embed the clips part by part; parts that are there already are kept."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model.to(device)
    for number, rows in enumerate(_parts(len(clips))):
        part = folder / f"part-{number:05d}"
        if not (part / "embeddings.json").exists():
            embedded = embed(model, Subset(clips, rows), batch_size, device)
            joint = {key: embedded.joint[key] for key in ANSWERS if key in embedded.joint}
            replace(embedded, joint=joint, input={}).save(part)


def _parts(count: int) -> Iterator[range]:
    return (range(start, min(start + PART, count)) for start in range(0, count, PART))


def _table(corpus: Corpus) -> pd.DataFrame:
    assert corpus.clips is not None
    files = [str(corpus.path(video_id)) for video_id in corpus.clips["video_id"]]
    return corpus.clips[["clip_id", "start", "end"]].assign(file=files)
