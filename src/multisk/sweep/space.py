"""What a study varies: points of its space, and the settings that a point stands for."""

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from itertools import product
from typing import Any

from pydantic import ValidationError

from multisk.errors import InputError
from multisk.params import Params
from multisk.settings.sweep import MEAN, METHOD, Between, Study

Value = bool | int | float | str
Point = dict[str, Value]


def space_of(study: Study) -> dict[str, tuple[Value, ...] | Between]:
    """Return the space by key, the method among it where there are two."""
    methods = {METHOD: study.methods} if len(study.methods) > 1 else {}
    return {**methods, **study.space}


def grid(study: Study) -> list[Point]:
    """Return all points of a grid, the last key changing fastest."""
    space = choices_of(study)
    return [dict(zip(space, values, strict=True)) for values in product(*space.values())]


def choices_of(study: Study) -> dict[str, list[Value]]:
    """Return the choices by key, without the keys that have borders instead."""
    return {key: list(values) for key, values in space_of(study).items() if not isinstance(values, Between)}


def suggest(trial: Any, study: Study) -> Point:
    """Let Optuna choose a point."""
    return {key: _suggest(trial, key, values) for key, values in space_of(study).items()}


def _suggest(trial: Any, key: str, values: tuple[Value, ...] | Between) -> Value:
    if not isinstance(values, Between):
        return trial.suggest_categorical(key, list(values))
    whole = isinstance(values.low, int) and isinstance(values.high, int)
    draw = trial.suggest_int if whole else trial.suggest_float
    return draw(key, values.low, values.high, log=values.log)


def settings_of(params: Params, name: str, study: Study, point: Point) -> tuple[str, Params]:
    """Return the method and the settings that a point stands for.

    Raises InputError, with the study's name and the key, for settings that params.yaml would not allow.
    """
    settings = params.model_dump()
    for key, value in point.items():
        if key != METHOD:
            for dotted in params.sweep.names.get(key, (key,)):
                _set(settings, dotted, value, f"{place(params, name)}.space.{key}")
    try:
        return str(point.get(METHOD, study.methods[0])), Params.model_validate(settings)
    except ValidationError as error:
        raise InputError(_one_line(params, name, point, error)) from None


def check(params: Params, name: str, study: Study) -> None:
    """Refuse a study that could not be run to its end: every choice and border is tried.

    Raises InputError for the first mistake.
    """
    for method in study.methods:
        if method not in params.methods:
            known = ", ".join(params.methods)
            raise InputError(f"{place(params, name)}.methods: no method {method!r}; known: {known}")
    for objective in study.objectives:
        if objective not in (*params.benchmarks, MEAN):
            known = ", ".join((*params.benchmarks, MEAN))
            raise InputError(f"{place(params, name)}.objectives: no benchmark {objective!r}; known: {known}")
    for point in grid(study) if study.sampler == "grid" else _borders(study):
        settings_of(params, name, study, point)


def study_of(params: Params, name: str) -> Study:
    """Return a study by name; raise InputError for one that params.yaml lacks."""
    known = {**params.sweep.studies, **params.sweep.others}
    if name not in known:
        raise InputError(f"params.yaml: sweep.studies.{name}: no such study; known: {', '.join(known)}")
    return known[name]


def _borders(study: Study) -> Iterator[Point]:
    for key, values in space_of(study).items():
        ends = (values.low, values.high) if isinstance(values, Between) else values
        yield from ({key: value} for value in ends)


def _set(settings: dict[str, Any], dotted: str, value: Value, place: str) -> None:
    section: Any = settings
    *path, last = dotted.split(".")
    for depth, part in enumerate([*path, last]):
        if not isinstance(section, dict) or part not in section:
            known = list(section) if isinstance(section, dict) else []
            close = get_close_matches(part, [str(key) for key in known], n=1)
            there = ".".join([*path, last][: depth + 1])
            hint = f", did you mean {close[0]}?" if close else "; name one that params.yaml has"
            raise InputError(f"{place}: {dotted}: there is no setting {there}{hint}")
        if depth < len(path):
            section = section[part]
    if isinstance(section[last], Mapping):
        raise InputError(f"{place}: {dotted} is a section; name one of its settings")
    section[last] = value


def _one_line(params: Params, name: str, point: Point, error: ValidationError) -> str:
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    culprits = [
        key for key in point if any(_touches(dotted, where) for dotted in params.sweep.names.get(key, (key,)))
    ]
    chosen = ", ".join(f"{key} {point[key]}" for key in culprits or point)
    return f"{place(params, name)}.space: {chosen}: {where}: {first['msg']}"


def _touches(dotted: str, where: str) -> bool:
    return f"{dotted}.".startswith(f"{where}.")


def place(params: Params, name: str) -> str:
    """Return where a study stands, for messages."""
    return f"params.yaml: sweep.{'studies' if name in params.sweep.studies else 'others'}.{name}"
