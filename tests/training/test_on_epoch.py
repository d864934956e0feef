"""The hook at an epoch's end: when it is called, and what it may do."""

import pytest
import torch
from safetensors.torch import load_file


class StopError(Exception):
    """What a hook may end a run with."""


def train(tiny, directory, on_epoch=None, **changes):
    return tiny.train(
        tiny.objective(),
        tiny.Clips(),
        tiny.collate,
        tiny.settings(**changes),
        directory,
        tiny.Log(),
        seed=3,
        on_epoch=on_epoch,
    )


def test_it_is_called_at_each_epochs_end_with_model_and_average(tiny, tmp_path):
    seen = []

    def hook(epoch, model, average):
        seen.append((epoch, model.training, [p.detach().clone() for p in (*model.parameters(),)]))
        assert len(list(average.parameters())) == len(list(model.parameters()))
        model.eval()

    train(tiny, tmp_path, hook)
    assert [epoch for epoch, *_ in seen] == [1, 2, 3, 4]
    assert all(training for _, training, _ in seen), "the model was left in evaluation mode"
    last = load_file(tmp_path / "model.safetensors")
    assert any(
        torch.equal(seen[-1][2][0], tensor)
        for tensor in last.values()
        if tensor.shape == seen[-1][2][0].shape
    )


def test_what_it_raises_ends_the_run_which_goes_on_from_its_checkpoint(tiny, tmp_path):
    def stop(epoch, model, average):
        if epoch == 2:
            raise StopError

    with pytest.raises(StopError):
        train(tiny, tmp_path / "stopped", stop, checkpoint_steps=5)
    assert not (tmp_path / "stopped" / "training.json").exists()
    epochs = []
    train(tiny, tmp_path / "stopped", lambda *called: epochs.append(called[0]), checkpoint_steps=5)
    assert epochs == [2, 3, 4]
    train(tiny, tmp_path / "whole")
    ends = [load_file(tmp_path / name / "model.safetensors") for name in ("stopped", "whole")]
    assert all(torch.equal(ends[0][key], ends[1][key]) for key in ends[1])


def test_a_finished_run_calls_it_no_more(tiny, tmp_path):
    train(tiny, tmp_path)
    train(tiny, tmp_path, lambda *_: pytest.fail("called"))


def test_frozen_batch_norm_stays_frozen(tiny, tmp_path):
    modes = []

    def hook(epoch, model, average):
        modes.extend(m.training for m in model.modules() if "BatchNorm" in type(m).__name__)
        model.train()

    train(tiny, tmp_path, hook, freeze_batch_norm=True)
    assert modes
    assert not any(modes)
