"""Every reader of files from elsewhere, given what is something else: one line that names the file."""

import gzip
import io
import json
import pickle
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import save
from tests.registering import register_msrvtt, register_youcook2

from multisk.benchmarks.msrvtt_pickles import read_test_list
from multisk.corpora.captions import write_captions
from multisk.corpora.listing import read_listing
from multisk.errors import InputError
from multisk.features.wordvectors import file_dimension, read_word_vectors
from multisk.models.checkpoints import import_checkpoint
from multisk.pipeline.importing import import_msrvtt, import_youcook2
from multisk.published.archives import unpack
from multisk.published.findings import Findings
from multisk.published.npz import NpzArray


def written(write: Callable[[io.BytesIO], Any]) -> bytes:
    buffer = io.BytesIO()
    write(buffer)
    return buffer.getvalue()


def archived(buffer: io.BytesIO) -> None:
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        tar.addfile(tarfile.TarInfo("a"), io.BytesIO())


def zipped(buffer: io.BytesIO) -> None:
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a", b"text")


KINDS: dict[str, bytes] = {
    "empty": b"",
    "one byte": b"\x80",
    "html": b"<!DOCTYPE html><html><body>404: the file has moved</body></html>\n",
    "text": "Ein Text, der nichts davon ist: ü\n".encode(),
    "nul bytes": bytes(4096),
    "noise": np.random.default_rng(0).bytes(4096),
    "png": b"\x89PNG\r\n\x1a\n" + bytes(64),
    "json": json.dumps([1, {"a": 2}]).encode(),
    "csv": b"name,number\nanything,1\n",
    "pickle": pickle.dumps({"something": ["else"]}, 2),
    "gzip": gzip.compress(b"packed text"),
    "tar": written(archived),
    "zip": written(zipped),
    "npy": written(lambda file: np.save(file, np.ones(3))),
    "npz": written(lambda file: np.savez(file, other=np.ones(3))),
    "torch": written(lambda file: torch.save([1, 2], file)),
    "safetensors": save({"weights": np.ones(3, np.float32)}),
    "utf-16": "path\nabc\n".encode("utf-16"),
}
READERS: dict[str, Callable[[Path, Path], Any]] = {
    "MSR-VTT pickle": lambda path, out: import_msrvtt(out / "c", out / "f", test=path),
    "YouCook2 pickle": lambda path, out: import_youcook2(out / "c", out / "f", validation=path),
    "npz": lambda path, _: NpzArray.open(path, "features"),
    "captions.pickle": lambda path, out: captions(path, out, ".pickle"),
    "captions.json": lambda path, out: captions(path, out, ".json"),
    "listing": lambda path, _: read_listing(path, Findings()),
    "1k-A list": lambda path, _: read_test_list(path, Findings()),
    "MSRVTT_data.json": lambda path, out: register_msrvtt(
        out, out / "c", annotations=path, test_list=one_row(out)
    ),
    "YouCook2 annotations": lambda path, out: register_youcook2(out, out / "c", annotations=path),
    "YouCook2 csv": lambda path, out: register_youcook2(out, out / "c", retrieval=path),
    "checkpoint": lambda path, out: import_checkpoint(path, out / "checkpoints"),
    "archive": lambda path, out: unpack(path, out / "unpacked"),
    "word vectors": lambda path, _: read_word_vectors(path, {"a"}),
    "width of word vectors": lambda path, _: file_dimension(path),
}
RIGHT = {("archive", kind) for kind in ("tar", "zip", "npz", "torch")}  # the last two are zip archives
WRONG = [(reader, kind) for reader in READERS for kind in KINDS if (reader, kind) not in RIGHT]


def captions(path: Path, out: Path, ending: str) -> None:
    named = path.rename(path.with_suffix(ending))
    if not write_captions(named, ["a"], out / "captions", Findings()):
        raise InputError(f"{named}: nothing")


def one_row(folder: Path) -> Path:
    path = folder / "list.csv"
    path.write_text("video_id,sentence\nvideo1,a pan\n")
    return path


@pytest.mark.parametrize(("reader", "kind"), WRONG)
def test_other_files_are_named_in_one_line(reader: str, kind: str, tmp_path: Path) -> None:
    path = tmp_path / "input" / "misnamed"
    path.parent.mkdir()
    path.write_bytes(KINDS[kind])
    with pytest.raises(InputError, match="misnamed") as caught:
        READERS[reader](path, tmp_path)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.glob("checkpoints/*"))
