"""Commands that read what was published: features, checkpoints, archives, annotations."""

from collections.abc import Callable
from contextlib import suppress
from inspect import Parameter, Signature
from pathlib import Path
from typing import Annotated

import typer

from multisk.benchmarks.definition import FOLDER, Definition, Videos
from multisk.errors import InputError
from multisk.layout import Layout
from multisk.settings import read_checked

import_app = typer.Typer(help="Take in published features.", no_args_is_help=True)
videos_app = typer.Typer(help="Register videos on disk as a corpus of a benchmark.", no_args_is_help=True)

File = Annotated[Path | None, typer.Option()]
Replace = Annotated[bool, typer.Option("--replace", help="drop a corpus of other files, and its features")]


@import_app.command("msrvtt")
def import_msrvtt(
    train: File = None, test: File = None, test_list: File = None, replace: Replace = False
) -> None:
    """Import the released MSR-VTT pickles into data/."""
    from multisk.pipeline import importing

    layout = Layout()
    corpus, features = layout.corpus("msrvtt"), layout.features("msrvtt")
    imported = importing.import_msrvtt(
        corpus, features, train=train, test=test, test_list=test_list, replace=replace
    )
    typer.echo(imported)


@import_app.command("youcook2")
def import_youcook2(train: File = None, validation: File = None, replace: Replace = False) -> None:
    """Import the released YouCook2 pickles into data/."""
    from multisk.pipeline import importing

    layout = Layout()
    corpus, features = layout.corpus("youcook2"), layout.features("youcook2")
    imported = importing.import_youcook2(
        corpus, features, train=train, validation=validation, replace=replace
    )
    typer.echo(imported)


@import_app.command("howto100m")
def import_howto100m(
    listing: Annotated[Path, typer.Option("--list", help="csv with the column path")],
    captions: Annotated[Path, typer.Option(help="caption.pickle, caption.json or a folder of csv files")],
    features: Annotated[Path, typer.Option(help="folder of the _2d.npz files")],
    features_3d: Annotated[Path | None, typer.Option(help="of _3d.npz; default: as --features")] = None,
    features_audio: Annotated[Path | None, typer.Option(help="of _spec.npz; default: as --features")] = None,
    pack: Annotated[bool, typer.Option(help="copy into few shards, in half precision")] = False,
    check_values: Annotated[bool, typer.Option(help="read all values once, not the headers alone")] = False,
    replace: Replace = False,
) -> None:
    """Import the HowTo100M tree: its features are used where they lie, unless packed."""
    from multisk.features.howto_tree import HowtoTree
    from multisk.pipeline import importing

    layout = Layout()
    tree = HowtoTree(features, features_3d or features, features_audio or features)
    imported = importing.import_howto100m(
        layout.corpus("howto100m"),
        layout.features("howto100m"),
        listing=listing,
        captions=captions,
        tree=tree,
        in_place=not pack,
        check_values=check_values,
        replace=replace,
    )
    typer.echo(imported)


@videos_app.command("howto100m")
def videos_howto100m(
    videos: Path,
    captions: Annotated[Path, typer.Option(help="caption.pickle, caption.json or a folder of csv files")],
    listing: Annotated[Path | None, typer.Option("--list")] = None,
) -> None:
    """Register the videos of HowTo100M."""
    from multisk.corpora.howto100m import register_howto100m

    folder = Layout().corpus("howto100m")
    typer.echo(register_howto100m(videos, folder, captions=captions, listing=listing))


def _videos_command(name: str, title: str, takes: Videos) -> Callable[..., None]:
    """Return the command that registers a benchmark's videos; its options are what the reader takes."""

    def command(videos: Path, **files: Path | None) -> None:
        from multisk.benchmarks.register import register_benchmark

        given = {role: files[role.replace("-", "_")] for role in takes.files}
        named = {role: path for role, path in given.items() if path}
        typer.echo(register_benchmark(name, videos, Layout().corpus(name), named))

    parameters = [Parameter("videos", Parameter.POSITIONAL_OR_KEYWORD, annotation=Path)]
    for role, what in takes.files.items():
        option = typer.Option(... if role not in takes.optional else None, f"--{role}", help=what)
        keyword = role.replace("-", "_")
        parameters.append(Parameter(keyword, Parameter.KEYWORD_ONLY, annotation=Path, default=option))
    command.__doc__ = f"Register the videos of {title}."
    command.__annotations__ = {one.name: one.annotation for one in parameters}
    command.__signature__ = Signature(parameters)  # type: ignore[attr-defined]
    return command


def with_benchmarks(app: typer.Typer) -> typer.Typer:
    """Add a command per benchmark that has a reader of its annotations."""
    for path in sorted(FOLDER.glob("*.yaml")):
        # A mistake in such a file is told by the commands that need it, not by all.
        with suppress(InputError):
            definition = read_checked(path, Definition)
            if definition.videos:
                app.command(path.stem)(_videos_command(path.stem, definition.title, definition.videos))
    return app


def unpack(archive: Path, folder: Path) -> None:
    """Unpack a tar or zip archive whose members are checked first."""
    from multisk.published import archives

    typer.echo(f"{folder}: {len(archives.unpack(archive, folder))} files")


def import_checkpoint(
    path: Path,
    out: Annotated[Path, typer.Option(help="folder to write to")] = Path("checkpoints"),
    config: Annotated[Path | None, typer.Option(help="config with `arch`, where the file has none")] = None,
    package: Annotated[str | None, typer.Option(help="msk or eao, where both have the class")] = None,
) -> None:
    """Convert a released .pth checkpoint into safetensors."""
    from typing import get_args

    from multisk.models import checkpoints

    known = get_args(checkpoints.Package)
    if package is not None and package not in known:
        raise InputError(f"--package: {package!r} is not one of {', '.join(known)}")
    typer.echo(checkpoints.import_checkpoint(path, out, config=config, package=package))  # type: ignore[arg-type]


def evaluate_checkpoint(
    checkpoint: Annotated[Path, typer.Argument(help="what import-checkpoint wrote, or a run folder")],
    benchmark: Annotated[list[str] | None, typer.Option(help="of params.yaml; default: all")] = None,
    setting: Annotated[str, typer.Option(help="what it was trained for")] = "zero-shot",
) -> None:
    """Measure a released checkpoint on imported benchmarks."""
    from multisk.params import load_params
    from multisk.pipeline.checkpoint import evaluate_checkpoint as measure
    from multisk.pipeline.checkpoint import summary
    from multisk.settings.benchmarks import SETTINGS

    params = load_params()
    known = tuple(params.benchmarks)
    chosen = benchmark or list(known)
    for option, value, choices in (
        *(("--benchmark", name, known) for name in chosen), ("--setting", setting, SETTINGS),
    ):  # fmt: skip
        if value not in choices:
            raise InputError(f"{option}: {value!r} is not one of {', '.join(choices)}")
    path = measure(params, Layout(), checkpoint, chosen, setting)
    typer.echo(f"{summary(path)}\n{path}")
