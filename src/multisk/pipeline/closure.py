"""Which source files a stage's result depends on: what its module imports, directly or by way of others."""

import ast
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from multisk.files import file_digest

SOURCES = Path(__file__).parents[2]

# What no result depends on: it says what was done, where files lie and what went wrong. Settings are
# dependencies of their own, by their values. The walk ends here: code that computes must not move into these.
BOOKKEEPING = (
    "multisk.console",
    "multisk.errors",
    "multisk.files",
    "multisk.layout",
    "multisk.params",
    "multisk.pipeline.closure",
    "multisk.pipeline.declared",
    "multisk.pipeline.records",
    "multisk.pipeline.units",
    "multisk.provenance",
    "multisk.resumable",
    "multisk.side_by_side",
    "multisk.stopping",
    "multisk.tracking",
)


def source_files(modules: Iterable[str]) -> list[Path]:
    """Return the files of modules and of all that they import of this project, below `src`, sorted.

    Imports are read off the sources, those inside of functions included; so are names of modules in strings,
    by which registries load what they need. A package's `__init__` comes with each of its modules.
    """
    found: set[str] = set()
    waiting = list(modules)
    while waiting:
        module = waiting.pop()
        if module in found or is_bookkeeping(module):
            continue
        found.add(module)
        waiting += imported(module)
    return sorted(_file(module).relative_to(SOURCES) for module in found)


def is_bookkeeping(module: str) -> bool:
    """Tell whether no result depends on a module."""
    return any(f"{module}.".startswith(f"{cut}.") for cut in BOOKKEEPING)


def code_of(modules: Iterable[str]) -> dict[str, str]:
    """Return the sha256 of each source file that modules depend on, by its path below `src`."""
    return {path.as_posix(): file_digest(SOURCES / path) for path in source_files(modules)}


@cache
def imported(module: str) -> frozenset[str]:
    """Return the modules of this project that a module names, and the packages that it lies in."""
    tree = ast.parse(_file(module).read_text(encoding="utf-8"))
    names = {module.rpartition(".")[0]}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            names |= {node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            names.add(node.value.partition(":")[0])
    return frozenset(name for name in names if name != module and _is_module(name))


def _is_module(name: str) -> bool:
    # `multisk` itself only offers names of other modules: whoever uses them imports them from there.
    return name.partition(".")[0] in ("miniature", "multisk") and name != "multisk" and _file(name).is_file()


def _file(module: str) -> Path:
    path = SOURCES.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
