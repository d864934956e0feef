"""requirements.txt pins what pyproject.toml asks for, and pyproject.toml asks for what is imported."""

import ast
import sys
import tomllib
from importlib.metadata import packages_distributions
from itertools import chain
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
OWN = {"miniature", "multisk", "tests", *(path.stem for path in (ROOT / "tests").rglob("*.py"))}


def declared() -> list[Requirement]:
    """What the package and its extras ask for, without the extras that stand for others."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines = chain(project["dependencies"], *project["optional-dependencies"].values())
    return [found for found in map(Requirement, lines) if found.name != "multisk"]


def test_every_requirement_is_pinned_with_its_version():
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    pinned = [Requirement(line.removesuffix("\\")) for line in lines if line[:1].isalnum()]
    pins = {canonicalize_name(pin.name): str(pin.specifier).removeprefix("==") for pin in pinned}
    stale = [
        str(wanted)
        for wanted in declared()
        if not wanted.specifier.contains(pins.get(canonicalize_name(wanted.name), "0"))
        or canonicalize_name(wanted.name) not in pins
    ]
    assert len(pins) > 200
    assert stale == [], "run: make requirements"


def test_all_that_is_imported_is_asked_for():
    """Packages that only come with others may go with them."""
    asked = {canonicalize_name(wanted.name) for wanted in declared()}
    distributions = packages_distributions()
    imported = {
        name
        for folder in ("src", "stages", "benchmarks", "tests")
        for path in (ROOT / folder).rglob("*.py")
        for name in imports_of(path)
    }
    missing = {
        name
        for name in imported - OWN - sys.stdlib_module_names
        if not asked & {canonicalize_name(found) for found in distributions.get(name, [name])}
    }
    assert missing == set(), "name them in pyproject.toml"


def imports_of(path: Path) -> set[str]:
    nodes = list(ast.walk(ast.parse(path.read_text())))
    plain = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    parts = {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom) and not node.level}
    return {name.partition(".")[0] for name in plain | parts}
