"""Methods and variants as data: one file each in recipes/, written into params.yaml on demand.

A recipe is a difference: `base` names a method of params.yaml and `change` what to set in a copy of it, so
that one recipe serves every profile. `docs/methods.md` lists them and says how to add one.
"""

from collections.abc import Iterable, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from multisk.benchmarks.definition import load_definitions
from multisk.errors import InputError
from multisk.files import replacing
from multisk.params import load_params
from multisk.params.profiles import as_yaml, compose, profile_names
from multisk.params.read import PARAMS
from multisk.settings import Name, Positive, Section, checked, read_yaml
from multisk.settings.training import Method

FOLDER = Path("recipes")
BENCHMARKS = "src/multisk/benchmarks"
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
        published: keys of the method's rows in the files of the benchmarks.
    """

    name: Name
    title: Text
    paper: Text
    table: Text | None
    base: Name
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
    return checked({**read_yaml(path), "name": path.stem}, Recipe, path)


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
    checked(entry, Method, f"{place}: change")
    return entry


def entries(path: Path = PARAMS) -> dict[str, Entry]:
    """Return the methods of a params file, then those of its profile that it lacks, as plain data."""
    content = read_yaml(path)
    profile = str(content.get("profile"))
    shared = compose(profile)["methods"] if profile in profile_names() else {}
    return {**shared, **content["methods"]}


def add(names: Iterable[str], path: Path = PARAMS, folder: Path = FOLDER) -> dict[str, bool]:
    """Write recipes and benchmarks into a params file, which keeps all else as it is, comments and all.

    Returns, by name, whether the entry is new: one that is there already is left as it is.

    Raises InputError for a name without a recipe or a benchmark's file, before anything is written.
    """
    from ruamel.yaml import YAML

    params, base = load_params(path), entries(path)
    recipes, benchmarks = load_recipes(folder), load_definitions()
    for name in names:
        if name not in recipes and name not in benchmarks:
            known = ", ".join([*recipes, *benchmarks])
            raise InputError(f"{folder / name}.yaml: no such recipe; known: {known}")
    new = {name: name not in params.methods and name not in params.benchmarks for name in names}
    yaml = YAML()
    yaml.preserve_quotes, yaml.width = True, 1000
    # Else null is written as nothing at all.
    yaml.representer.add_representer(
        type(None), lambda writer, _: writer.represent_scalar("tag:yaml.org,2002:null", "null")
    )
    content = yaml.load(path.read_text(encoding="utf-8"))
    for name in (name for name in new if new[name]):
        if name in recipes:
            section, entry = content["methods"], resolve(recipes[name], base)
        else:
            section, entry = content["benchmarks"], benchmarks[name].entry
        section[name] = yaml.load(as_yaml(entry))
        section.yaml_add_eol_comment(f"{FOLDER if name in recipes else BENCHMARKS}/{name}.yaml", name)
    with replacing(path) as candidate:
        yaml.dump(content, candidate)
        load_params(candidate)
    return new


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
