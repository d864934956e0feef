"""A part of a set of videos that depends on their ids alone."""

import hashlib
from collections.abc import Sequence


def part_of(videos: Sequence[str], share: float) -> list[str]:
    """Return a share of the videos, at least one, in their order.

    They are those with the smallest SHA-256 of their ids: no seed matters, and a larger share contains
    a smaller one.
    """
    count = max(1, round(share * len(videos)))
    chosen = set(sorted(videos, key=_hash)[:count])
    return [video for video in videos if video in chosen]


def _hash(video_id: str) -> str:
    return hashlib.sha256(video_id.encode()).hexdigest()
