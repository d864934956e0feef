"""The memory of features: order, length, what it keeps."""

import torch

from multisk.losses import FeatureQueue


def test_newest_rows_come_last_and_the_oldest_leave() -> None:
    queue = FeatureQueue(5, 2)
    for number in range(1, 5):
        queue.push(torch.full((2, 2), float(number)))
    assert queue.features[:, 0].tolist() == [2, 3, 3, 4, 4]


def test_a_batch_as_long_as_the_queue_replaces_it() -> None:
    queue, batch = FeatureQueue(3, 2), torch.randn(3, 2)
    queue.push(batch)
    assert torch.equal(queue.features, batch)


def test_no_gradient_and_no_memory_is_shared_with_the_batch() -> None:
    queue, batch = FeatureQueue(3, 2), torch.ones(2, 2, requires_grad=True)
    queue.push(batch)
    with torch.no_grad():
        batch.zero_()
    assert not queue.features.requires_grad
    assert (queue.features[1:] == 1).all()


def test_the_buffer_stays_the_same_object() -> None:
    queue = FeatureQueue(3, 2)
    buffer = queue.features
    queue.push(torch.randn(2, 2))
    assert queue.features is buffer
    assert not list(queue.parameters())
