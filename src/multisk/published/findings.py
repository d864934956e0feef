"""What is odd in data from elsewhere: one line each, counted by kind."""

import logging
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from multisk.files import write_json

log = logging.getLogger(__name__)
SHOWN = 5  # lines per kind
KEPT = 10_000  # lines per kind; beyond that they are only counted


class Findings:
    """Lines that each name a file or row, what is wrong with it and what was done about it.

    Attributes:
        counts: how many things of each kind there are.
        lines: the lines of each kind, the first 10,000 of them.
    """

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.lines: dict[str, list[str]] = {}

    def add(self, kind: str, line: str) -> None:
        """Note one thing; `kind` is what it is counted under."""
        self.counts[kind] += 1
        lines = self.lines.setdefault(kind, [])
        if len(lines) < KEPT:
            lines.append(" ".join(line.split()))

    def save(self, folder: Path, usable: Mapping[str, int]) -> None:
        """Write findings.json, with how much is `usable`, and log the first few lines of each kind."""
        content = {"usable": dict(usable), "counts": dict(self.counts), "lines": self.lines}
        write_json(folder / "findings.json", content)
        for kind, lines in self.lines.items():
            for line in lines[:SHOWN]:
                log.warning("%s", line)
            if self.counts[kind] > SHOWN:
                log.warning("%d more %s: %s", self.counts[kind] - SHOWN, kind, folder / "findings.json")
