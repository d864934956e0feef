"""Which direction of retrieval stands for a method where one number is shown, sought or compared."""

from collections.abc import Iterable

HEADLINE = ("t2va", "t2v+a", "t2v")  # text -> video+audio: fused, else averaged; else video alone


def headline(directions: Iterable[str]) -> str:
    """Return the first of HEADLINE among a method's directions; raise ValueError if none is there."""
    found = set(directions)
    for direction in HEADLINE:
        if direction in found:
            return direction
    raise ValueError(f"directions: one of {', '.join(HEADLINE)} is needed, found {sorted(found)}")
