import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from multisk.errors import InputError
from multisk.models.weights import load_weights


def test_weights_come_back(tmp_path):
    saved, loaded = nn.Linear(3, 2), nn.Linear(3, 2)
    save_file(saved.state_dict(), tmp_path / "w.safetensors")
    load_weights(loaded, tmp_path / "w.safetensors")
    torch.testing.assert_close(loaded.weight, saved.weight, rtol=0, atol=0)


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (nn.Linear(4, 2), r"weight is \(2, 4\), expected \(2, 3\)"),
        (nn.Linear(3, 2, bias=False), r"bias is missing, expected \(2,\)"),
    ],
)
def test_weights_of_another_model_are_refused(tmp_path, other, message):
    save_file(other.state_dict(), tmp_path / "w.safetensors")
    with pytest.raises(InputError, match=message):
        load_weights(nn.Linear(3, 2), tmp_path / "w.safetensors")


def test_missing_and_damaged_files_are_named(tmp_path):
    path = tmp_path / "w.safetensors"
    with pytest.raises(InputError, match=r"w\.safetensors: no such weights"):
        load_weights(nn.Linear(3, 2), path)
    path.write_bytes(b"no weights")
    with pytest.raises(InputError, match=r"w\.safetensors: damaged"):
        load_weights(nn.Linear(3, 2), path)
