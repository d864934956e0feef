"""What preflight says of a complete folder, and of one in which something is missing."""

import gzip
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from multisk.features.packing import pack
from multisk.features.store import StoreWriter, Stream
from multisk.layout import Layout
from multisk.params import load_params
from multisk.params.profiles import use
from multisk.preflight.checks import Check, can_run
from multisk.preflight.files import NO_CHECKSUM, word_check

Look = Callable[..., list[Check]]
WORDS = "data/weights/GoogleNews-vectors-negative300.bin"


def of(checks: list[Check], part: str, name: str) -> Check:
    (found,) = [check for check in checks if (check.part, check.name) == (part, name)]
    return found


def missing(checks: list[Check]) -> list[tuple[str, str]]:
    return [(check.part, check.name) for check in checks if check.status == "missing"]


def test_a_complete_folder_can_run(look: Look) -> None:
    checks = look()
    assert can_run(checks), missing(checks)
    assert of(checks, "msrvtt", "test clips").detail == (
        "968 of 1,000 test clips have features, as in the release; the others count as errors"
    )
    assert "3,339 of 3,350 validation clips" in of(checks, "youcook2", "validation clips").detail
    assert of(checks, "youcook2", "validation clips").status == "ok"
    assert of(checks, "howto100m", "videos").detail == "5 of 5 listed videos have features"
    assert "sha256 01234567...), no published checksum" in of(checks, "msrvtt", "checksums").detail
    assert "5 wide" in of(checks, "words", "vectors").detail


@pytest.mark.parametrize(
    ("gone", "part", "name", "remedy"),
    [
        ("data/corpora/howto100m", "howto100m", "corpus", "multisk import howto100m --list"),
        ("data/corpora/youcook2/clips.parquet", "youcook2", "corpus", "multisk import youcook2 --train"),
        ("data/features/msrvtt/index.parquet", "msrvtt", "features", "multisk import msrvtt --train"),
        ("data/features/msrvtt/motion-00000.safetensors", "msrvtt", "files", "msrvtt again"),
        ("data/corpora/howto100m/captions/vid3.csv", "howto100m", "captions", "--captions caption.json"),
        (WORDS, "words", "vectors", "obtain GoogleNews-vectors-negative300.bin"),
    ],
)
def test_what_is_gone_is_named_with_its_remedy(
    complete: Layout, look: Look, gone: str, part: str, name: str, remedy: str
) -> None:
    path = complete.root / gone
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    checks = look()
    assert missing(checks) == [(part, name)]
    assert remedy in of(checks, part, name).remedy


def test_a_registered_corpus_waits_for_its_extraction(
    complete: Layout, look: Look, settings: dict[str, Any]
) -> None:
    import pandas as pd

    videos, film = complete.corpus("msrvtt") / "videos.parquet", complete.root / "some.mp4"
    pd.read_parquet(videos).assign(path=str(film)).to_parquet(videos)
    film.touch()
    shutil.rmtree(complete.features("msrvtt"))
    checks = look()
    assert missing(checks) == [("msrvtt", "features"), ("networks", "motion")]
    assert of(checks, "msrvtt", "features").remedy.endswith("multisk extract msrvtt")
    assert "data/weights/resnext101.pth" in of(checks, "networks", "motion").remedy
    (complete.root / "data/weights/resnext101.pth").write_bytes(b"weights")
    assert missing(look()) == [("msrvtt", "features")]
    settings["features"]["motion"]["sha256"] = "0" * 64
    assert missing(look()) == [("msrvtt", "features"), ("networks", "motion")]
    film.unlink()
    check = of(look(), "msrvtt", "videos")
    assert (check.status, check.detail.partition(",")[0]) == ("missing", "1 of 1 looked for")


def test_fewer_clips_than_released_are_a_note(complete: Layout, look: Look) -> None:
    shutil.rmtree(complete.features("msrvtt"))
    with StoreWriter(complete.features("msrvtt")) as writer:
        for video in ("train0", "train1", "test5"):
            add(writer, video)
    check = of(look(), "msrvtt", "test clips")
    assert check.status == "note"
    assert check.detail.startswith("1 of 1,000 test clips have features")
    assert "the release has 968 of 1,000" in check.detail


def add(writer: StoreWriter, video: str, motion: int = 4, rate: float = 1.5) -> None:
    sizes = {"appearance": (3, 1.0), "motion": (motion, rate), "logmel": (40, 100.0)}
    streams = {name: Stream(np.ones((1, width), np.float16), per) for name, (width, per) in sizes.items()}
    writer.add(video, 1.0, streams)


@pytest.mark.parametrize(
    ("videos", "name"), [(["test1"], "training clips"), (["train0", "train1"], "test clips")]
)
def test_a_split_without_features_stops(complete: Layout, look: Look, videos: list[str], name: str) -> None:
    shutil.rmtree(complete.features("msrvtt"))
    with StoreWriter(complete.features("msrvtt")) as writer:
        for video in videos:
            add(writer, video)
    assert missing(look()) == [("msrvtt", name)]


def test_features_of_other_networks_stop(complete: Layout, look: Look) -> None:
    shutil.rmtree(complete.features("msrvtt"))
    with StoreWriter(complete.features("msrvtt")) as writer:
        for video in ("train0", "train1", "test5"):
            add(writer, video, motion=7, rate=3.0)
    checks = look()
    assert missing(checks) == [("corpora", "widths")]
    assert "msrvtt: 3 + 7" in of(checks, "corpora", "widths").detail
    assert of(checks, "msrvtt", "rates").status == "note"


def test_packed_values_are_compared_when_asked(complete: Layout, look: Look) -> None:
    folder = complete.features("msrvtt")
    shutil.rmtree(folder)
    sizes = {"appearance": (3, 1.0), "motion": (4, 1.5), "logmel": (40, 100.0)}
    streams = {name: Stream(np.ones((1, width), np.float16), rate) for name, (width, rate) in sizes.items()}
    videos = ["train0", "train1", "test0"]
    pack(videos, lambda _: streams, folder, fingerprint="", shard_megabytes=1)
    assert "--verify" in of(look(), "msrvtt", "checksums").detail
    assert "all values are those" in of(look(everything=True), "msrvtt", "checksums").detail
    shard = folder / "motion-00000.safetensors"
    content = bytearray(shard.read_bytes())
    content[-3] ^= 1
    shard.write_bytes(content)
    assert can_run(look()), "a sample does not read values"
    check = of(look(everything=True), "msrvtt", "checksums")
    assert (check.status, "is not what was packed" in check.detail) == ("missing", True)


def test_features_of_unknown_videos_stop(complete: Layout, look: Look) -> None:
    with StoreWriter(complete.features("msrvtt")) as writer:
        add(writer, "stranger")
    assert missing(look()) == [("msrvtt", "features")]


def test_a_batch_larger_than_the_corpus_stops(look: Look, settings: dict[str, Any]) -> None:
    settings["pretrain"]["batch_size"] = 216
    check = of(look(), "howto100m", "videos")
    assert (check.status, check.detail) == ("missing", "5 of 5 listed videos have features; a batch has 216")


def test_a_share_of_the_videos_makes_fewer_steps(look: Look, settings: dict[str, Any]) -> None:
    settings["clips"]["pretrain"]["share"] = 0.4
    checks = look()
    assert of(checks, "howto100m", "videos").detail.endswith("2 of them are used (clips.pretrain.share)")
    # 15 epochs x (2 videos // 2)
    assert " 15 steps of pretraining" in of(checks, "sspc", "training").detail


def test_a_benchmark_smaller_than_its_clips_stops(look: Look, settings: dict[str, Any]) -> None:
    settings["benchmarks"]["msrvtt"]["complete_size"] = 900
    check = of(look(), "msrvtt", "test clips")
    assert check.status == "missing"
    assert "complete_size to 968" in check.remedy


def test_word_vectors_of_another_width_or_cut_off_stop(complete: Layout, look: Look) -> None:
    path = complete.root / WORDS
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b"2 5\n", b"200 5\n"))
    assert "cut off" in of(look(), "words", "vectors").detail
    path.write_bytes(b"1 6\na " + np.ones(6, "<f4").tobytes())
    check = of(look(), "words", "vectors")
    assert (check.status, check.detail) == ("missing", f"{WORDS}: 6 wide, params.yaml says 5")


def test_packed_word_vectors_are_read_whole_only_when_asked(
    complete: Layout, look: Look, settings: dict[str, Any]
) -> None:
    plain = (complete.root / WORDS).read_bytes()
    assert "not checked for completeness" not in of(look(), "words", "vectors").detail
    path = complete.root / "vectors.bin.gz"
    settings["features"]["words"]["source"] = "vectors.bin.gz"
    packed = gzip.compress(plain)
    path.write_bytes(packed)
    check = of(look(), "words", "vectors")
    assert (check.status, check.detail.rpartition("; ")[2]) == ("ok", "not checked for completeness")
    params = load_params(complete.root / "params.yaml")
    check = word_check(params, everything=True)
    assert (check.status, check.detail.rpartition("; ")[2]) == ("ok", NO_CHECKSUM)
    path.write_bytes(packed[:-6])
    check = word_check(params, everything=True)
    assert (check.status, "damaged or cut off" in check.detail) == ("missing", True)


def write_clip(folder: Path) -> None:
    """Write both towers of a tiny CLIP model, with a tokenizer that knows no letters."""
    from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel, CLIPTokenizer

    sizes = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
    special = {"vocab_size": 2, "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 1}
    pictures = {**sizes, "image_size": 16, "patch_size": 8}
    config = CLIPConfig(text_config={**sizes, **special}, vision_config=pictures, projection_dim=5)
    config.text_config.projection_dim = config.vision_config.projection_dim = 5
    CLIPModel(config).save_pretrained(folder)
    CLIPTokenizer(vocab={"<|startoftext|>": 0, "<|endoftext|>": 1}, merges=[]).save_pretrained(folder)
    CLIPImageProcessor().save_pretrained(folder)


def test_clip_models_are_looked_for(complete: Layout, look: Look, settings: dict[str, Any]) -> None:
    settings["features"]["words"]["source"] = "clip:model"
    (complete.root / WORDS).unlink()
    check = of(look(), "words", "vectors")
    assert check.status == "missing"
    assert check.detail.startswith("model: no such folder")
    assert "clip:FOLDER" in check.remedy
    write_clip(complete.root / "model")
    checks = look()
    assert can_run(checks), missing(checks)
    assert of(checks, "words", "vectors").detail.startswith("model: CLIP's text tower, 5 wide")
    settings["features"]["words"]["dimension"] = 7
    assert of(look(), "words", "vectors").detail == "model: 5 wide, params.yaml says 7"


def test_clip_models_are_looked_for_where_features_are_to_be_extracted(
    complete: Layout, look: Look, settings: dict[str, Any]
) -> None:
    import pandas as pd

    videos, film = complete.corpus("msrvtt") / "videos.parquet", complete.root / "some.mp4"
    pd.read_parquet(videos).assign(path=str(film)).to_parquet(videos)
    shutil.rmtree(complete.features("msrvtt"))
    settings["features"]["appearance"] |= {"model": "clip:model", "weights": "pretrained", "sha256": None}
    check = of(look(), "networks", "appearance")
    assert check.status == "missing"
    assert "model: no such folder" in check.detail
    write_clip(complete.root / "model")
    check = of(look(), "networks", "appearance")
    assert (check.status, check.detail.partition(",")[0]) == ("ok", "model: CLIP's image tower")
    settings["features"]["appearance"]["weights"] = "random"
    check = of(look(), "networks", "appearance")
    assert (check.status, check.detail) == (
        "missing",
        "clip:model brings its own weights, params.yaml says random",
    )


def test_half_precision_needs_a_gpu(
    look: Look, settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings["benchmarks"]["msrvtt"]["finetune"]["mixed_precision"] = "fp16"
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    check = of(look(), "machine", "GPU")
    assert check.status == "missing"
    assert "benchmarks.msrvtt.finetune" in check.detail
    assert "mixed_precision: no" in check.remedy


def test_a_full_disk_stops(look: Look, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: shutil._ntuple_diskusage(10, 10, 0))  # type: ignore[attr-defined]
    assert missing(look()) == [("machine", "disk")]


def test_steps_are_counted_and_time_is_measured_or_unknown(
    look: Look, settings: dict[str, Any], complete: Layout
) -> None:
    settings["pretrain"] |= {"epochs": 15, "seeds": [0, 1]}
    checks = look()
    # 2 seeds x 15 epochs x (5 videos // 2); 2 x (5 x (3 // 2) + 25 x (3 // 2))
    said = of(checks, "sspc", "training").detail
    assert "60 steps of pretraining, 60 of fine-tuning, over 2 seeds" in said
    assert of(checks, "sspc", "time").detail.startswith("unknown")
    measured = complete.root / "step.json"
    row = {"method": "sspc", "step": 120.0, "device": "some GPU", "clips": 20, "peak_bytes": 5e9}
    measured.write_text(json.dumps(row))
    checks = look(measured=[measured])
    assert of(checks, "sspc", "time").detail.startswith(
        "2 hours of pretraining on some GPU: 60 steps x 120 s"
    )
    assert of(checks, "contrastive", "time").detail.startswith("unknown")
    measured.write_text(json.dumps(row | {"clips": 8}))
    assert "measured with 8 clips a step" in of(look(measured=[measured]), "sspc", "time").detail


def test_operations_are_those_of_the_layers(look: Look, settings: dict[str, Any]) -> None:
    def counted() -> float:
        words = of(look(), "contrastive", "time").detail.split()
        return float(words[1])

    before = counted()
    settings["pretrain"]["epochs"] *= 3
    assert counted() == pytest.approx(3 * before, rel=0.05)
    settings["pretrain"]["seeds"] = [0, 1]
    assert counted() == pytest.approx(6 * before, rel=0.05)


def test_finished_training_needs_no_more_disk(look: Look, complete: Layout) -> None:
    before = of(look(), "machine", "disk").detail
    assert "needed" in before
    for folder in (
        *(complete.pretrained(method, 0) for method in ("contrastive", "sspc")),
        *(complete.finetuned(m, b, 0) for m in ("contrastive", "sspc") for b in ("youcook2", "msrvtt")),
    ):
        folder.mkdir(parents=True)
        (folder / "model.safetensors").touch()
    assert "needed" not in of(look(), "machine", "disk").detail


def multisk(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "multisk", "preflight", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=120)


@pytest.mark.parametrize("profile", ["miniature", "smoke"])
def test_the_miniature_lacks_nothing(repository: Path, tmp_path: Path, profile: str) -> None:
    use(profile, tmp_path / "params.yaml", repository / "profiles")
    done = multisk(tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "the pipeline can run" in done.stdout


def test_an_empty_folder_lacks_all_and_says_it_as_json(repository: Path, tmp_path: Path) -> None:
    use("paper", tmp_path / "params.yaml", repository / "profiles")
    done = multisk(tmp_path, "--json")
    assert done.returncode == 1, done.stderr
    content = json.loads(done.stdout)
    assert content["can_run"] is False
    parts = {check["part"] for check in content["checks"] if check["status"] == "missing"}
    assert {"howto100m", "youcook2", "msrvtt", "words"} <= parts
    assert all(check["remedy"] for check in content["checks"] if check["status"] == "missing")


def test_another_file_of_step_times_is_refused_in_one_line(repository: Path, tmp_path: Path) -> None:
    use("miniature", tmp_path / "params.yaml", repository / "profiles")
    done = multisk(tmp_path, "--step", "params.yaml")
    assert done.returncode == 2
    assert "params.yaml: no output of benchmarks/train_step.py --json" in done.stderr
