"""The command that turns registered videos into features."""

from typing import Annotated

import typer

from multisk.layout import Layout


def extract(
    corpora: Annotated[list[str], typer.Argument(help="corpora below data/corpora, by name")],
    retry: Annotated[bool, typer.Option("--retry", help="read only the files again that failed")] = False,
) -> None:
    """Extract the features of corpora that `multisk videos` registered.

    Uses the networks in data/extractors, which are made first where there are none. Can be stopped at any
    moment: the same command goes on where it was.
    """
    from multisk.params import load_params
    from multisk.pipeline.features import extract_corpus

    params = load_params()
    for corpus in corpora:
        typer.echo(extract_corpus(params, Layout(), corpus, retry=retry))
