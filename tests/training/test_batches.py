from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from multisk.errors import InputError
from multisk.training.batches import TrainingBatches


class Numbers(torch.utils.data.Dataset[tuple[int, int]]):
    def __init__(self, items: int) -> None:
        self.items = items
        self.epoch = -1
        self.loaded = 0

    def __len__(self) -> int:
        return self.items

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __getitem__(self, index: int) -> tuple[int, int]:
        self.loaded += 1
        return self.epoch, index


def collate(items: list[Any]) -> dict[str, Any]:
    return {"items": items}


def batches(items: int, size: int, **options: Any) -> TrainingBatches:
    return TrainingBatches(Numbers(items), collate, batch_size=size, seed=5, **options)


def drawn(source: TrainingBatches, first: int, last: int) -> list[list[tuple[int, int]]]:
    return [[tuple(item) for item in batch["items"]] for batch in source.between(first, last)]


@settings(deadline=None, max_examples=30)
@given(items=st.integers(1, 30), size=st.integers(1, 30), epochs=st.integers(1, 3), data=st.data())
def test_starting_late_gives_the_same_batches_without_loading_earlier_ones(
    items: int, size: int, epochs: int, data: st.DataObject
) -> None:
    size = min(size, items)
    source = batches(items, size)
    last = epochs * source.per_epoch
    first = data.draw(st.integers(0, last))
    whole = drawn(source, 0, last)
    late = batches(items, size)
    assert drawn(late, first, last) == whole[first:]
    assert late.dataset.loaded == (last - first) * size  # type: ignore[attr-defined]


def test_an_epoch_shows_each_item_at_most_once_and_drops_less_than_a_batch() -> None:
    source = batches(23, 5)
    for epoch in range(3):
        seen = [item for batch in drawn(source, epoch * 4, epoch * 4 + 4) for item in batch]
        assert len(set(seen)) == len(seen) == 20
        assert {e for e, _ in seen} == {epoch}


def test_epochs_and_seeds_differ() -> None:
    source = batches(40, 40)
    first, second = drawn(source, 0, 2)
    assert [i for _, i in first] != [i for _, i in second]
    other = TrainingBatches(Numbers(40), collate, batch_size=40, seed=6)
    assert drawn(other, 0, 1)[0] != first


def test_processes_share_the_batch_that_one_process_would_see() -> None:
    whole = drawn(batches(23, 6), 0, 6)
    parts = [drawn(batches(23, 6, rank=rank, processes=3), 0, 6) for rank in range(3)]
    assert [[item for part in step for item in part] for step in zip(*parts, strict=True)] == whole


@pytest.mark.parametrize("workers", [1, 2])
def test_workers_change_nothing_and_learn_of_each_epoch(workers: int) -> None:
    assert drawn(batches(12, 4, workers=workers), 1, 8) == drawn(batches(12, 4), 1, 8)


def test_the_global_random_generator_is_left_alone() -> None:
    before = torch.get_rng_state()
    drawn(batches(12, 4), 0, 6)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_batch_larger_than_the_dataset_is_refused() -> None:
    with pytest.raises(InputError, match=r"params\.yaml: batch_size: 8 is more than the 7 items"):
        batches(7, 8)


def test_a_batch_that_cannot_be_shared_is_refused() -> None:
    with pytest.raises(InputError, match="multiple of 3"):
        batches(23, 8, processes=3)
