"""Commands for one's own videos: index them, search them."""

from pathlib import Path
from typing import Annotated

import typer

from multisk.errors import InputError
from multisk.layout import Layout

EXTRACTORS, WORDS = Layout().extractors, Layout().words


def index(
    videos: Annotated[Path, typer.Argument(help="folder of video files")],
    model: Annotated[Path, typer.Option(help="run folder, weights or imported checkpoint")],
    out: Annotated[Path, typer.Option(help="folder of the index")] = Path("index"),
    extractors: Annotated[Path, typer.Option()] = EXTRACTORS,
    words: Annotated[Path, typer.Option()] = WORDS,
    seconds: Annotated[float | None, typer.Option(help="length of clips; default: as in pretraining")] = None,
) -> None:
    """Extract, embed and index all videos below a folder.

    Makes the extractors and the words of params.yaml first where there are none and no corpus is needed.
    """
    from multisk.methods.trained import find_weights
    from multisk.params import load_params
    from multisk.pipeline.extractors import make_missing_extractors
    from multisk.pipeline.words import make_missing_words
    from multisk.search.index import check_places, check_seconds, index_videos

    params = load_params()
    # Whatever is wrong with the question is said before minutes of work.
    check_places(videos, out)
    check_seconds(seconds)
    find_weights(model)
    if extractors == EXTRACTORS:
        make_missing_extractors(params, Layout())
    if words == WORDS:
        make_missing_words(params, Layout())
    made = index_videos(videos, model, extractors, words, params, out, seconds=seconds)
    typer.echo(f"{out}: {len(made.clips)} clips")


def search(
    text: Annotated[str | None, typer.Argument(help="what to look for, in words")] = None,
    audio: Annotated[Path | None, typer.Option(help="or a file to listen to")] = None,
    clip: Annotated[Path | None, typer.Option(help="or a video to resemble")] = None,
    start: Annotated[float, typer.Option(min=0, help="second of the file to begin at")] = 0,
    top: Annotated[int, typer.Option(min=1, help="clips to show")] = 10,
    index: Annotated[Path, typer.Option(help="folder of the index")] = Path("index"),
    html: Annotated[Path | None, typer.Option(help="also write a page with players")] = None,
) -> None:
    """Find clips by text, by sound or by example."""
    from multisk.search.page import write_search_page
    from multisk.search.search import Searcher
    from multisk.search.search import search as ask

    if html is not None and html.is_dir():
        raise InputError(f"{html}: is a folder; name the page's file with --html")
    searcher = Searcher.open(index)
    found = ask(searcher, text=text, audio=audio, clip=clip, start=start, top=top)
    typer.echo(found.assign(file=[_short(file) for file in found["file"]]).round(3).to_string(index=False))
    if html is not None:
        write_search_page(found, text or str(audio or clip), html, videos=searcher.index.made.videos)
        typer.echo(f"{html}: written")


def _short(file: str) -> str:
    """Write a path below the current folder as people would."""
    path = Path(file)
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else file
