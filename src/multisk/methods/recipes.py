"""Methods and variants as data: one file each in recipes/, written into params.yaml on demand.

A recipe is a difference: `base` names a method of params.yaml and `change` what to set in a copy of it, so
that one recipe serves every profile. `docs/methods.md` lists them and says how to add one.
"""

from collections.abc import Iterable, Mapping
from copy import deepcopy
from io import StringIO
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError, model_validator

from multisk.errors import InputError, one_line
from multisk.params import load_params
from multisk.settings import Positive, Section
from multisk.training.settings import Method

FOLDER, PARAMS, PROFILES = Path("recipes"), Path("params.yaml"), Path("profiles")
Entry = dict[str, Any]  # a method's entry of params.yaml, as plain data
Text = Annotated[str, Field(min_length=1)]
NotMeasured = Literal["not measured"]


class Recipe(Section):
    """One method or variant.

    Attributes:
        name: the file's, and the method's in params.yaml.
        title: a few words for tables.
        paper: where the method was published.
        table: the table of that paper that holds its numbers; None: not known here.
        base: the method whose settings it starts from; itself where every profile sets it.
        change: what is set in them, by dotted key inside the method; None takes a key away.
        taken: what follows a description or a release.
        chosen: what they leave open, or what differs on purpose.
        command: runs it from a fresh clone.
        hours: of pretraining at paper scale, as measured.
        memory_gib: of weights, gradients, Adam's moments and the moving average at paper scale, all in
            single precision; activations come on top.
        published: keys of the method's rows in reports/published.yaml.
    """

    name: Annotated[str, Field(pattern="^[a-z0-9][a-z0-9-]*$")]
    title: Text
    paper: Text
    table: Text | None
    base: Text
    change: dict[str, Any]
    taken: Text
    chosen: Text
    command: Text
    hours: Positive | NotMeasured
    memory_gib: Positive | NotMeasured
    published: tuple[Text, ...]

    @model_validator(mode="after")
    def _own_base_changes_nothing(self) -> Self:
        if self.base == self.name and self.change:
            raise ValueError("change: a recipe that is its own base stands in the profiles; change it there")
        if self.base != self.name and not self.change:
            raise ValueError(f"change: without any, it is {self.base} once more")
        return self


def load_recipes(folder: Path = FOLDER) -> dict[str, Recipe]:
    """Read all recipes of a folder, by name; raise InputError for one that cannot be used."""
    recipes = {path.stem: load_recipe(path) for path in sorted(folder.glob("*.yaml"))}
    if not recipes:
        raise InputError(f"{folder}: no recipes; run this in the working copy")
    return recipes


def load_recipe(path: Path) -> Recipe:
    """Read a recipe; raise InputError with one line that names file and key."""
    content = _read(path)
    try:
        return Recipe.model_validate({**content, "name": path.stem})
    except ValidationError as error:
        raise InputError(f"{path}: {_first(error)}") from None


def resolve(recipe: Recipe, methods: Mapping[str, Entry]) -> Entry:
    """Return the entry that a recipe makes of its base.

    methods: entries by name, as params.yaml has them

    Raises InputError for a base that is not among them, a key to take away that the base does not have, and
    an entry that no method can have.
    """
    place = f"{FOLDER / recipe.name}.yaml"
    if recipe.base not in methods:
        known = ", ".join(methods)
        raise InputError(f"{place}: base: params.yaml has no method {recipe.base}; known: {known}")
    entry: Entry = deepcopy(methods[recipe.base])
    for key, value in recipe.change.items():
        _set(entry, key, value, f"{place}: change: {key}")
    try:
        Method.model_validate(entry)
    except ValidationError as error:
        raise InputError(f"{place}: change: {_first(error)}") from None
    return entry


def entries(path: Path = PARAMS) -> dict[str, Entry]:
    """Return the methods of a params file, then those of its profile that it lacks, as plain data."""
    content = _read(path)
    profile = PROFILES / f"{content.get('profile')}.yaml"
    return {**(_read(profile)["methods"] if profile.exists() else {}), **content["methods"]}


def add(names: Iterable[str], path: Path = PARAMS, folder: Path = FOLDER) -> dict[str, bool]:
    """Write recipes into a params file, which keeps all else as it is, comments and all.

    Returns, by name, whether the method is new: one that is there already is left as it is.

    Raises InputError for a name without a recipe, before anything is written.
    """
    active = load_params(path).methods
    recipes, base = load_recipes(folder), entries(path)
    for name in names:
        if name not in recipes:
            raise InputError(f"{folder / name}.yaml: no such recipe; known: {', '.join(recipes)}")
    new = {name: name not in active for name in names}
    text = path.read_text(encoding="utf-8")
    for name in (name for name in new if new[name]):
        text = _with_entry(text, name, resolve(recipes[name], base), path)
    candidate = path.with_suffix(".yaml.new")
    candidate.write_text(text, encoding="utf-8")
    load_params(candidate)
    candidate.replace(path)
    return new


def _with_entry(text: str, name: str, entry: Entry, path: Path) -> str:
    """Return a params file with one more method behind the others."""
    from ruamel.yaml import YAML

    content = YAML().load(text)
    methods = content["methods"]
    if methods.fa.flow_style():
        raise InputError(f"{path}: methods: write one method per line to add others")
    lines = text.splitlines()
    following = [content.lc.key(key)[0] for key in content if content.lc.key(key)[0] > methods.lc.line]
    end = min(following, default=len(lines))
    # Blank lines and comments above the next section are its own.
    while not lines[end - 1].strip() or lines[end - 1].startswith("#"):
        end -= 1
    return "\n".join([*lines[:end], *_lines(name, entry, methods.lc.col), *lines[end:], ""])


def _lines(name: str, entry: Entry, indent: int) -> list[str]:
    """Return a method's entry as lines of YAML, with mappings of plain values on one line."""
    from ruamel.yaml import YAML

    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style, yaml.width = None, 1000
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    yaml.representer.ignore_aliases = lambda _: True
    stream = StringIO()
    yaml.dump({name: entry}, stream)
    head, *rest = stream.getvalue().splitlines()
    return [" " * indent + line for line in (f"{head}  # {FOLDER / name}.yaml", *rest)]


def _set(entry: Entry, key: str, value: Any, place: str) -> None:
    *path, last = key.split(".")
    for part in path:
        entry = entry.setdefault(part, {})
        if not isinstance(entry, dict):
            raise InputError(f"{place}: {part} is a value and has no keys")
    if value is not None:
        entry[last] = value
    elif last in entry:
        del entry[last]
    else:
        raise InputError(f"{place}: the base has no such key to take away")


def _read(path: Path) -> dict[str, Any]:
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        content = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, YAMLError) as error:
        raise InputError(f"{path}: cannot be read as YAML: {one_line(error)}") from None
    if not isinstance(content, dict):
        raise InputError(f"{path}: expected keys with values, found {type(content).__name__}")
    return content


def _first(error: ValidationError) -> str:
    """Return the first of a checker's complaints: key and what is wrong with it."""
    first = error.errors()[0]
    key = ".".join(str(part) for part in first["loc"])
    return ": ".join(part for part in (key, first["msg"].removeprefix("Value error, ")) if part)
