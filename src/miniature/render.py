"""Renders the three miniature corpora: in several processes, resumable, always the same files."""

import json
import shutil
import signal
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path
from types import ModuleType

from tqdm import tqdm

from miniature import howto, msrvtt, youcook2
from miniature.film import Film
from miniature.production import source, video_path
from miniature.settings import Miniature
from multisk.corpora.manifest import Corpus, write_text
from multisk.errors import InputError, one_line
from multisk.side_by_side import end_with_parent

CORPORA: dict[str, ModuleType] = {"howto": howto, "youcook2": youcook2, "msrvtt": msrvtt}
STAMP = "rendering.json"


def render_miniature(settings: Miniature, out: Path) -> None:
    """Render mini-howto, mini-youcook2 and mini-msrvtt into folders of these names below `out`.

    Videos that are already there, from the same settings, are kept; those of other settings are replaced.
    Raises InputError when `out` cannot be written.
    """
    for name, corpus in CORPORA.items():
        render_corpus(settings, name, out / corpus.NAME)


def render_corpus(settings: Miniature, name: str, folder: Path) -> None:
    """Render one of howto, youcook2 and msrvtt into `folder`, as `render_miniature` does."""
    if name not in CORPORA:
        raise InputError(f"corpora: {name!r} is not one of {', '.join(CORPORA)}")
    corpus = CORPORA[name]
    films = corpus.plan(settings)
    with _disk_errors(folder):
        _prepare(folder, json.dumps(source(settings, corpus.SECTIONS), indent=2))
        todo = [film for film in films if film.present and not _done(film, folder)]
        _produce(name, todo, settings, folder)
        _finish(corpus, films, settings, folder)


def _prepare(folder: Path, stamp: str) -> None:
    """Make an empty folder, or keep one that was begun with the same settings."""
    path = folder / STAMP
    if path.exists() and path.read_text() != stamp:
        for name in ("videos", "captions"):
            shutil.rmtree(folder / name, ignore_errors=True)
        for manifest in (*folder.glob("*.parquet"), folder / "corpus.json", path):
            manifest.unlink(missing_ok=True)
    elif not path.exists() and folder.exists() and any(folder.iterdir()):
        raise InputError(f"{folder}: holds files that were not rendered here; move them or render elsewhere")
    (folder / "videos").mkdir(parents=True, exist_ok=True)
    write_text(path, stamp)


def _done(film: Film, folder: Path) -> bool:
    # A film's transcript is written before its video, so the video vouches for both.
    return video_path(folder, film).exists()


def _produce(name: str, todo: list[Film], settings: Miniature, folder: Path) -> None:
    if not todo:
        return
    pool = ProcessPoolExecutor(
        min(settings.workers, len(todo)), mp_context=get_context("spawn"), initializer=_begin_worker
    )
    progress = tqdm(total=len(todo), desc=CORPORA[name].NAME, unit="video", disable=None)
    try:
        futures: list[Future[None]] = [
            pool.submit(_produce_one, name, film, settings, folder) for film in todo
        ]
        for future in as_completed(futures):
            future.result()
            progress.update()
    finally:
        pool.shutdown(cancel_futures=True)
        progress.close()


def _produce_one(name: str, film: Film, settings: Miniature, folder: Path) -> None:
    # Caught here: the decoder library's errors do not survive the way back to the parent process.
    with _disk_errors(folder):
        CORPORA[name].produce(film, settings, folder)


def _finish(corpus: ModuleType, films: tuple[Film, ...], settings: Miniature, folder: Path) -> None:
    if (folder / "corpus.json").exists():
        Corpus.open(folder)
    else:
        corpus.finish(films, settings, folder)


def _begin_worker() -> None:
    """Leave Ctrl-C to the parent, and end when the parent does, even if it was killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    end_with_parent()


@contextmanager
def _disk_errors(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = error.strerror or one_line(error)
        raise InputError(
            f"{error.filename or folder}: {reason}; make room or choose another folder"
        ) from None
