"""mini-youcook2: the close domain; new recipes in the same look, with written instructions."""

from pathlib import Path

import numpy as np

from miniature.film import NEAR, Film, Shot
from miniature.grammar import Cook, Recipe
from miniature.language import Wording
from miniature.narration import PLAIN, narrate
from miniature.production import film_narrated, write_captioned
from miniature.settings import Miniature
from multisk.corpora.manifest import Corpus

NAME = "mini-youcook2"
SECTIONS = ("youcook2",)
LEAD_SECONDS, CHAT = 1.5, 0.1  # the narrator keeps closer to what is seen than in mini-howto
PAUSE_SECONDS = (0.4, 2.0)
DESCRIPTION = "New recipes in the look of mini-howto; each step is a clip with a written instruction"


def plan(settings: Miniature) -> tuple[Film, ...]:
    """Return the films of the corpus; each step of a film is a clip."""
    films: list[Film] = []
    world = settings.youcook2
    for number, (split, count) in enumerate(
        (("train", world.train_videos), ("validation", world.validation_videos))
    ):
        rng = np.random.default_rng([settings.seed, 2, number])
        # A cook of its own for each split: a gallery is one split, and its clips should differ.
        cook, wording = Cook(rng), Wording(rng, PLAIN)
        for index in range(count):
            recipe = cook.recipe(world.clips_per_video)
            shots = _shots(recipe, world.clip_seconds, rng, wording)
            seed = (settings.seed, 2, number, index)
            name = f"youcook2-{split}-{index:04d}"
            films.append(Film(name, split, recipe.place, shots[-1].end, shots, seed))
    return tuple(films)


def _shots(
    recipe: Recipe, clip_seconds: tuple[float, float], rng: np.random.Generator, wording: Wording
) -> tuple[Shot, ...]:
    shots: list[Shot] = []
    time = 0.0
    for step in recipe.steps:
        begin = round(time + rng.uniform(*PAUSE_SECONDS), 2)
        end = round(begin + rng.uniform(*clip_seconds), 2)
        captions = (wording.imperative(step, recipe.place),)
        shots += [Shot(time, begin, step, idle=True), Shot(begin, end, step, captions=captions)]
        time = end
    return tuple(shots)


def produce(film: Film, settings: Miniature, folder: Path) -> None:
    """Render one film."""
    film_narrated(film, NEAR, narrate(film, LEAD_SECONDS, CHAT), settings, folder)


def finish(films: tuple[Film, ...], settings: Miniature, folder: Path) -> Corpus:
    """Write the manifests of the finished corpus."""
    return write_captioned(folder, settings, SECTIONS, films, name=NAME, description=DESCRIPTION)
