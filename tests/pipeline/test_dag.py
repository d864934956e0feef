"""dvc.yaml and what stages depend on: by the imports that their scripts really make."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from multisk.params import load_params
from multisk.pipeline import closure
from multisk.pipeline.closure import SOURCES, is_bookkeeping, source_files
from multisk.pipeline.dag import dag_text, write_dag
from multisk.pipeline.declared import STAGES

# The schema of params.yaml is loaded as a whole; a stage depends on values, and on the parts that it reads.
SCHEMA = {"multisk", "miniature", "miniature.settings"} | {
    f"multisk.settings.{path.stem}" for path in (SOURCES / "multisk" / "settings").glob("*.py")
}
NAMES = [stage.name for stage in STAGES]


@pytest.fixture(scope="module")
def dag(repository: Path) -> dict:
    return yaml.safe_load((repository / "dvc.yaml").read_text())["stages"]


def dependencies(dag: dict, stage: str) -> list[str]:
    entry = dag[stage].get("do", dag[stage])
    return entry["deps"]


def test_dvc_yaml_is_what_the_declaration_and_the_imports_say(repository):
    benchmarks = list(load_params(repository / "params.yaml").benchmarks)
    assert (repository / "dvc.yaml").read_text() == dag_text(benchmarks)


@pytest.mark.parametrize("stage", NAMES)
def test_what_a_stage_loads_is_declared_or_bookkeeping(repository, dag, stage):
    """The script is really imported, in a process of its own: what Python loads, not what a walk finds."""
    program = (
        "import runpy, sys\n"
        f"runpy.run_path({str(repository / 'stages' / f'{stage}.py')!r}, run_name='looked at')\n"
        "print(*sorted(name for name in sys.modules if name.split('.')[0] in ('multisk', 'miniature')))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    declared = [repository / path for path in dependencies(dag, stage) if path.startswith("src/")]
    for module in done.stdout.split():
        path = SOURCES.joinpath(*module.split("."))
        file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
        known = any(file == place or place in file.parents for place in declared)
        assert known or is_bookkeeping(module) or module in SCHEMA, f"{stage}: {module} is not declared"


@pytest.mark.parametrize("stage", NAMES)
def test_the_closure_of_a_stage_lies_within_its_declaration(repository, dag, stage):
    declared = [repository / path for path in dependencies(dag, stage)]
    for path in source_files([f"multisk.pipeline.{stage}"]):
        file = repository / "src" / path
        assert any(file == place or place in file.parents for place in declared), f"{stage}: {path}"


@pytest.mark.parametrize(
    ("stage", "file"),
    [
        ("pretrain", "multisk/features/words.py"),
        ("finetune", "multisk/features/words.py"),
        ("evaluate", "multisk/features/words.py"),
        ("pretrain", "multisk/losses/consistency.py"),
        ("sweep", "multisk/sinkhorn.py"),
        ("corpora", "miniature/render.py"),
    ],
)
def test_code_that_changes_a_result_is_a_dependency(stage, file):
    assert Path(file) in source_files([f"multisk.pipeline.{stage}"])


@pytest.mark.parametrize("stage", [name for name in NAMES if name != "report"])
def test_nothing_depends_on_the_report_the_tracker_or_the_commands(stage):
    for path in source_files([f"multisk.pipeline.{stage}"]):
        assert path.parts[1] not in ("reporting", "tracking", "commands", "claims", "preflight"), path


def test_names_of_modules_in_strings_count_as_imports(monkeypatch, tmp_path):
    package = tmp_path / "multisk"
    package.mkdir()
    for name, text in {
        "__init__": "",
        "one": 'HOMES = {"two": "multisk.two:Two"}\n',
        "two": "def build():\n    from multisk import three\n    return three\n",
        "three": "",
    }.items():
        (package / f"{name}.py").write_text(text)
    monkeypatch.setattr(closure, "SOURCES", tmp_path)
    closure.imported.cache_clear()
    found = [path.as_posix() for path in source_files(["multisk.one"])]
    closure.imported.cache_clear()
    assert found == ["multisk/one.py", "multisk/three.py", "multisk/two.py"]


def test_writing_it_again_changes_nothing(tmp_path):
    assert write_dag(["msrvtt"], tmp_path / "dvc.yaml")
    assert not write_dag(["msrvtt"], tmp_path / "dvc.yaml")
    assert "youcook2" not in (tmp_path / "dvc.yaml").read_text()


def test_stage_scripts_are_five_lines(repository):
    for name in NAMES:
        lines = (repository / "stages" / f"{name}.py").read_text().splitlines()
        assert len([line for line in lines if line.strip()]) == 5, name
