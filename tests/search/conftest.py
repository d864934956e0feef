"""An index of 1,000 clips made without videos, and small media files."""

import wave
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.numpy import save_file
from safetensors.torch import save_file as save_weights

from multisk.corpora.manifest import Corpus, write_corpus
from multisk.evaluation.embed import EmbeddedSet
from multisk.files import file_digest, write_json
from multisk.models import build_model
from multisk.params import Params, load_profile
from multisk.search.index import Made, token_budget

CLIPS, PER_VIDEO, SECONDS = 1000, 20, 8.0
TEXT, VIDEO = 6, 10
VOCABULARY = ["someone", "slices", "an", "onion", "Onion", "pan"]


@pytest.fixture(scope="session")
def settings(repository: Path) -> Params:
    """The smoke profile with a model of a few thousand weights."""
    params = load_profile("smoke", repository / "profiles")
    davenet = params.model.davenet.model_copy(update={"widths": (4,) * 7})
    sizes = {"dimension": 8, "joint_dimension": 12, "heads": 2, "davenet": davenet}
    return params.model_copy(update={"model": params.model.model_copy(update=sizes)})


@pytest.fixture
def run(tmp_path: Path, settings: Params) -> Path:
    """A run folder as pretraining leaves it."""
    torch.manual_seed(0)
    sspc = settings.methods["sspc"].sspc
    assert sspc is not None
    widths = {"text_dimension": TEXT, "video_dimension": VIDEO}
    model = build_model("per_modality", settings.model, anchors=sspc.anchors.count, **widths)
    save_weights(model.state_dict(), _made(tmp_path / "run") / "model.safetensors")
    plain = settings.model_dump(mode="json")
    record = {"method": "sspc", "params": {"model": plain["model"], "methods.sspc": plain["methods"]["sspc"]}}
    write_json(tmp_path / "run" / "run.json", record)
    return tmp_path / "run"


@pytest.fixture
def words(tmp_path: Path) -> Path:
    """A folder of word vectors."""
    vectors = np.random.RandomState(0).randn(len(VOCABULARY), TEXT).astype(np.float32)
    save_file({"vectors": vectors}, _made(tmp_path / "words") / "vectors.safetensors")
    (tmp_path / "words" / "vocabulary.txt").write_text("\n".join(VOCABULARY) + "\n")
    return tmp_path / "words"


@pytest.fixture
def index(tmp_path: Path, settings: Params, run: Path, words: Path) -> Path:
    """An index of 1,000 clips with random embeddings, in two parts."""
    corpus = _corpus(tmp_path / "index" / "corpus", tmp_path / "videos")
    assert corpus.clips is not None
    rows = np.random.RandomState(1).randn(CLIPS, settings.model.joint_dimension).astype(np.float32)
    for part, chosen in enumerate((slice(0, 600), slice(600, CLIPS))):
        clip_ids = corpus.clips["clip_id"].tolist()[chosen]
        embedded = EmbeddedSet(clip_ids, [""] * len(clip_ids), {"v+a": rows[chosen]}, {}, {})
        embedded.save(tmp_path / "index" / "embeddings" / f"part-{part:05d}")
    made = Made(
        videos=tmp_path / "videos",
        model=run / "model.safetensors",
        model_sha256=file_digest(run / "model.safetensors"),
        extractors=tmp_path / "extractors",
        words=words,
        words_sha256=file_digest(words / "vectors.safetensors"),
        features=settings.features,
        clips=token_budget(settings),
        batch_size=8,
        seconds=SECONDS,
        corpus_digest=corpus.digest,
    )
    write_json(tmp_path / "index" / "index.json", made.plain())
    return tmp_path / "index"


def _corpus(folder: Path, videos: Path) -> Corpus:
    names = [f"day {number}/film {number}.mp4" for number in range(CLIPS // PER_VIDEO)]
    table = pd.DataFrame({"video_id": names, "path": [str(videos / name) for name in names]})
    rows = [
        (f"{name}@{k * SECONDS:g}", name, k * SECONDS, (k + 1) * SECONDS, "test", [""])
        for name in names
        for k in range(PER_VIDEO)
    ]
    clips = pd.DataFrame(rows, columns=["clip_id", "video_id", "start", "end", "split", "captions"])
    table = table.assign(split="test", seconds=PER_VIDEO * SECONDS)
    return write_corpus(folder, name="own", role="captioned", description="", videos=table, clips=clips)


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture
def write_sound() -> Callable[..., Path]:
    """Write noise as a .wav file."""

    def write(path: Path, seconds: float, seed: int = 0) -> Path:
        samples = (3000 * np.random.RandomState(seed).randn(round(8000 * seconds))).astype("<i2")
        with wave.open(str(path), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(8000)
            file.writeframes(samples.tobytes())
        return path

    return write


@pytest.fixture
def write_film() -> Callable[..., Path]:
    """Write a film without sound whose grey gets lighter with time."""

    def write(path: Path, seconds: int, fps: int = 10) -> Path:
        with av.open(str(path), "w") as container:
            stream = container.add_stream("libx264", rate=fps)
            stream.width, stream.height, stream.pix_fmt = 160, 120, "yuv420p"
            for number in range(seconds * fps):
                level = 40 + 180 * number // (seconds * fps)
                frame = av.VideoFrame.from_ndarray(np.full((120, 160, 3), level, np.uint8), "rgb24")
                frame.pts, frame.time_base = number, Fraction(1, fps)
                container.mux(stream.encode(frame))
            container.mux(stream.encode())
        return path

    return write
