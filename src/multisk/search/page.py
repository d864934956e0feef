"""What a search found, as a page whose pictures play the clips."""

import base64
import io
import os
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pandas as pd
from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from multisk.features.thumbnail import QUALITY, thumbnail
from multisk.files import write_text


@dataclass(frozen=True)
class Card:
    """A clip that was found; without `picture` its middle frame could not be decoded."""

    place: int
    name: str
    link: str  # relative to the page, with the segment as its fragment
    start: float
    end: float
    score: str
    picture: str | None
    width: int
    height: int

    @property
    def span(self) -> str:
        """Start and end as people write them."""
        return f"{clock(self.start)}–{clock(self.end)}"


def write_search_page(found: pd.DataFrame, query: str, out: Path | str, *, videos: Path | str = "") -> None:
    """Write one HTML file that shows the clips of a search and plays them where they lie.

    Args:
        found: file, start, end, score, as searching returns them.
        query: what was searched for, in words.
        out: the page. It links to the videos by relative paths: move both together.
        videos: folder that the shown names are relative to; file names alone if not given.

    Pictures, style and script are inside the page.
    """
    out = Path(out)
    cards = [_card(place, row, out, videos) for place, row in enumerate(found.to_dict("records"), start=1)]
    files = resources.files(__package__)
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    template = environment.from_string(files.joinpath("gallery.html").read_text(encoding="utf-8"))
    style = resources.files("multisk.reporting").joinpath("style.css").read_text(encoding="utf-8")
    write_text(out, template.render(query=query, cards=cards, css=Markup(style)))


def clock(seconds: float) -> str:
    """Write seconds as m:ss, or h:mm:ss from an hour on."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _card(place: int, row: dict[Any, Any], out: Path, videos: Path | str) -> Card:
    path, start, end = Path(row["file"]).resolve(), float(row["start"]), float(row["end"])
    frame = thumbnail(path, (start + end) / 2)
    width, height = frame.size if frame else (0, 0)
    return Card(
        place=place,
        name=_name(path, videos),
        link=f"{_link(path, out)}#t={start:g},{end:g}",
        start=start,
        end=end,
        score=f"{row['score']:.3f}",
        picture=_data_uri(frame) if frame else None,
        width=width,
        height=height,
    )


def _name(path: Path, videos: Path | str) -> str:
    root = Path(videos).resolve()
    return str(path.relative_to(root)) if videos and path.is_relative_to(root) else path.name


def _link(path: Path, out: Path) -> str:
    """Return a relative URL; a colon in a file's name must not make it look like a scheme."""
    return quote(os.fsencode(os.path.relpath(path, out.resolve().parent)))


def _data_uri(picture: Any) -> str:
    buffer = io.BytesIO()
    picture.convert("RGB").save(buffer, format="JPEG", quality=QUALITY)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()
