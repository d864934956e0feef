"""Profiles: small differences from one base; put together they are params.yaml, as plain data.

A profile starts from profiles/base.yaml, or from the profile that its `base` names, says what differs, and
lists in `without` the dotted keys that it leaves out in the end. Below what it says of a benchmark are the
settings of the benchmark's own file.
"""

import json
import shutil
from collections.abc import Iterator
from itertools import chain, count
from pathlib import Path
from typing import Any

from multisk.errors import InputError
from multisk.files import write_text
from multisk.params.read import PARAMS
from multisk.params.schema import Params
from multisk.settings import checked, read_yaml

PROFILES = Path("profiles")
BASE = "base"


def load_profile(name: str, folder: Path = PROFILES) -> Params:
    """Return a profile's settings; raise InputError with one line for what is wrong with them."""
    return checked(compose(name, folder), Params, folder / f"{name}.yaml")


def profile_names(folder: Path = PROFILES) -> list[str]:
    """Return the profiles that there are."""
    return sorted(path.stem for path in folder.glob("*.yaml") if path.stem != BASE)


def compose(name: str, folder: Path = PROFILES) -> dict[str, Any]:
    """Return a profile on top of what it starts from, as plain data without references.

    Raises InputError for a profile that there is not, and for layers that do not fit.
    """
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    layers = list(_layers(name, folder).values())
    if definitions := _definitions(layers):
        layers.insert(1, {"benchmarks": definitions})
    left_out = [str(key) for layer in layers for key in layer.pop("without", [])]
    try:
        merged = OmegaConf.merge(*layers)
        content: Any = OmegaConf.to_container(merged, resolve=True, throw_on_missing=True)
    except OmegaConfBaseException as error:
        said = str(error).splitlines()[0]
        raise InputError(f"{folder / name}.yaml: {error.full_key}: {said}") from None
    for key in left_out:
        _leave_out(content, key, f"{folder / name}.yaml")
    return {"profile": name, **content}


def _definitions(layers: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the own settings of the benchmarks that layers name, as far as they have files."""
    from multisk.benchmarks.definition import load_definition  # stages read params.yaml, and no profile

    named = [layer["benchmarks"] for layer in layers if isinstance(layer.get("benchmarks"), dict)]
    definitions = {name: load_definition(name) for name in chain.from_iterable(named)}
    return {name: one.entry for name, one in definitions.items() if one}


def _layers(name: str, folder: Path) -> dict[str, dict[str, Any]]:
    """Read the base, what a profile starts from, and the profile itself."""
    layers: dict[str, dict[str, Any]] = {}
    known = profile_names(folder)
    while name != BASE or not layers:
        path = folder / f"{name}.yaml"
        if name not in known:
            raise InputError(f"{path}: no such profile; there are: {', '.join(known) or 'none here'}")
        if name in layers:
            raise InputError(f"{path}: base: {' <- '.join([*layers, name])}; start from another one")
        layers[name] = read_yaml(path)
        name = layers[name].pop("base", BASE)
    return {BASE: read_yaml(folder / f"{BASE}.yaml"), **dict(reversed(layers.items()))}


def _leave_out(content: dict[str, Any], key: str, place: str) -> None:
    *path, last = key.split(".")
    try:
        for part in path:
            content = content[part]
        del content[last]
    except (KeyError, TypeError):
        raise InputError(f"{place}: without: {key}: no such key") from None


def composed_text(name: str, folder: Path = PROFILES) -> str:
    """Return a profile as the text of a params file."""
    files = ", ".join(f"{folder.name}/{layer}.yaml" for layer in _layers(name, folder))
    return (
        f"# Composed by `multisk use {name}` from {files}; edit it freely.\n{as_yaml(compose(name, folder))}"
    )


def as_yaml(content: dict[str, Any]) -> str:
    """Return plain data as YAML 1.1, which YAML 1.2 takes alike; what is short has one line."""
    from yaml import CollectionNode, Node, SafeDumper, dump

    class Dumper(SafeDumper):
        def ignore_aliases(self, _: Any) -> bool:
            return True

        def represent_data(self, data: Any) -> Node:
            node = super().represent_data(data)
            if isinstance(node, CollectionNode):
                node.flow_style = node.flow_style and len(str(data)) <= 80
            return node

    return dump(
        content, Dumper=Dumper, sort_keys=False, default_flow_style=None, width=1000, allow_unicode=True
    )


def use(name: str, path: Path = PARAMS, folder: Path = PROFILES) -> Path | None:
    """Make a profile the active params file; return where settings of one's own are kept, if there were any.

    Raises InputError for a profile that cannot be used, before anything is written.
    """
    load_profile(name, folder)
    composed = {known: composed_text(known, folder) for known in profile_names(folder)}
    own = path.exists() and path.read_text(encoding="utf-8") not in composed.values()
    kept = _free_name(f"{path}.old") if own else None
    if kept:
        shutil.copyfile(path, kept)
    write_text(path, composed[name])
    return kept


def _free_name(name: str) -> Path:
    numbered = (Path(f"{name}-{number}") for number in count(2))
    return next(path for path in chain([Path(name)], numbered) if not path.exists())


def differences(profile: str, path: Path = PARAMS, folder: Path = PROFILES) -> list[str]:
    """Say what in a params file differs from its profile, a line for each key."""
    if profile not in profile_names(folder):
        return [f"profile: {profile} is none of {folder}/"]
    return list(_differences(compose(profile, folder), read_yaml(path), ""))


def _differences(before: dict[str, Any], after: dict[str, Any], prefix: str) -> Iterator[str]:
    for key in before | after:
        place = f"{prefix}{key}"
        if key not in after:
            yield f"{place}: left out"
        elif key not in before:
            yield f"{place}: added"
        elif isinstance(before[key], dict) and isinstance(after[key], dict):
            yield from _differences(before[key], after[key], f"{place}.")
        elif before[key] != after[key]:
            yield f"{place}: {json.dumps(before[key])} -> {json.dumps(after[key])}"
