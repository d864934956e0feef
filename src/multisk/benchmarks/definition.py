"""The benchmarks that the package knows, one file each; beside them readers of how they were published.

`multisk add NAME` and the profiles take a file's `settings` into params.yaml, where any of them may differ:
a small corpus that plays a benchmark's part is the same benchmark. An entry of params.yaml needs no file.
"""

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from multisk.settings import Count, Name, Positive, Section, read_checked
from multisk.settings.benchmarks import Benchmark, Setting

FOLDER = Path(__file__).parent

Text = Annotated[str, Field(min_length=1)]
Percent = Annotated[float, Field(ge=0, le=100)]


class Values(Section):
    """A row's numbers; None: not transcribed."""

    R1: Percent | None
    R5: Percent | None
    R10: Percent | None
    MedR: Positive | None


class PublishedResult(Section):
    """A published result, and which of this project's numbers it corresponds to."""

    key: str
    name: str  # of the method, as published
    method: str  # of this project
    backbone: str
    setting: Setting
    query: Literal["text"]
    gallery: Literal["video", "video+audio", "not stated"]
    direction: str | None  # "headline" or as in a metrics file; None: the source does not say
    values: Values
    source: str


class Videos(Section):
    """How the videos of a benchmark are registered as a corpus."""

    reader: Text  # module:function of a `Reader`, see register.py
    files: dict[Name, Text]  # what the reader takes: roles, which are options of `multisk videos`, and files
    optional: tuple[Name, ...]  # roles that it can do without


class Definition(Section):
    """A benchmark as it was published.

    Attributes:
        title: its name in prose.
        protocol: how others measure by it.
        released: test clips whose features were released; None: no features were.
        obtain: what to obtain, and which command takes it in.
        videos: how its videos are registered; None: they are not.
        settings: its entry of params.yaml at the paper's scale.
        rows: what others reached.
    """

    title: Text
    protocol: Text
    released: Count | None
    obtain: Text
    videos: Videos | None
    settings: Benchmark
    rows: tuple[PublishedResult, ...]

    @model_validator(mode="after")
    def _keys_are_unique(self) -> Self:
        keys = [row.key for row in self.rows]
        twice = {key for key in keys if keys.count(key) > 1}
        if twice:
            raise ValueError(f"the key {min(twice)!r} is used twice; give each row its own")
        return self

    @property
    def entry(self) -> dict[str, Any]:
        """Its entry of params.yaml as plain data."""
        return self.settings.model_dump(mode="json")


def load_definition(name: str, folder: Path = FOLDER) -> Definition | None:
    """Read the file of a benchmark; None where there is none. Raises InputError for one that is malformed."""
    path = folder / f"{name}.yaml"
    return read_checked(path, Definition) if path.exists() else None


def load_definitions(folder: Path = FOLDER) -> dict[str, Definition]:
    """Read all files of a folder, by name; raise InputError for one that is malformed."""
    return {path.stem: read_checked(path, Definition) for path in sorted(folder.glob("*.yaml"))}
