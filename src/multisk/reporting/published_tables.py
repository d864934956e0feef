"""The tables of published numbers: standing aside, or beside what was measured in the same setting."""

from collections.abc import Callable, Mapping, Sequence
from itertools import product

from multisk.benchmarks.definition import Definition, PublishedResult
from multisk.claims.published import ComparedNumber
from multisk.reporting import wording
from multisk.reporting.cells import DATA, NOTHING, Body, Cell, Row, Table, at, column, linked
from multisk.reporting.ledger import Ledger
from multisk.settings.benchmarks import SETTINGS

TABLE = f"{DATA}/published.csv"
METRICS = ("R1", "R5", "R10", "MedR")
ASIDE_HEADS = (
    *("as published", "features", *(wording.METRICS[key] for key in METRICS)),
    *("searched with text", "read in"),
)
BESIDE_HEADS = (
    *("as published", "metric", "published", "measured", "from", "to", "difference"),
    *("verdict", "seeds", "command", "checkpoints", "runs"),
)


Published = Mapping[str, Definition]  # by benchmark


def aside(published: Published, folder: str) -> Table:
    """Return the published numbers alone, a body per benchmark and setting.

    folder: of the benchmarks' files
    """
    caption = (
        "Published numbers, each with where it was read; they stand aside and are compared with nothing "
        "on this site. Not transcribed: no text that could be read shows the number."
    )

    def rows_of(benchmark: str, row: PublishedResult) -> list[Row]:
        return [_aside(row, *place_of(published, folder, benchmark, row))]

    return Table("published", caption, ASIDE_HEADS, _bodies(published, rows_of), words=2, after=2)


def place_of(published: Published, folder: str, benchmark: str, row: PublishedResult) -> tuple[str, str]:
    """Return the file and the key under which a row's values stand."""
    return f"{folder}/{benchmark}.yaml", f"rows/{published[benchmark].rows.index(row)}/values"


def beside(published: Published, numbers: Sequence[ComparedNumber], ledger: Ledger) -> Table:
    """Return each published number beside the measured one, in the published setting."""
    caption = (
        "Published numbers beside measured ones: mean over seeds, its 95 % interval, measured minus "
        "published, and where the published number lies, seen from the interval."
    )
    bodies = _bodies(
        published, lambda _, row: [_beside(one, ledger) for one in numbers if one.key == row.key]
    )
    return Table("published", caption, BESIDE_HEADS, bodies, words=2, after=5)


def _bodies(published: Published, rows_of: Callable[[str, PublishedResult], list[Row]]) -> tuple[Body, ...]:
    bodies = []
    for (benchmark, definition), setting in product(published.items(), SETTINGS):
        chosen = (row for row in definition.rows if row.setting == setting)
        rows = tuple(made for row in chosen for made in rows_of(benchmark, row))
        if rows:
            bodies.append(Body(rows, f"{definition.title}, {setting}"))
    return tuple(bodies)


def _aside(row: PublishedResult, file: str, place: str) -> Row:
    numbers = (_published(getattr(row.values, key), file, f"{place}/{key}") for key in METRICS)
    cells = (Cell(row.name), Cell(row.backbone), *numbers, Cell(row.gallery), Cell(row.source))
    return Row(cells, id=f"published-{row.key}")


def _published(value: float | None, file: str, key: str) -> Cell:
    if value is None:
        return Cell("not transcribed", mark="not transcribed")
    return Cell(f"{value:g}", at(file, key))


def _beside(row: ComparedNumber, ledger: Ledger) -> Row:
    numbers = [
        Cell(_text(key, getattr(row, key)), at(TABLE, column(key, key=row.key, metric=row.metric)))
        if getattr(row, key) is not None
        else Cell(NOTHING)
        for key in ("published", "measured", "low", "high", "difference")
    ]
    cells = (
        Cell(f"{row.name} ({row.backbone})"),
        Cell(wording.METRICS[row.metric]),
        *numbers,
        Cell(row.verdict, mark=row.verdict),
        Cell(str(row.seeds) if row.seeds else NOTHING),
        Cell(row.command or row.reason or NOTHING, code=bool(row.command)),
        Cell(" ".join(row.checkpoints) or NOTHING, code=True),
        linked(ledger.links_to(row.files)),
    )
    return Row(cells, id=f"published-{row.key}-{row.metric}")


def _text(key: str, value: float) -> str:
    if key == "published":
        return f"{value:g}"
    return wording.signed(value) if key == "difference" else f"{value:.1f}"
