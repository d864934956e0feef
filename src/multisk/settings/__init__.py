"""What settings are made of, checked and immutable sections without unknown keys, and the reader of files."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args, get_origin

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from multisk.errors import InputError, one_line

Fraction = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Weight = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1)]
Natural = Annotated[int, Field(ge=0)]


def _ordered(bounds: tuple[float, float]) -> tuple[float, float]:
    if bounds[0] > bounds[1]:
        raise ValueError("the lower bound comes first")
    return bounds


def _named(name: str) -> str:
    # Names become folders, stages and arguments in a shell.
    if not re.fullmatch("[a-z0-9][a-z0-9_-]*", name):
        raise ValueError("a name has lower-case letters, digits, - and _ alone; first a letter or a digit")
    return name


def _different(seeds: tuple[int, ...]) -> tuple[int, ...]:
    if len(set(seeds)) < len(seeds):
        raise ValueError("seeds must differ from each other")
    return seeds


Range = Annotated[tuple[Positive, Positive], AfterValidator(_ordered)]
Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
Name = Annotated[str, AfterValidator(_named)]
Seeds = Annotated[tuple[Natural, ...], Field(min_length=1), AfterValidator(_different)]


class Section(BaseModel):
    """A part of params.yaml: immutable, with no key that it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True)


Checked = TypeVar("Checked", bound=Section)


def read_checked(path: Path, schema: type[Checked], missing: str = "git restore it") -> Checked:
    """Read a YAML file of a schema; raise InputError with one line that names file, key and remedy.

    missing: what to do where there is no such file
    """
    return checked(read_yaml(path, missing), schema, path)


def read_yaml(path: Path, missing: str = "git restore it") -> dict[str, Any]:
    """Read keys with values from a YAML file; raise InputError with one line where it has none."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        content: Any = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; {missing}") from None
    except (OSError, UnicodeDecodeError, YAMLError) as error:
        raise InputError(f"{path}: cannot be read as YAML: {one_line(error)}") from None
    if not isinstance(content, dict):
        raise InputError(f"{path}: expected keys with values, found {type(content).__name__}")
    return content


def checked(content: dict[str, Any], schema: type[Checked], place: object) -> Checked:
    """Check plain data against a schema; raise InputError with one line for the first thing that is wrong.

    place: the file, and what leads to the data in it
    """
    try:
        return schema.model_validate(content)
    except ValidationError as error:
        # A misspelt key is also a missing one; the misspelling is the news.
        problems = sorted(error.errors(), key=lambda problem: problem["type"] != "extra_forbidden")
    first = problems[0]
    key = ".".join(_location(content, first["loc"], missing=first["type"] == "missing"))
    if first["type"] == "extra_forbidden":
        said = f"unknown key{_suggestion(schema, first['loc'])}; remove or rename it"
    elif first["type"] == "missing":
        said = "missing; add it"
    else:
        found = "" if isinstance(first["input"], dict) else f", found {first['input']!r:.80}"
        said = first["msg"].removeprefix("Value error, ") + found
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    raise InputError(": ".join(part for part in (str(place), key, said) if part) + more)


def _location(content: Any, parts: tuple[int | str, ...], *, missing: bool) -> Iterator[str]:
    """Go through a location without the kinds that the checker chose among: files have no such levels."""
    *_, last = (None, *parts)
    for part in parts:
        try:
            content = content[part]
        except (LookupError, TypeError):
            if not (missing and part is last):
                continue
        yield str(part)


def _suggestion(schema: type[Section], location: tuple[int | str, ...]) -> str:
    from difflib import get_close_matches

    sections = [schema]
    parts = iter(location[:-1])
    for part in parts:
        kinds = [
            section.model_fields[part].annotation for section in sections if part in section.model_fields
        ]
        if any(get_origin(kind) is dict for kind in kinds):
            next(parts, None)  # the entry's name
        if kinds:
            sections = [section for kind in kinds for section in _sections_in(kind)]
    known = [key for section in sections for key in section.model_fields]
    close = get_close_matches(str(location[-1]), known, n=1)
    return f", did you mean {close[0]}?" if close else ""


def _sections_in(kind: Any) -> Iterator[type[Section]]:
    """Return the sections that `Section | None`, `dict[str, Section]` and the like speak of."""
    if isinstance(kind, type) and issubclass(kind, Section):
        yield kind
    for part in get_args(kind):
        yield from _sections_in(part)
