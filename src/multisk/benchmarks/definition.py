"""The benchmarks that the package knows, one file each; beside them readers of how they were published.

`multisk add NAME` and the profiles take a file's `settings` into params.yaml, where any of them may differ:
a small corpus that plays a benchmark's part is the same benchmark. An entry of params.yaml needs no file.
"""

from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from multisk.settings import Count, Section, read_checked
from multisk.settings.benchmarks import Benchmark

FOLDER = Path(__file__).parent

Text = Annotated[str, Field(min_length=1)]


class Definition(Section):
    """A benchmark as it was published.

    Attributes:
        title: its name in prose.
        protocol: how others measure by it.
        released: test clips whose features were released; None: no features were.
        obtain: what to obtain, and which command takes it in.
        settings: its entry of params.yaml at the paper's scale.
    """

    title: Text
    protocol: Text
    released: Count | None
    obtain: Text
    settings: Benchmark

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


def title_of(name: str) -> str:
    """Return a benchmark's name in prose."""
    definition = load_definition(name)
    return definition.title if definition else name
