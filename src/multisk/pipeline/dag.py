"""dvc.yaml, as the stages' declaration and the imports of their modules have it."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from multisk.files import write_text
from multisk.pipeline.closure import SOURCES, source_files
from multisk.pipeline.declared import STAGES, Stage

DVC_YAML = Path("dvc.yaml")
HEAD = """\
# corpora -> words, extractors, features -> pretrain -> finetune -> evaluate -> report
#
# Written by `multisk dag` from src/multisk/pipeline/declared.py, the imports of the stages' modules and the
# benchmarks of params.yaml: edit those. One branch per method; seeds and benchmarks are units inside a stage.

"""


def dag_text(benchmarks: Iterable[str]) -> str:
    """Return dvc.yaml for some benchmarks."""
    import yaml

    stages = {stage.name: _entry(stage, list(benchmarks)) for stage in STAGES}
    return HEAD + yaml.safe_dump({"stages": stages}, sort_keys=False, width=110)


def write_dag(benchmarks: Iterable[str], path: Path = DVC_YAML) -> bool:
    """Write dvc.yaml; return whether it has changed."""
    text = dag_text(benchmarks)
    if path.exists() and path.read_text(encoding="utf-8") == text:
        return False
    write_text(path, text)
    return True


def _entry(stage: Stage, benchmarks: list[str]) -> dict[str, Any]:
    outs: list[Any] = [{out: {"persist": True}} if stage.persists else out for out in stage.writes]
    entry = {
        "desc": stage.does,
        "cmd": f"python stages/{stage.name}.py {stage.arguments}".strip(),
        "deps": [f"stages/{stage.name}.py", *_code(stage), *_spelt_out(stage.reads, benchmarks)],
        "params": _spelt_out(stage.params, benchmarks),
        "outs": outs + stage.shows.get("outs", []),
        **{kind: shown for kind, shown in stage.shows.items() if kind != "outs"},
    }
    return {"foreach": f"${{{stage.each}}}", "do": entry} if stage.each else entry


def _spelt_out(lines: Iterable[str], benchmarks: list[str]) -> list[str]:
    return list(
        dict.fromkeys(
            line.replace("benchmarks.*", f"benchmarks.{name}")
            for line in lines
            for name in (benchmarks if "benchmarks.*" in line else [""])
        )
    )


def _code(stage: Stage) -> Iterator[str]:
    """Yield the code that a stage depends on: a whole folder where all of its modules are among it."""
    files = set(source_files([f"multisk.pipeline.{stage.name}"]))
    for folder in sorted({file.parent for file in files}):
        own = {path.relative_to(SOURCES) for path in (SOURCES / folder).glob("*.py")}
        yield from [f"src/{folder}"] if own <= files else (f"src/{file}" for file in sorted(own & files))
