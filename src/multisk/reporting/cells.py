"""What tables are made of: cells that know where their numbers stand."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import quote, urlencode

import pandas as pd

from multisk.reporting import wording

NOTHING = "–"
DATA = "reports/site/data"  # where the site keeps its tables as CSV


@dataclass(frozen=True)
class Origin:
    """Where a number stands: keys in files, and what was made of the values found there.

    A key of a JSON or YAML file is a path of keys: `msrvtt/zero-shot/seed-0/t2v+a/R10`. A key of a parquet or
    CSV file names a column and the rows: `nmi?seed=0&modality=t`. `{0,1}` stands for each in turn. One key
    is looked up in every file, several keys in one file; as many keys as files are pairs.
    """

    files: tuple[str, ...]
    keys: tuple[str, ...]
    made: str = "value"  # or values, mean, mean ± sd, seconds, minutes, largest, difference, mean difference

    @property
    def attributes(self) -> dict[str, str]:
        """The data attributes of a cell."""
        found = {"data-file": " ".join(self.files), "data-key": " ".join(self.keys), "title": self.source}
        return found if self.made == "value" else found | {"data-made": self.made}

    @property
    def source(self) -> str:
        """Where the number stands, for who points at it."""
        what = "" if self.made == "value" else f"{self.made} of "
        return f"{what}{_some(self.keys)} in {_some(self.files)}"


def _some(names: Sequence[str]) -> str:
    distinct = list(dict.fromkeys(names))
    more = f" and {len(distinct) - 2} more" if len(distinct) > 2 else ""
    return ", ".join(distinct[:2]) + more


def at(file: str, key: str, made: str = "value") -> Origin:
    """Return the origin of a number that one key in one file gives."""
    return Origin((file,), (key,), made)


def column(name: str, /, **rows: object) -> str:
    """Return the key of a column's values in the rows where other columns have the given values."""
    texts_of = {key: str(value) for key, value in rows.items()}
    return f"{name}?{urlencode(texts_of, quote_via=quote, safe='/')}"


def either(values: Iterable[object]) -> str:
    """Return `{0,1}`, or the only value itself."""
    texts = [str(value) for value in values]
    return texts[0] if len(texts) == 1 else "{" + ",".join(texts) + "}"


@dataclass(frozen=True)
class Link:
    """A word that leads to a place of the site; a number that does has its origin and what it is of."""

    text: str
    href: str
    of: str = ""
    origin: Origin | None = None

    @property
    def attributes(self) -> dict[str, str]:
        """The data attributes of the link."""
        return self.origin.attributes if self.origin else {}


@dataclass(frozen=True)
class Cell:
    """A value as text, or links in its place; `best` where its mean leads the column."""

    text: str
    origin: Origin | None = None
    best: bool = False
    links: tuple[Link, ...] = ()
    code: bool = False
    mark: str = ""  # a class for its colour: a verdict

    @property
    def attributes(self) -> dict[str, str]:
        """The data attributes of the cell."""
        return self.origin.attributes if self.origin else {}


def texts(*values: str) -> tuple[Cell, ...]:
    """Return cells that only say something."""
    return tuple(Cell(value) for value in values)


def over_seeds(values: Sequence[float], file: str, key: str, *, digits: int = 1, best: bool = False) -> Cell:
    """Return the mean and the standard deviation of a number over seeds; its value where there is one."""
    made = "mean ± sd" if len(values) > 1 else "value"
    return Cell(wording.mean_and_spread(values, digits), at(file, key, made), best)


def linked(links: Sequence[Link]) -> Cell:
    """Return a cell of links."""
    said = (f"{link.of} {link.text}".strip() for link in links)
    return Cell(", ".join(said) or NOTHING, links=tuple(links))


@dataclass(frozen=True)
class Row:
    """Cells, the first of which names the row; a row with a `kind` (chance, total) stays last when sorted."""

    cells: tuple[Cell, ...]
    id: str = ""
    kind: str = ""
    data: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Body:
    """Rows that compare with each other, below a heading of their own if they have one."""

    rows: tuple[Row, ...]
    title: str = ""


@dataclass(frozen=True)
class Table:
    """A table; its first `words` columns are prose, the others numbers, except the last `after`."""

    name: str
    caption: str
    heads: tuple[str, ...]
    bodies: tuple[Body, ...]
    words: int = 1
    after: int = 0

    def __bool__(self) -> bool:
        """Tell whether it has rows; without any there is nothing to show."""
        return any(body.rows for body in self.bodies)

    def is_word(self, index: int) -> bool:
        """Tell whether a column holds prose."""
        return index < self.words or index >= len(self.heads) - self.after

    def frame(self) -> pd.DataFrame:
        """Return the texts as a table; titles of bodies become a first column."""
        titled = any(body.title for body in self.bodies)
        rows = [
            [*([body.title] if titled else []), *(cell.text for cell in row.cells)]
            for body in self.bodies
            for row in body.rows
        ]
        return pd.DataFrame(rows, columns=[*([""] if titled else []), *self.heads])


def plain(name: str, caption: str, heads: Sequence[str], rows: Iterable[Row], **options: int) -> Table:
    """Return a table of one body."""
    return Table(name, caption, tuple(heads), (Body(tuple(rows)),), **options)
