from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import Dataset

from multisk.errors import InputError
from multisk.evaluation.embed import EmbeddedSet, average_rows, embed
from multisk.models.embeddings import Embeddings


class Clips(Dataset[dict[str, Any]]):
    """Clips with one text token each; `ids` may repeat."""

    def __init__(self, ids: list[str]) -> None:
        self.ids = ids
        self.text = torch.randn(len(ids), 1, 6, generator=torch.Generator().manual_seed(0))

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, index: int) -> dict[str, Any]:
        mask = torch.tensor([[index != 1]])
        text = self.text[index : index + 1]
        return {
            "text": text,
            "text_mask": mask,
            "clip_id": [self.ids[index]],
            "caption": [f"of {self.ids[index]}"],
        }


class Slices(nn.Module):
    """Embeds a clip by parts of its only token; has a mode, and no weights."""

    def __init__(self) -> None:
        super().__init__()
        self.dropout = nn.Dropout(0.9)

    def forward(self, batch: dict[str, Tensor]) -> Embeddings:
        token = self.dropout(batch["text"][:, 0])
        joint = {"t": token[:, :2], "v": token[:, 2:4], "a": token[:, 4:]}
        return Embeddings(joint, {"t": F.normalize(token, dim=-1)}, {"t": batch["text_mask"].any(1)})


def test_embeddings_are_the_models_in_evaluation_mode() -> None:
    clips, model = Clips(["b", "a", "c"]), Slices()
    embedded = embed(model, clips, batch_size=2)
    assert model.training
    assert embedded.clip_ids == ["b", "a", "c"]
    assert embedded.captions == ["of b", "of a", "of c"]
    np.testing.assert_array_equal(embedded.joint["v"], clips.text[:, 0, 2:4].numpy())
    assert set(embedded.joint) == {"t", "v", "a", "t+v", "t+a", "v+a"}
    assert embedded.nonempty["t"].tolist() == [True, False, True]
    assert all(rows.dtype == np.float32 for rows in embedded.joint.values())


def test_averaged_pairs_are_means_of_unit_vectors() -> None:
    embedded = embed(Slices(), Clips(["a", "b"]), batch_size=2)
    unit = {m: rows / np.linalg.norm(rows, axis=1, keepdims=True) for m, rows in embedded.joint.items()}
    np.testing.assert_allclose(embedded.joint["v+a"], (unit["v"] + unit["a"]) / 2, rtol=1e-5)


def test_segments_of_a_clip_become_their_mean() -> None:
    clips = Clips(["y", "x", "y"])
    embedded = embed(Slices(), clips, batch_size=2)
    assert embedded.clip_ids == ["x", "y"]
    assert embedded.captions == ["of x", "of y"]
    np.testing.assert_allclose(embedded.joint["t"][1], clips.text[[0, 2], 0, :2].mean(0), rtol=1e-6)
    assert embedded.nonempty["t"].tolist() == [False, True]


def test_average_of_rows() -> None:
    rows = np.array([[1.0, 0.0], [3.0, 4.0], [5.0, 2.0]])
    averaged = average_rows({"t": rows}, np.array([1, 0, 1]))["t"]
    np.testing.assert_array_equal(averaged, [[3.0, 4.0], [3.0, 1.0]])


def test_an_embedding_that_is_not_finite_names_its_clip() -> None:
    clips = Clips(["a", "b"])
    clips.text[1] = float("nan")
    with pytest.raises(InputError, match="clip b: joint embedding t is not finite"):
        embed(Slices(), clips, batch_size=2)


def test_sets_read_back(tmp_path: Path) -> None:
    embedded = embed(Slices(), Clips(["a", "b"]), batch_size=2)
    embedded.save(tmp_path / "set")
    read = EmbeddedSet.load(tmp_path / "set")
    assert (read.clip_ids, read.captions) == (embedded.clip_ids, embedded.captions)
    for part in ("joint", "input", "nonempty"):
        ours, theirs = getattr(embedded, part), getattr(read, part)
        assert set(ours) == set(theirs)
        for key in ours:
            np.testing.assert_array_equal(ours[key], theirs[key])


def test_damaged_sets_are_named(tmp_path: Path) -> None:
    embed(Slices(), Clips(["a", "b"]), batch_size=2).save(tmp_path)
    path = tmp_path / "embeddings.safetensors"
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(InputError, match=r"embeddings\.safetensors: cannot be read"):
        EmbeddedSet.load(tmp_path)
    (tmp_path / "embeddings.json").unlink()
    with pytest.raises(InputError, match=r"embeddings\.json: no such file"):
        EmbeddedSet.load(tmp_path)
