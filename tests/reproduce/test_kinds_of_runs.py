"""Every kind of run: what repeats it, or what is said instead."""

from pathlib import Path
from typing import Any

import pytest

from multisk.errors import InputError
from multisk.reproduce import Recorded, run_again

FOLDER = Path("runs/it")


def recorded(stage: str, command: str, **others: Any) -> Recorded:
    return Recorded(FOLDER, {"stage": stage, "command": command, "method": None, "dvc_stage": None} | others)


TRAINING = {
    "pretrain": recorded("pretrain", "python stages/pretrain.py sspc", method="sspc", seed=1),
    "finetune": recorded("finetune", "python stages/finetune.py sspc", method="sspc", benchmark="msrvtt"),
    "evaluate": recorded("evaluate", "python stages/evaluate.py sspc", method="sspc", seed=1),
    "trial": recorded("sweep", "multisk sweep --study anchors", method="sspc", seed=1, trial=0),
    "checkpoint": recorded("evaluate", "multisk evaluate-checkpoint a.safetensors --setting zero-shot"),
}
SCRIPTS = {
    "pretrain": ["stages/pretrain.py", "sspc"],
    "finetune": ["stages/finetune.py", "sspc"],
    "evaluate": ["stages/evaluate.py", "sspc"],
    "trial": ["stages/pretrain.py", "sspc"],
    "checkpoint": ["-m", "multisk", "evaluate-checkpoint", "a.safetensors", "--setting", "zero-shot"],
}
OTHERS = {
    "corpora": (
        recorded("corpora", "python stages/corpora.py howto", dvc_stage="corpora@howto"),
        "a run of corpora writes data: dvc repro corpora@howto",
    ),
    "words": (recorded("words", "python stages/words.py"), "a run of words writes data: dvc repro words"),
    "extractors": (
        recorded("extractors", "python stages/extractors.py mini-howto", dvc_stage="extractors"),
        "a run of extractors writes data: dvc repro extractors",
    ),
    "features": (
        recorded("features", "python stages/features.py mini-howto", dvc_stage="features@mini-howto"),
        "a run of features writes data: dvc repro features@mini-howto",
    ),
    "features of own videos": (
        recorded("features", "multisk extract mine"),
        "a run of features writes data: multisk extract mine",
    ),
    "study": (
        recorded("sweep", "python stages/sweep.py anchors", method="sspc", trial=None),
        "a study; its trials are repeated: multisk reproduce runs/it/trial-0/seed-0 --run",
    ),
}


@pytest.mark.parametrize("kind", SCRIPTS)
def test_a_training_or_an_evaluation_is_repeated_by_its_script(kind: str) -> None:
    assert TRAINING[kind].script == SCRIPTS[kind]


@pytest.mark.parametrize("called", ["python .venv/bin/multisk", "python src/multisk/__main__.py"])
def test_a_checkpoint_is_evaluated_by_the_command_however_it_was_called(called: str) -> None:
    run = recorded("evaluate", f"{called} evaluate-checkpoint a.safetensors")
    assert run.script == ["-m", "multisk", "evaluate-checkpoint", "a.safetensors"]


@pytest.mark.parametrize("kind", OTHERS)
def test_for_other_runs_it_is_said_what_to_do_before_anything_is_written(kind: str, tmp_path: Path) -> None:
    run, message = OTHERS[kind]
    with pytest.raises(InputError) as caught:
        run_again(run, tmp_path / "home", tmp_path / "work")
    assert str(caught.value).startswith("runs/it: ")
    assert str(caught.value).endswith(message)
    assert not list(tmp_path.iterdir())


def test_what_did_not_finish_is_not_repeated(tmp_path: Path) -> None:
    run = Recorded(FOLDER, {**TRAINING["pretrain"].record, "status": "failed"})
    with pytest.raises(InputError, match="runs/it: failed; only a finished run can be compared"):
        run_again(run, tmp_path / "home", tmp_path / "work")
