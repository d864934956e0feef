"""One frame of a video as a small picture, for people."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from PIL.Image import Image

WIDTH = 192  # of a thumbnail, at most, in pixels
QUALITY = 80  # of its JPEG


def thumbnail(path: Path, second: float) -> "Image | None":
    """Return the frame shown at `second`, at most WIDTH pixels wide, or None where nothing can be decoded."""
    import av

    try:
        with av.open(str(path)) as container:
            picture = _frame_at(container, second)
    except (OSError, IndexError, ValueError, av.FFmpegError):
        return None
    if picture is not None:
        picture.thumbnail((WIDTH, WIDTH))
    return picture


def _frame_at(container: Any, second: float) -> "Image | None":
    stream = container.streams.video[0]
    first = stream.start_time or 0
    container.seek(first + int(second / stream.time_base), stream=stream)
    shown, wanted = None, float(first * stream.time_base) + second
    for frame in container.decode(stream):
        if shown is not None and frame.time > wanted + 1e-6:
            break
        shown = frame
    return None if shown is None else shown.to_image().rotate(shown.rotation, expand=True)
