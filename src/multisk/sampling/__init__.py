"""Features and texts -> clips: what one training or evaluation example is (paper: inputs)."""

from multisk.sampling.captioned import CaptionedClips
from multisk.sampling.collate import collate_clips, collate_videos
from multisk.sampling.narrated import NarratedClips

__all__ = ["CaptionedClips", "NarratedClips", "collate_clips", "collate_videos"]
