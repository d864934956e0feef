"""Embeddings of a whole dataset, in memory and on disk."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
import torch
from safetensors import SafetensorError
from safetensors.numpy import load_file, save
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from multisk.errors import InputError
from multisk.files import read_json, replacing, write_json
from multisk.models.embeddings import averaged_pairs
from multisk.sampling.collate import Item, collate_clips
from multisk.side_by_side import place

Arrays = dict[str, np.ndarray]
PARTS = ("joint", "input", "nonempty")


@dataclass(frozen=True)
class EmbeddedSet:
    """Embeddings of N clips, one row each.

    Attributes:
        clip_ids, captions: N strings each.
        joint: f32 [N, J] by modality: `t`, `v`, `a`, fused pairs as `va`, averaged pairs as `v+a`.
        input: f32 [N, D] by modality; empty for models without input features.
        nonempty: bool [N] by modality.
    """

    clip_ids: list[str]
    captions: list[str]
    joint: Arrays
    input: Arrays
    nonempty: Arrays

    def save(self, folder: Path) -> None:
        """Write `embeddings.safetensors` and `embeddings.json` (ids and captions) into a folder."""
        tensors = {f"{part}/{key}": rows for part in PARTS for key, rows in getattr(self, part).items()}
        folder.mkdir(parents=True, exist_ok=True)
        with replacing(folder / "embeddings.safetensors") as temporary:
            temporary.write_bytes(save(tensors))
        write_json(folder / "embeddings.json", {"clip_ids": self.clip_ids, "captions": self.captions})

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote; raise InputError where it is missing or damaged."""
        path = folder / "embeddings.safetensors"
        names = read_json(folder / "embeddings.json")
        try:
            tensors = load_file(path)
        except (OSError, SafetensorError) as error:
            raise InputError(f"{path}: cannot be read ({error}); embed the clips again") from None
        parts: dict[str, Arrays] = {part: {} for part in PARTS}
        for name, rows in tensors.items():
            part, _, key = name.partition("/")
            parts[part][key] = rows
        return cls(names["clip_ids"], names["captions"], **parts)


@torch.inference_mode()
def embed(
    model: nn.Module,
    dataset: Dataset[Item],
    batch_size: int,
    device: torch.device | str = "cpu",
    workers: int = 0,
) -> EmbeddedSet:
    """Embed the clips of a dataset with a model in evaluation mode, in single precision.

    Segments of a clip become one row, their mean (as released). The model keeps its mode.
    Raises InputError when an embedding is not finite.
    """
    loader: DataLoader[Any] = DataLoader(dataset, batch_size, collate_fn=collate_clips, num_workers=workers)
    clip_ids, captions, parts = [], [], []
    training = model.training
    model.eval()
    for batch in tqdm(loader, desc="embed", unit="batch", disable=None, position=place()):
        tensors = {key: value.to(device) for key, value in batch.items() if isinstance(value, Tensor)}
        embeddings = model(tensors)
        parts.append({part: _to_numpy(getattr(embeddings, part)) for part in PARTS})
        clip_ids += batch["clip_id"]
        captions += batch["caption"]
    model.train(training)
    joined = {part: _concatenate([rows[part] for rows in parts]) for part in PARTS}
    _check_finite(clip_ids, joined)
    return merge(clip_ids, captions, **joined)


def merge(
    clip_ids: Sequence[str], captions: Sequence[str], joint: Arrays, input: Arrays, nonempty: Arrays
) -> EmbeddedSet:
    """Add the averaged pairs of modalities, then average the rows of equal ids.

    As released, in this order; and only repeated ids sort the rows.
    """
    repeated = len(set(clip_ids)) < len(clip_ids)
    row_of, ids = pd.factorize(np.array(clip_ids, dtype=object), sort=repeated)
    caption_of = dict(zip(clip_ids, captions, strict=True))
    pairs = averaged_pairs({key: torch.from_numpy(rows) for key, rows in joint.items()})
    return EmbeddedSet(
        clip_ids=list(ids),
        captions=[caption_of[clip_id] for clip_id in ids],
        joint=average_rows({**joint, **_to_numpy(pairs)}, row_of),
        input=average_rows(input, row_of),
        nonempty={key: rows > 0 for key, rows in average_rows(nonempty, row_of).items()},
    )


def average_rows(arrays: Arrays, row_of: np.ndarray) -> Arrays:
    """Average rows i with the same `row_of[i]`: [n, D] to f32 [max(row_of) + 1, D]."""
    counts = np.bincount(row_of)
    averaged = {}
    for key, rows in arrays.items():
        sums = np.zeros((len(counts), *rows.shape[1:]), np.float32)
        np.add.at(sums, row_of, rows)
        averaged[key] = sums / counts.reshape(-1, *[1] * (rows.ndim - 1)).astype(np.float32)
    return averaged


def _to_numpy(tensors: Mapping[str, Tensor]) -> Arrays:
    return {key: (x if x.dtype == torch.bool else x.float()).cpu().numpy() for key, x in tensors.items()}


def _concatenate(batches: Sequence[Arrays]) -> Arrays:
    return {key: np.concatenate([batch[key] for batch in batches]) for key in batches[0]}


def _check_finite(clip_ids: Sequence[str], parts: Mapping[str, Arrays]) -> None:
    for part in ("joint", "input"):
        for key, rows in parts[part].items():
            broken = np.flatnonzero(~np.isfinite(rows).all(axis=1))
            if len(broken):
                raise InputError(
                    f"clip {clip_ids[broken[0]]}: {part} embedding {key} is not finite; "
                    "the training diverged: lower learning_rate and train again"
                )
