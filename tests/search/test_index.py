"""An index is made from videos and a released checkpoint alone, kept as files change, never overwritten."""

import logging
import os
import shutil
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ruamel.yaml import YAML
from tests.reference.release import to_release

from multisk.commands import search as commands
from multisk.errors import InputError
from multisk.features import extraction
from multisk.features.appearance import AppearanceNetwork
from multisk.features.motion import MotionNetwork, ResNeXt3d
from multisk.features.words import WordVectors
from multisk.methods.trained import TrainedModel
from multisk.models.checkpoints import import_checkpoint
from multisk.models.release_config import model_from_release_config
from multisk.params.profiles import compose
from multisk.pipeline import words
from multisk.search import index as indexing
from multisk.search.index import Index, token_budget
from multisk.search.search import search

DIMENSION = 5
WORDS = ["onion", "someone", "slices", "Onion", "pan"]


@pytest.fixture
def world(tmp_path: Path, repository: Path, write_film, monkeypatch) -> Path:
    """Two films, a released checkpoint, published weights and words, and settings that name them."""
    (tmp_path / "videos").mkdir()
    for name, seconds in (("a", 8), ("b", 3)):
        write_film(tmp_path / "videos" / f"{name}.mp4", seconds=seconds)
    torch.manual_seed(0)
    picture = AppearanceNetwork("test_resnet")
    motion = ResNeXt3d((1, 1, 1, 1), 2, 4)
    torch.save(picture.backbone.state_dict(), tmp_path / "picture.pth")
    torch.save(motion.state_dict(), tmp_path / "motion.pth")
    widths = picture.dimension + MotionNetwork(motion, 16, every_stage=False).dimension
    release(tmp_path, widths)
    rows = np.random.RandomState(0).randn(len(WORDS), DIMENSION).round(3)
    lines = [f"{word} {' '.join(map(str, row))}" for word, row in zip(WORDS, rows, strict=True)]
    (tmp_path / "words.txt").write_text(f"{len(WORDS)} {DIMENSION}\n" + "\n".join(lines) + "\n")
    settings = compose("smoke", repository / "profiles")
    chosen = settings["features"]
    chosen["appearance"] |= {"model": "test_resnet", "weights": "picture.pth", "short_side": 32}
    chosen["motion"] |= {"cardinality": 2, "width": 4, "weights": "motion.pth", "side": 16}
    chosen["words"] |= {"source": "words.txt", "dimension": DIMENSION}
    chosen["workers"] = 1
    YAML().dump(settings, tmp_path / "params.yaml")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def release(folder: Path, video: int, **arguments: Any) -> None:
    """Write a checkpoint of the released form, and import it as model.safetensors."""
    args = {"text_embed_dim": DIMENSION, "video_embed_dim": video, "projection_dim": 10, **arguments}
    args |= {"fusion_params": {"embed_dim": 8, "num_heads": 2}}
    arch = {"type": "EverythingAtOnceModel", "args": args}
    model = model_from_release_config(arch["type"], args, {"layers": [1, 1], "layer_widths": [4, 4, 4]})
    torch.save({"state_dict": to_release(model, {}), "config": {"arch": arch}}, folder / "eao.pth")
    for stale in folder.glob("eao-*"):
        stale.unlink()
    import_checkpoint(folder / "eao.pth", folder)


def model() -> Path:
    (path,) = Path().glob("eao-*.safetensors")
    return path


def index(videos: str = "videos", out: str = "index", **options: Any) -> Index:
    given = {"extractors": commands.EXTRACTORS, "words": commands.WORDS, "seconds": None, **options}
    commands.index(Path(videos), model(), Path(out), **given)
    return Index.open(out)


def change(section: str, **values: Any) -> None:
    settings = YAML(typ="safe").load(Path("params.yaml"))
    settings["features"][section] |= values
    YAML().dump(settings, Path("params.yaml"))


@pytest.fixture
def asked(monkeypatch) -> list[str]:
    """The videos that are decoded from now on."""
    videos: list[str] = []
    whole = extraction._Media._video

    def noting(media, video_id, path):
        videos.append(video_id)
        return whole(media, video_id, path)

    monkeypatch.setattr(extraction._Media, "_video", noting)
    monkeypatch.setattr(extraction, "_loader", lambda media, *_, **__: media)  # all in this process
    return videos


def test_videos_and_a_released_checkpoint_are_enough(world: Path, capsys) -> None:
    made = index()
    assert made.clips["clip_id"].tolist() == ["a.mp4@0", "b.mp4@0"]
    assert capsys.readouterr().out == "index: 2 clips\n"
    assert WordVectors.open("data/words").vocabulary == WORDS
    assert (world / "runs/words/words/run.json").exists()
    assert (world / "runs/extractors/extractors/run.json").exists()
    assert not (world / "data/corpora").exists()
    assert len(search("index", text="someone slices an onion")) == 2


def test_what_only_a_corpus_can_make_is_named(world: Path) -> None:
    change("words", source="skipgram")
    with pytest.raises(InputError, match=r"data/words: no word vectors.*skipgram.*name a published file"):
        index()
    change("words", source="clip:nowhere")
    with pytest.raises(InputError, match=r"features\.words\.source: .*nowhere"):
        index()
    change("words", source="none.bin")
    with pytest.raises(InputError, match=r"features\.words\.source: none\.bin: No such file"):
        index()
    shutil.rmtree("data/extractors")
    change("motion", weights="random")
    with pytest.raises(InputError, match=r"data/extractors: no extractors.*random weights"):
        index()
    assert not Path("index").exists()


def test_words_of_a_file_are_limited_to_the_frequent_ones(world: Path, monkeypatch) -> None:
    monkeypatch.setattr(words, "FREQUENT_WORDS", 3)
    index()
    assert WordVectors.open("data/words").vocabulary == WORDS[:3]


def test_only_what_has_changed_is_read_again(world: Path, asked: list[str], write_film) -> None:
    first = index()
    assert asked == ["a.mp4", "b.mp4"]
    asked.clear()
    write_film(world / "videos" / "c.mp4", seconds=2)
    both = index()
    assert asked == ["c.mp4"]
    assert both.clips["clip_id"].tolist() == ["a.mp4@0", "b.mp4@0", "c.mp4@0"]
    np.testing.assert_array_equal(both.joint[:2], first.joint)
    asked.clear()
    write_film(world / "videos" / "a.mp4", seconds=2)
    (world / "videos" / "b.mp4").unlink()
    after = index()
    assert asked == ["a.mp4"]
    assert after.clips["clip_id"].tolist() == ["a.mp4@0", "c.mp4@0"]
    np.testing.assert_allclose(after.joint[0], after.joint[1], atol=1e-5)
    asked.clear()
    index()
    assert asked == []


def test_another_folder_never_takes_an_index_over(world: Path, write_film) -> None:
    (world / "other").mkdir()
    write_film(world / "other" / "c.mp4", seconds=2)
    before = index()
    with pytest.raises(InputError, match=r"index: is the index of .*/videos; choose another folder"):
        index("other")
    assert Index.open("index").clips.equals(before.clips)
    (world / "mine").mkdir()
    (world / "mine" / "notes.txt").touch()
    with pytest.raises(InputError, match="mine: holds something else than an index"):
        index("other", out="mine")
    with pytest.raises(InputError, match=r"params\.yaml: is a file; choose a folder with --out"):
        index("other", out="params.yaml")


@pytest.mark.parametrize("step", ["extract", "cut_clips", "embed"])
def test_an_index_stays_good_until_the_next_one_is_done(world: Path, write_film, monkeypatch, step) -> None:
    before = index()
    write_film(world / "videos" / "c.mp4", seconds=2)

    def stopping(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(indexing, step, stopping)
        with pytest.raises(KeyboardInterrupt):
            index()
    again = Index.open("index")
    assert again.clips.equals(before.clips)
    np.testing.assert_array_equal(again.joint, before.joint)
    assert len(search("index", text="onion")) == 2
    assert len(index().clips) == 3
    assert not Path("index/next").exists()


def test_an_unfinished_index_is_of_its_folder_too(world: Path, monkeypatch) -> None:
    def stopping(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(indexing, "embed", stopping)
        with pytest.raises(KeyboardInterrupt):
            index()
    shutil.copytree("videos", "other")
    with pytest.raises(InputError, match=r"index: is the index of .*/videos"):
        index("other")
    assert len(index().clips) == 2


def test_files_that_cannot_be_indexed_are_left_out(world: Path, caplog) -> None:
    Path("videos/lost.mp4").symlink_to("nowhere.mp4")
    Path(os.fsdecode(b"videos/caf\xe9.mkv")).write_bytes(Path("videos/a.mp4").read_bytes())
    with caplog.at_level(logging.WARNING):
        assert len(index().clips) == 2
    assert "lost.mp4: a link to nothing; left out" in caplog.text
    assert "caf\\udce9.mkv: its name is not UTF-8" in caplog.text


@pytest.mark.parametrize(
    ("seconds", "video", "audio"), [(8, 12, 768), (3, 12, 768), (12, 18, 1152), (9, 14, 896)]
)
def test_longer_clips_have_more_tokens(settings, seconds: float, video: int, audio: int) -> None:
    budget = token_budget(settings, seconds, stride=64)
    assert (budget.video_tokens, budget.audio_frames) == (video, audio)


def test_all_of_a_longer_clip_is_looked_at(world: Path, write_film) -> None:
    """Two films that differ only after the eighth second."""
    import av

    for name, last in (("a", 10), ("b", 200)):
        with av.open(f"videos/{name}.mp4", "w") as out:
            stream = out.add_stream("libx264", rate=4)
            stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
            for number in range(48):
                level = 100 if number < 34 else last
                frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), level, np.uint8), "rgb24")
                frame.pts, frame.time_base = number, Fraction(1, 4)
                out.mux(stream.encode(frame))
            out.mux(stream.encode())
    made = index(seconds=12)
    assert made.clips["end"].tolist() == [12, 12]
    assert np.abs(made.joint[0] - made.joint[1]).max() > 1e-3


def test_models_with_learned_positions_take_no_longer_clips(world: Path, tmp_path: Path) -> None:
    (width,) = {TrainedModel.open(model()).widths["video"]}
    release(
        world,
        width,
        use_positional_emb=True,
        strategy_audio_pooling="none",
        audio_max_num_STFT_frames=768,
        video_max_tokens=12,
        text_max_tokens=20,
    )
    index()
    with pytest.raises(InputError, match=r"--seconds: clips so long have 18 video tokens.*learned 12 pos"):
        index(seconds=12)


@pytest.mark.parametrize("seconds", [0, -1, float("nan"), float("inf")])
def test_lengths_that_are_none_are_refused(world: Path, seconds: float) -> None:
    with pytest.raises(InputError, match=r"--seconds: clips of .* s; choose a length above 0"):
        index(seconds=seconds)
    assert not Path("data").exists()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"start": float("nan")}, "--start: nan s"),
        ({"start": -1}, "--start: -1 s"),
        ({"start": float("inf")}, "--start: inf s"),
        ({"top": 0}, "--top: 0 clips"),
        ({"top": -1}, "--top: -1 clips"),
    ],
)
def test_questions_that_cannot_be_are_named(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        search("index", text="onion", **wrong)
