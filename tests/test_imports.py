import subprocess
import sys
import tomllib
from importlib import metadata

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

CORE = ("multisk.sinkhorn", "multisk.models", "multisk.losses", "multisk.training")
HEAVY = ("mlflow", "dvc", "optuna", "av", "librosa", "gensim", "pandas", "transformers")


def modules_after(statement):
    code = f"import sys\n{statement}\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize("module", CORE)
def test_the_core_imports_torch_alone(module):
    loaded = modules_after(f"import {module}")
    assert not loaded & set(HEAVY)


def needed(names):
    """The distributions by these names, and all that they need in turn."""
    found, waiting = set(), [canonicalize_name(name) for name in names]
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        found.add(name)
        try:
            wanted = map(Requirement, metadata.requires(name) or ())
        except metadata.PackageNotFoundError:
            continue
        waiting += [
            canonicalize_name(w.name) for w in wanted if not w.marker or w.marker.evaluate({"extra": ""})
        ]
    return found


@pytest.fixture(scope="module")
def beside_the_core(repository):
    """Python that hides every package but the core's dependencies, as on a GPU box that has only those."""
    project = tomllib.loads((repository / "pyproject.toml").read_text())["project"]
    core = needed(Requirement(line).name for line in project["dependencies"])
    others = [
        name
        for name, owners in metadata.packages_distributions().items()
        if not core & {canonicalize_name(owner) for owner in owners} and name not in ("miniature", "multisk")
    ]
    assert set(HEAVY) <= set(others)
    return f"sys.modules.update(dict.fromkeys({others!r}))"


@pytest.mark.parametrize("module", [*CORE, "multisk.cli"])
def test_the_core_does_without_what_the_extras_bring(module, beside_the_core):
    assert module in modules_after(f"{beside_the_core}\nimport {module}")


def test_the_rooms_of_the_method_do_so_to_the_last_module(repository, beside_the_core):
    """Modules that nothing above imports, and imports within functions aside."""
    package = repository / "src" / "multisk"
    modules = [
        "multisk." + ".".join(path.relative_to(package).with_suffix("").parts)
        for room in ("losses", "models", "training")
        for path in (package / room).glob("*.py")
        if path.name != "__init__.py"
    ]
    assert len(modules) > 20
    modules_after("\n".join([beside_the_core, *(f"import {module}" for module in modules)]))


def test_the_command_line_starts_without_torch():
    assert not modules_after("import multisk.cli") & {"torch", *HEAVY}


def test_the_public_names_are_loaded_on_first_use():
    assert "torch" not in modules_after("import multisk")
    loaded = modules_after("from multisk import Anchors, SSPCLoss, multi_sinkhorn")
    assert {"multisk.sinkhorn", "multisk.losses", "multisk.models.anchors"} <= loaded


def test_an_unknown_name_is_an_attribute_error():
    import multisk

    with pytest.raises(AttributeError, match="nothing"):
        _ = multisk.nothing
