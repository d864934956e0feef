"""mini-msrvtt: the far domain; another look, music for narration, captions by people who watch."""

from pathlib import Path

import numpy as np

from miniature.film import FAR, Film, Shot, limited, pictures, scene_sound
from miniature.grammar import Cook
from miniature.language import Wording
from miniature.media import write_mp4
from miniature.production import video_path, write_captioned
from miniature.settings import Miniature
from miniature.sounds import looped, music
from miniature.speech import RATE
from multisk.corpora.manifest import Corpus

NAME = "mini-msrvtt"
SECTIONS = ("msrvtt",)
PLAIN = 0.5  # people who watch choose other words than people who do
ACTION_LEVEL, AMBIENCE_LEVEL, MUSIC_LEVEL = 0.7, 0.5, 1.2
DESCRIPTION = "Single steps in another look, with music and ambience for narration and third-person captions"


def plan(settings: Miniature) -> tuple[Film, ...]:
    """Return the films of the corpus; each is one clip."""
    world = settings.msrvtt
    splits = (("train", world.train_clips, world.captions_per_train_clip), ("test", world.test_clips, 1))
    films: list[Film] = []
    for number, (split, count, captions) in enumerate(splits):
        rng = np.random.default_rng([settings.seed, 3, number])
        cook, wording = Cook(rng), Wording(rng, PLAIN)
        missing = _drawn(rng, count, world.missing if split == "test" else 0)
        silent = _drawn(rng, count, world.without_audio)
        for index in range(count):
            recipe = cook.recipe(1)
            seconds = round(rng.uniform(*world.clip_seconds), 2)
            texts = tuple(wording.observed(recipe.steps[0], recipe.place) for _ in range(captions))
            films.append(
                Film(
                    f"msrvtt-{split}-{index:04d}",
                    split,
                    recipe.place,
                    seconds,
                    (Shot(0.0, seconds, recipe.steps[0], captions=texts),),
                    (settings.seed, 3, number, index),
                    audible=index not in silent,
                    present=index not in missing,
                )
            )
    return tuple(films)


def _drawn(rng: np.random.Generator, count: int, share: float) -> set[int]:
    return set(rng.permutation(count)[: round(share * count)].tolist())


def produce(film: Film, settings: Miniature, folder: Path) -> None:
    """Render one film: wide, at few frames a second, with music."""
    size, rate = picture_size(settings), frames_per_second(settings)
    sound = limited(_sound(film)) if film.audible else None
    write_mp4(video_path(folder, film), pictures(film, FAR, size, rate), rate, size, sound, RATE)


def picture_size(settings: Miniature) -> tuple[int, int]:
    """Return width and height: 16:9 instead of the other corpora's 4:3, at the same width."""
    return settings.width, max(round(settings.width * 9 / 32) * 2, 18)


def frames_per_second(settings: Miniature) -> int:
    """Return the frame rate: five sixths of the other corpora's."""
    return max(round(settings.frames_per_second * 5 / 6), 1)


def _sound(film: Film) -> np.ndarray:
    rng = film.generator(5)
    tune = music(int(rng.integers(12)), int(rng.choice([150, 180, 220])), int(rng.integers(3)))
    scene = scene_sound(film, ACTION_LEVEL, AMBIENCE_LEVEL)
    return scene + MUSIC_LEVEL * rng.uniform(0.7, 1.2) * looped(
        tune, len(scene), int(rng.integers(len(tune)))
    )


def finish(films: tuple[Film, ...], settings: Miniature, folder: Path) -> Corpus:
    """Write the manifests of the finished corpus."""
    return write_captioned(folder, settings, SECTIONS, films, name=NAME, description=DESCRIPTION)
