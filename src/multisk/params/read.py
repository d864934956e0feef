"""Read params.yaml: whatever is wrong with it is one line."""

from pathlib import Path

from multisk.params.schema import Params
from multisk.settings import read_checked

PARAMS = Path("params.yaml")


def load_params(path: Path = PARAMS) -> Params:
    """Read and check a params file.

    Raises InputError with one line that names the file, the key and what to change.
    """
    return read_checked(path, Params, missing="multisk use NAME makes one of a profile")
