"""One line of what preflight says."""

from dataclasses import dataclass
from typing import Literal

Status = Literal["ok", "note", "missing"]


@dataclass(frozen=True)
class Check:
    """Something that was looked at.

    part: what it belongs to: a corpus, the words, the machine, a method
    name: which property of it
    status: "missing" stops the pipeline; "note" does not, but should be known
    detail: what was found
    remedy: what to obtain, where to put it, which command takes it in; for what is missing
    """

    part: str
    name: str
    status: Status
    detail: str
    remedy: str = ""


def can_run(checks: list[Check]) -> bool:
    """Return whether nothing is missing."""
    return all(check.status != "missing" for check in checks)
