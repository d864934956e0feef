"""Read params.yaml: whatever is wrong with it is one line."""

from pathlib import Path
from typing import Any, get_args, get_origin

from pydantic import ValidationError

from miniature.settings import Miniature
from multisk.errors import InputError, one_line
from multisk.params.schema import Params, PublishedCorpora
from multisk.settings import Section


def load_params(path: Path = Path("params.yaml")) -> Params:
    """Read and check a params file.

    Raises InputError with one line that names the file, the key and what to change.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        content: Any = YAML(typ="safe", pure=True).load(path.read_text())
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; copy one from profiles/ (multisk use NAME)") from None
    except (OSError, UnicodeDecodeError, YAMLError) as error:
        raise InputError(f"{path}: cannot be read as YAML: {one_line(error)}") from None
    if not isinstance(content, dict):
        raise InputError(f"{path}: expected sections with settings, found {type(content).__name__}")
    try:
        return Params.model_validate(content)
    except ValidationError as error:
        raise InputError(_one_line(path, error)) from None


def _one_line(path: Path, error: ValidationError) -> str:
    # A misspelt key is also a missing one; the misspelling is the news.
    problems = sorted(error.errors(), key=lambda problem: problem["type"] != "extra_forbidden")
    first = problems[0]
    key = ".".join(str(part) for part in _without_kind(first["loc"]))
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    if first["type"] == "extra_forbidden":
        return f"{path}: {key}: unknown key{_suggestion(first['loc'])}; remove or rename it{more}"
    if first["type"] == "missing":
        return f"{path}: {key}: missing; add it (profiles/miniature.yaml shows a value){more}"
    said = first["msg"].removeprefix("Value error, ")
    found = "" if isinstance(first["input"], dict) else f", found {first['input']!r}"
    return f"{path}: {key}: {said}{found}{more}"


def _without_kind(location: tuple[int | str, ...]) -> tuple[int | str, ...]:
    # The checker names which kind of corpora it took the section for; params.yaml has no such level.
    return (location[0], *location[2:]) if location[0] == "corpora" and len(location) > 1 else location


def _suggestion(location: tuple[int | str, ...]) -> str:
    from difflib import get_close_matches

    section: Any = Params
    kinds = {"miniature": Miniature, "published": PublishedCorpora}
    parts = iter(location[:-1])
    for part in parts:
        if location[0] == "corpora" and part in kinds:
            section = kinds[str(part)]
            continue
        field = section.model_fields.get(part)
        section = _section_in(field.annotation) if field else Section
        if field and get_origin(field.annotation) is dict:
            next(parts, None)  # the entry's name
    close = get_close_matches(str(location[-1]), section.model_fields, n=1)
    return f", did you mean {close[0]}?" if close else ""


def _section_in(annotation: Any) -> type[Section]:
    """Return the section that `Section | None` or `dict[str, Section]` speaks of; any other has no keys."""
    candidates = (annotation, *get_args(annotation))
    return next((x for x in candidates if isinstance(x, type) and issubclass(x, Section)), Section)
