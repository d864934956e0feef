"""What settings say of corpora."""

from typing import Literal

Split = Literal["train", "validation", "test"]
