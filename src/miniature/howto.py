"""mini-howto: narrated videos for pretraining; the narrator is early, late, or elsewhere."""

from pathlib import Path

import numpy as np
import pandas as pd

from miniature.film import NEAR, Film, Shot
from miniature.grammar import Cook
from miniature.narration import narrate, recognise, transcript
from miniature.production import (
    film_narrated,
    truth_table,
    video_table,
    write_captions,
    write_manifests,
)
from miniature.settings import Miniature
from multisk.corpora.manifest import Corpus

NAME = "mini-howto"
SECTIONS = ("howto",)
STEP_SECONDS = 6.5  # about as long as a step and the pause before it
PAUSE_SECONDS = (0.3, 1.2)
DESCRIPTION = "Recipes filmed in one look, with a narrator and what a speech recogniser hears of her"


def plan(settings: Miniature) -> tuple[Film, ...]:
    """Return the films of the corpus."""
    rng = np.random.default_rng([settings.seed, 1])
    cook = Cook(rng)
    films = []
    for number in range(settings.howto.videos):
        seconds = round(rng.uniform(*settings.howto.seconds), 2)
        recipe = cook.recipe(max(round(seconds / STEP_SECONDS), 1))
        shots: list[Shot] = []
        ends = np.cumsum(rng.uniform(0.7, 1.3, len(recipe.steps)))
        time = 0.0
        for step, end in zip(recipe.steps, np.round(ends / ends[-1] * seconds, 2), strict=True):
            begin = round(time + min(rng.uniform(*PAUSE_SECONDS), 0.3 * (end - time)), 2)
            shots += [Shot(time, begin, step, idle=True), Shot(begin, float(end), step)]
            time = float(end)
        seed = (settings.seed, 1, number)
        films.append(Film(f"howto-{number:04d}", "train", recipe.place, seconds, tuple(shots), seed))
    return tuple(films)


def produce(film: Film, settings: Miniature, folder: Path) -> None:
    """Render one film and write its transcript."""
    sentences = narrate(film, settings.howto.lead_seconds, settings.howto.chat)
    words = recognise(film, sentences, settings.howto)
    write_captions(folder, film, transcript(film, words))
    film_narrated(film, NEAR, sentences, settings, folder)


def finish(films: tuple[Film, ...], settings: Miniature, folder: Path) -> Corpus:
    """Write the manifests of the finished corpus."""
    captions = {
        film.video_id: pd.read_csv(folder / "captions" / f"{film.video_id}.csv", keep_default_na=False)
        for film in films
    }
    return write_manifests(
        folder,
        settings,
        SECTIONS,
        name=NAME,
        role="narrated",
        description=DESCRIPTION,
        videos=video_table(films),
        captions=captions,
        truth=truth_table(films),
    )
