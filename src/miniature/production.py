"""What the three corpora have in common: narrated films, file names, tables of what was filmed."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from miniature.film import Film, Look, limited, pictures, scene_sound
from miniature.media import write_mp4
from miniature.narration import Sentence, speech_track
from miniature.settings import Miniature
from miniature.speech import RATE
from multisk.corpora.manifest import CLIP_COLUMNS, VIDEO_COLUMNS, Corpus, write_corpus, write_text

VERSION = 4  # of what is rendered from the same settings
SPEECH_LEVEL, ACTION_LEVEL, AMBIENCE_LEVEL = 0.7, 0.5, 0.15


def film_narrated(
    film: Film, look: Look, sentences: list[Sentence], settings: Miniature, folder: Path
) -> None:
    """Render a film with the scene's sound under the narrator's voice."""
    sound = scene_sound(film, ACTION_LEVEL, AMBIENCE_LEVEL) + SPEECH_LEVEL * speech_track(film, sentences)
    size, rate = (settings.width, settings.height), settings.frames_per_second
    write_mp4(video_path(folder, film), pictures(film, look, size, rate), rate, size, limited(sound), RATE)


def video_path(folder: Path, film: Film) -> Path:
    """Return where a film's file lies."""
    return folder / "videos" / f"{film.video_id}.mp4"


def write_captions(folder: Path, film: Film, lines: pd.DataFrame) -> None:
    """Write a transcript in HowTo100M's layout."""
    write_text(folder / "captions" / f"{film.video_id}.csv", lines.to_csv(index=False, lineterminator="\n"))


def source(settings: Miniature, sections: Sequence[str]) -> dict[str, Any]:
    """Return what decides about a corpus: the settings that it depends on, and the renderer's version."""
    common = ("kind", "seed", "width", "height", "frames_per_second")
    return {"version": VERSION, **settings.model_dump(mode="json", include={*common, *sections})}


def write_manifests(folder: Path, settings: Miniature, sections: Sequence[str], **tables: Any) -> Corpus:
    """Write a rendered corpus's manifests, with the settings that it came from."""
    return write_corpus(folder, source=source(settings, sections), **tables)


def write_captioned(
    folder: Path, settings: Miniature, sections: Sequence[str], films: Sequence[Film], **head: str
) -> Corpus:
    """Write the manifests of a corpus of captioned clips; `head` has its name and description."""
    return write_manifests(
        folder,
        settings,
        sections,
        role="captioned",
        videos=video_table(films),
        clips=clip_table(films),
        truth=truth_table(films),
        **head,
    )


def video_table(films: Sequence[Film]) -> pd.DataFrame:
    """Return videos.parquet's rows: the films that have a file."""
    rows = [
        (film.video_id, f"videos/{film.video_id}.mp4", film.split, film.seconds)
        for film in films
        if film.present
    ]
    return pd.DataFrame(rows, columns=list(VIDEO_COLUMNS))


def clip_table(films: Sequence[Film]) -> pd.DataFrame:
    """Return clips.parquet's rows: every shot that has a caption."""
    rows = []
    for film in films:
        shots = [shot for shot in film.shots if shot.captions]
        for number, shot in enumerate(shots):
            clip_id = film.video_id if len(film.shots) == 1 else f"{film.video_id}-{number}"
            rows.append((clip_id, film.video_id, shot.start, shot.end, film.split, list(shot.captions)))
    return pd.DataFrame(rows, columns=list(CLIP_COLUMNS))


def truth_table(films: Sequence[Film]) -> pd.DataFrame:
    """Return what is seen in the middle of each second: action (idle: none yet), thing, colour, place."""
    rows = [
        (
            film.video_id,
            second,
            "idle" if shot.idle else shot.step.action,
            shot.step.thing,
            shot.step.colour,
            film.place,
        )
        for film in films
        if film.present
        for second in range(int(np.ceil(film.seconds)))
        for shot in [next((shot for shot in film.shots if second + 0.5 < shot.end), film.shots[-1])]
    ]
    return pd.DataFrame(rows, columns=["video_id", "second", "action", "thing", "colour", "place"])
