"""Retrieval against recorded similarities and metrics.

The release names a segment that shall not count "-1" and drops it when it averages; here such segments
are never embedded, so the tests leave these rows out beforehand.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import Dataset

from multisk.evaluation.embed import EmbeddedSet, embed, merge
from multisk.evaluation.ranking import metrics_of, query_ranks
from multisk.evaluation.retrieval import retrieve, similarity
from multisk.models.release import from_release
from multisk.sampling.collate import Item, collate_videos

TENSORS = ("text", "text_mask", "video", "video_mask", "audio", "audio_mask")
TIES = {"averaging": "mean", "optimistically": "best"}


def load(case: Path) -> Any:
    return torch.load(case, weights_only=True)


def check_metrics(metrics: dict[str, float], recorded: dict[str, float]) -> None:
    named = {key.replace("geometric_mean_R1-R5-R10", "GeoMean"): value for key, value in recorded.items()}
    assert metrics == pytest.approx(named)


def complete(size: int) -> int | None:
    return None if size == -1 else size


@pytest.mark.recorded("F_retrieval", "metrics.pt")
def test_metrics_of_similarities(case: Path) -> None:
    for row in load(case)["cases"]:
        ranks = query_ranks(row["sims"].numpy(), ties=TIES[row["break_ties"]])  # type: ignore[arg-type]
        check_metrics(metrics_of(ranks, complete(row["complete_dataset_size"])), row["metrics"])


@pytest.mark.recorded("F_retrieval", "metrics.pt")
def test_metrics_of_ranks(case: Path) -> None:
    recorded = load(case)
    for key in recorded:
        if key.startswith("cols2metrics_nq"):
            size = int(key.removeprefix("cols2metrics_nq"))
            check_metrics(metrics_of(recorded["cols"].numpy() + 1, size), recorded[key])


@pytest.mark.recorded("F_retrieval", "average_embeddings.pt")
def test_average_of_equal_ids(case: Path) -> None:
    for row in load(case):
        kept = [index for index, key in enumerate(row["ids"]) if key != "-1"]
        ids = [row["ids"][index] for index in kept]
        embeds = {key: rows[kept].numpy() for key, rows in row["embeds"].items()}
        merged = merge(ids, ids, embeds, {}, {})
        if len(set(row["ids"])) < len(row["ids"]):
            assert merged.clip_ids == [key for key in row["sorted_unique_ids"] if key != "-1"]
        else:
            assert merged.clip_ids == ids
        for key, rows in row["out"].items():
            torch.testing.assert_close(torch.from_numpy(merged.joint[key]), rows, rtol=1e-4, atol=1e-5)


class Recorded(Dataset[Item]):
    """The recorded clips that count, one by one."""

    def __init__(self, inputs: dict[str, torch.Tensor], ids: list[str]) -> None:
        self.inputs, self.ids = inputs, ids
        self.kept = [index for index, key in enumerate(ids) if key != "-1"]

    def __len__(self) -> int:
        return len(self.kept)

    def __getitem__(self, index: int) -> Item:
        row = self.kept[index]
        clip: Item = {key: self.inputs[key][row : row + 1] for key in TENSORS}
        clip.update({key: value.bool() for key, value in clip.items() if key.endswith("_mask")})
        return {**clip, "clip_id": [self.ids[row]], "caption": [""]}


@pytest.mark.recorded("F_retrieval", "eval_*.pt")
def test_similarities_and_metrics_of_a_model(case: Path) -> None:
    recorded = load(case)
    config = recorded["config"]
    model, _ = from_release(recorded["state_dict"], config)
    embedded = embed(model, Recorded(recorded["inputs"], recorded["ids"]), config["batch_size"])
    for direction, sims in recorded["sims"].items():
        check_similarities(embedded, direction, sims)
    found = retrieve(embedded, complete(config["complete_dataset_size"])).metrics
    expected = {key.removesuffix("_metrics"): row for key, row in recorded["metrics"].items() if row}
    assert set(found) == set(expected)
    for direction, row in expected.items():
        check_metrics(found[direction], row)


def check_similarities(embedded: EmbeddedSet, direction: str, sims: torch.Tensor) -> None:
    query, _, answer = direction.partition("2")
    ours = similarity(embedded.joint[query], embedded.joint[answer])
    torch.testing.assert_close(torch.from_numpy(ours), sims, rtol=1e-4, atol=1e-5)


@pytest.mark.recorded("F_retrieval", "format_dataloader_output.pt")
def test_batches_of_videos(case: Path) -> None:
    recorded = load(case)
    inputs = recorded["inputs"]
    videos = len(inputs["video"])
    texts = np.array(inputs["raw_text"]).T.tolist()
    ids = np.array(inputs["meta"]["ids"]).T.tolist()
    batch = collate_videos(
        [
            {**{key: inputs[key][index] for key in TENSORS}, "caption": texts[index], "clip_id": ids[index]}
            for index in range(videos)
        ]
    )
    for flattened in (recorded["out_msk"], recorded["out_eao"]):
        for key in TENSORS:
            torch.testing.assert_close(batch[key], flattened[key], rtol=0, atol=0)
        assert batch["caption"] == flattened["raw_text"]
        assert batch["clip_id"] == flattened["meta"]["ids"]
