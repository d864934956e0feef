"""Do a recorded run again: in a clone of its commit, with its settings, on the data that is there."""

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

from multisk.errors import InputError
from multisk.features.clip import clip_name
from multisk.files import read_json
from multisk.layout import Layout
from multisk.reproduce.recorded import CHECKPOINT, STAGES, Recorded
from multisk.tracking.files import METRICS, RECORD


def run_again(run: Recorded, home: Path, work: Path) -> Path:
    """Repeat a run below `work`, an empty folder, and return its new run folder.

    Nothing below `home` is written: its data and the results of other stages are links.

    Raises InputError for what cannot be repeated, a missing commit, missing data, or a failing command.
    """
    script = run.script
    if run.record["status"] != "finished":
        raise InputError(f"{run.folder}: {run.record['status']}; only a finished run can be compared")
    _take_sources(run, home, work)
    _write_settings(run, home, work / "params.yaml")
    _link_inputs(run, home, work)
    _call(run, work, _from_home(script, home) if run.of_checkpoint else script)
    if run.is_trial:  # judged by this package's script with the commit's sources, which may not have it yet
        validation = Path(__file__).with_name("validate.py")
        _call(run, work, ["-P", str(validation), run.record["method"], str(run.record["seed"])])
    return _result(run, work)


def _take_sources(run: Recorded, home: Path, work: Path) -> None:
    commit = run.record["git_commit"]
    if commit is None:  # not recorded in git: the sources that are running now
        package = Path(__file__).parents[3]
        for name in ("src", "stages"):
            (work / name).symlink_to(package / name)
        (work / "params.yaml").write_text((home / "params.yaml").read_text())
        return
    _git(home, "clone", "--quiet", "--shared", "--no-checkout", str(home), str(work))
    _git(work, "checkout", "--quiet", "--detach", commit, remedy=f"git fetch the commit {commit[:12]}")
    if run.record["git_dirty"]:
        if run.patch is None:
            raise InputError(f"{run.folder}: the run had uncommitted changes, and their patch is missing")
        _git(work, "apply", "--whitespace=nowarn", str(run.patch.resolve()), remedy="the patch is damaged")


def _write_settings(run: Recorded, home: Path, path: Path) -> None:
    """Put the recorded sections into the checkout's settings; one seed, and a tracker of its own."""
    from ruamel.yaml import YAML

    # By way of JSON: parts that aliases share in the file must not change together.
    settings = json.loads(json.dumps(YAML(typ="safe", pure=True).load(path.read_text())))
    for name, value in run.record["params"].items():
        if name.split(".")[0] in settings:
            _merge(settings, name.split("."), value)
    if run.record["seed"] is not None:
        settings["pretrain"]["seeds"] = [run.record["seed"]]
    if run.is_trial:
        settings["pretrain"]["epochs"] = _epochs(run.folder / METRICS)
    if run.of_checkpoint:  # other runs read data/words
        words = settings["features"]["words"]
        source = clip_name(words["source"]) or words["source"]
        if (home / source).exists():
            words["source"] = words["source"].removesuffix(source) + str(home / source)
    settings["tracking"]["uri"] = None
    path.unlink()
    with path.open("w") as file:
        YAML().dump(settings, file)


def _epochs(metrics: Path) -> int:
    """Return after how many epochs a trial ended: the pruner may have stopped it."""
    trained = read_json(metrics).get("training", {})
    if "epochs" not in trained:
        raise InputError(f"{metrics}: training.epochs is missing; delete the study's folder and sweep again")
    return trained["epochs"]


def _merge(settings: dict[str, Any], path: list[str], value: Any) -> None:
    key, *rest = path
    if rest:
        _merge(settings.setdefault(key, {}), rest, value)
    elif isinstance(value, dict) and isinstance(settings.get(key), dict):
        # Settings that no result depends on are not recorded: those of the checkout stay.
        for name, part in value.items():
            _merge(settings[key], [name], part)
    else:
        settings[key] = value


def _link_inputs(run: Recorded, home: Path, work: Path) -> None:
    if not (home / "data").is_dir():
        raise InputError(f"{home / 'data'}: no such folder; run dvc repro features")
    (work / "data").symlink_to(home / "data")
    (work / "runs").mkdir(exist_ok=True)
    for stage in STAGES[: STAGES.index(_stage(run))]:
        if (home / "runs" / stage).is_dir():
            (work / "runs" / stage).symlink_to(home / "runs" / stage)


def _from_home(script: list[str], home: Path) -> list[str]:
    """Return a script whose checkpoint, the one argument beside options and their values, has a full path."""
    called = script.index(CHECKPOINT) + 1
    before = script[called - 1 : -1]
    return script[:called] + [
        word if "--" in (word[:2], last[:2]) else str(home / word)
        for last, word in zip(before, script[called:], strict=True)
    ]


def _call(run: Recorded, work: Path, script: list[str]) -> None:
    """Run a script with its arguments, with as many threads as then: sums depend on it."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("DVC_")}
    environment["PYTHONPATH"] = str(work / "src")
    if run.record.get("threads"):
        environment["OMP_NUM_THREADS"] = str(run.record["threads"])
    done = subprocess.run([sys.executable, *script], cwd=work, env=environment, check=False)
    if done.returncode:
        raise InputError(f"{shlex.join(script)}: exit code {done.returncode}; see above")


def _stage(run: Recorded) -> str:
    return "pretrain" if run.is_trial else run.record["stage"]


def _result(run: Recorded, work: Path) -> Path:
    layout, record = Layout(work), run.record
    if run.of_checkpoint:
        (evaluated,) = layout.runs.glob(f"checkpoints/*/*/{RECORD}")
        return evaluated.parent
    stage, method, seed = _stage(run), record["method"], record["seed"]
    if stage == "pretrain":
        return layout.pretrained(method, seed)
    if stage == "finetune":
        return layout.finetuned(method, record["benchmark"], seed)
    return layout.evaluated(method) / f"seed-{seed}"


def _git(folder: Path, *arguments: str, remedy: str = "is it a git repository?") -> None:
    done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        reason = " ".join(done.stderr.split())[:200]
        raise InputError(f"{folder}: git {arguments[0]} failed ({reason}); {remedy}")
