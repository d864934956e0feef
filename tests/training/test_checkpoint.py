import random
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from multisk.errors import InputError
from multisk.training.checkpoint import (
    flat_settings,
    load_checkpoint,
    random_state,
    refuse_other_settings,
    save_checkpoint,
    saving,
    set_random_state,
)


def state(step: int = 1) -> dict[str, object]:
    return {
        "step": step,
        "settings": {"seed": 0},
        "random": [],
        "objective": {"w": torch.full((4096,), float(step))},
    }


@contextmanager
def file_size_limit(size: int) -> Iterator[None]:
    """Let every write beyond `size` bytes of a file fail, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "c.pt", state(3))
    loaded = load_checkpoint(tmp_path / "c.pt")
    assert loaded["step"] == 3
    assert torch.equal(loaded["objective"]["w"], torch.full((4096,), 3.0))
    assert [path.name for path in tmp_path.iterdir()] == ["c.pt"]


def test_a_full_disk_leaves_the_earlier_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "c.pt"
    save_checkpoint(path, state(1))
    with file_size_limit(2048), pytest.raises(InputError, match=r"c\.pt: cannot be written") as caught:
        save_checkpoint(path, state(2))
    assert "\n" not in str(caught.value)
    assert load_checkpoint(path)["step"] == 1
    assert [path.name for path in tmp_path.iterdir()] == ["c.pt"]


def test_a_full_disk_while_weights_are_written_is_one_line(tmp_path: Path) -> None:
    with (
        file_size_limit(2048),
        pytest.raises(InputError, match=r"w\.safetensors: cannot be written"),
        saving(tmp_path / "w.safetensors") as temporary,
    ):
        save_file({"w": torch.zeros(4096)}, temporary)
    assert list(tmp_path.iterdir()) == []


def test_a_missing_folder_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"c\.pt: cannot be written \(No such file or directory\)"):
        save_checkpoint(tmp_path / "absent" / "c.pt", state())


@pytest.mark.parametrize("kept", [0, 1, 100, 9000, -1])
def test_a_truncated_file_is_one_line(tmp_path: Path, kept: int) -> None:
    path = tmp_path / "c.pt"
    save_checkpoint(path, state())
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(
        InputError, match=r"c\.pt: no whole checkpoint .*; delete it to start afresh"
    ) as caught:
        load_checkpoint(path)
    assert "\n" not in str(caught.value)


def test_a_flipped_bit_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "c.pt"
    save_checkpoint(path, state())
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"no whole checkpoint .*checksum"):
        load_checkpoint(path)


@pytest.mark.parametrize("content", [[1, 2], 3, {"step": 1}])
def test_another_file_is_refused(tmp_path: Path, content: object) -> None:
    torch.save(content, tmp_path / "c.pt")
    with pytest.raises(InputError, match="no whole checkpoint"):
        load_checkpoint(tmp_path / "c.pt")


def test_foreign_objects_are_not_unpickled(tmp_path: Path) -> None:
    torch.save({**state(), "path": tmp_path}, tmp_path / "c.pt")
    with pytest.raises(InputError, match="no whole checkpoint"):
        load_checkpoint(tmp_path / "c.pt")


def test_settings_are_compared_key_by_key() -> None:
    then = flat_settings({"seed": 1, "sspc": {"queue": 5, "anchors": {"count": 4}}, "range": (1, 2)})
    assert then == {"seed": 1, "sspc.queue": 5, "sspc.anchors.count": 4, "range": [1, 2]}
    refuse_other_settings(Path("run/c.pt"), then, dict(then))
    with pytest.raises(InputError, match=r"run/c\.pt: was trained with sspc\.queue = 5, .* now say 6"):
        refuse_other_settings(Path("run/c.pt"), then, {**then, "sspc.queue": 6})
    with pytest.raises(InputError, match=r"extra = absent, .* now say 1"):
        refuse_other_settings(Path("run/c.pt"), then, {**then, "extra": 1})


def test_random_generators_go_on_where_they_were(tmp_path: Path) -> None:
    def draw() -> tuple[float, float, float, float]:
        return random.random(), np.random.rand(), np.random.randn(), float(torch.rand(()))

    draw()
    save_checkpoint(tmp_path / "c.pt", {**state(), "random": random_state()})
    expected = draw()
    draw()
    set_random_state(load_checkpoint(tmp_path / "c.pt")["random"])
    assert draw() == expected
