"""Studies: what identifies them, who runs which trial, and how they end.

Workers take turns at beginning a trial. Whose turn it is puts the next one into Optuna's queue, under an
index that the trial keeps for good, and takes it from there. So each index is begun once, however many
workers there are, and a trial that was killed goes back into the queue, before all others. (Optuna's
GridSampler alone takes a killed point for a visited one, and gives two workers the same point at times.)
"""

import logging
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from tqdm import tqdm

from multisk.benchmarks.clips import open_benchmarks
from multisk.errors import DivergedError
from multisk.files import digest, read_json
from multisk.layout import Layout, home
from multisk.params import Params, sections
from multisk.resumable import Code, begin, settle
from multisk.sampling.source import ClipSource
from multisk.settings.sweep import Optuna, Study
from multisk.side_by_side import SideBySide
from multisk.sweep.export import export
from multisk.sweep.space import check, choices_of, grid, study_of
from multisk.sweep.storage import exclusive, opened
from multisk.sweep.trial import DIVERGED, INDEX, Trials
from multisk.sweep.validation import Validation, validation_settings
from multisk.tracking import RECORD, Run

BEGUN = "begun"  # a trial's attribute: its number, once its worker has it


def sweep(params: Params, name: str, layout: Layout, code: Code, trials: int | None = None) -> dict[str, Any]:
    """Run a study until `trials` (default: the setting) have finished, and export it to runs/sweep/<name>.

    A study goes on where it was, also beside other workers. Returns what study.json says.

    code: the sources that trials depend on

    Raises InputError for settings, data or a storage that do not serve.
    """
    study = study_of(params, name)
    check(params, name, study)
    total = trials or study.trials or len(grid(study))
    pretraining = ClipSource.open(layout, params.clips.pretrain.corpus)
    benchmarks = open_benchmarks(layout, params.benchmarks)
    datasets = [pretraining.digest, *(inputs.digest for inputs in benchmarks.values())]
    chance = Validation(params, benchmarks).chance
    folder = _begun(name, identity(params, study, datasets), code)
    with opened(params.optuna) as storage:
        kept = _kept(storage, folder.name, study)
        with (
            _tracked(params, name, study, datasets, folder, storage, code) as run,
            SideBySide(params.processes) as together,
        ):
            objective = Trials(
                params, name, study, pretraining, benchmarks, folder, run.run_key, code.digest, together
            )
            work(kept, storage, study, objective, total, params.optuna)
            with exclusive(storage):
                content = export(kept, params, name, study, folder, layout.swept(name), chance)
            run.finish({"trials": content["trials"], "best": content["best"], "seconds": content["seconds"]})
    settle(folder)
    return content


def identity(params: Params, study: Study, datasets: list[str]) -> list[Any]:
    """Return the settings and the data that a study's trials depend on."""
    methods = [f"methods.{method}" for method in study.methods]
    settings = sections(params, "clips.pretrain", "model", *methods, "pretrain")
    settings |= validation_settings(params)
    replaced = ("seeds", "epochs")  # by the study's own
    settings["pretrain"] = {key: value for key, value in settings["pretrain"].items() if key not in replaced}
    names = {key: keys for key, keys in params.sweep.names.items() if key in study.space}
    parts = [study.model_dump(exclude={"trials"}), names, settings, datasets]
    if study.sampler == "tpe":  # what it proposes next depends on them; a grid's points do not
        parts.append({"seed": params.optuna.seed, "startup_trials": params.optuna.startup_trials})
    return parts


def _begun(name: str, identity: list[Any], code: Code) -> Path:
    """Return the folder of a study's trials, named as Optuna knows the study.

    A study that other code has finished stays as it is: the new one is kept beside it.
    """
    plain = Layout(home()).sweeps / f"{name}-{digest(identity)[:12]}"
    own = plain.with_name(f"{plain.name}-{code.digest[:6]}")
    record = read_json(plain / RECORD) if (plain / RECORD).exists() else None
    by_other_code = record is not None and record["code"][-1]["digest"] != code.digest
    ended = record is not None and (record["status"] == "finished" or code.changed == "restart")
    folder = own if own.is_dir() or (by_other_code and ended) else plain
    begin(folder, identity, code)
    return folder


def work(kept: Any, storage: Any, study: Study, objective: Trials, total: int, settings: Optuna) -> None:
    """Run trials until `total` of the study are finished, by this worker or others.

    Raises what a trial raised, but for DivergedError: such a trial has failed for good; the study goes on.
    """
    if storage.engine.dialect.name == "sqlite":  # for one worker: whatever seems to run was killed
        _requeue(kept, [trial for trial in kept.get_trials(deepcopy=False) if _state(trial) == "RUNNING"])
    with tqdm(total=total, unit="trial", disable=None, desc=kept.study_name) as bar:
        while True:
            with ExitStack() as turn:
                turn.enter_context(exclusive(storage))
                waiting = _next(kept, study, total)
                if waiting:
                    _choose_by(kept, study, settings, waiting.user_attrs[INDEX])
                    _run(kept, storage, objective, turn)
                running = [t for t in kept.get_trials(deepcopy=False) if _state(t) == "RUNNING"]
            bar.n = len(_lasting(kept)) - len(running)
            bar.refresh()
            if not waiting and not running:
                return
            if not waiting:
                time.sleep(min(1.0, settings.heartbeat_seconds))


def _run(kept: Any, storage: Any, objective: Trials, turn: ExitStack) -> None:
    """Run the first trial of the queue; the turn ends when it has begun.

    A trial that an error ends goes back into the queue with its point, before any other worker's turn.
    """
    from optuna import TrialPruned
    from optuna.exceptions import UpdateFinishedTrialError

    begun: list[int] = []
    failed: list[BaseException] = []

    def run(trial: Any) -> list[float]:
        begun.append(trial.number)
        trial.set_user_attr(BEGUN, trial.number)
        turn.close()
        try:
            return objective(trial)
        except (DivergedError, TrialPruned, UpdateFinishedTrialError):
            raise
        except (Exception, KeyboardInterrupt) as error:
            failed.append(error)
            _give_back(kept, storage, trial.number)
            raise

    try:
        kept.optimize(run, n_trials=1, catch=(DivergedError,))
    except (Exception, KeyboardInterrupt) as error:
        if failed:  # Optuna complains that the trial has ended already
            raise failed[0] from None
        ended = begun and _state(kept.trials[begun[0]]) != "RUNNING"
        if not ended or isinstance(error, KeyboardInterrupt):
            raise
        # Another worker took this one for dead, and tells the result in its place; Optuna minds.


def _give_back(kept: Any, storage: Any, number: int) -> None:
    """Put a trial back into the queue, unless another worker did so, who took this one for dead."""
    with exclusive(storage):
        trial = kept.trials[number]
        if _state(trial) == "RUNNING":
            _requeue(kept, [trial])


def _next(kept: Any, study: Study, total: int) -> Any | None:
    """Return the first trial of the queue: one that was killed, else the first that nobody began."""
    from optuna.storages import fail_stale_trials

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fail_stale_trials(kept)
    # Whoever begins a trial says so before it lets the others have their turn.
    lost = [t for t in kept.get_trials(deepcopy=False) if _state(t) == "RUNNING"]
    _requeue(kept, [trial for trial in lost if trial.user_attrs.get(BEGUN) != trial.number])
    there = {trial.user_attrs[INDEX] for trial in _lasting(kept)}
    missing = [index for index in range(total) if index not in there]
    waiting = [trial for trial in kept.get_trials(deepcopy=False) if _state(trial) == "WAITING"]
    if missing and not waiting:
        points = grid(study) if study.sampler == "grid" else [{}]
        kept.enqueue_trial(points[missing[0] % len(points)], user_attrs={INDEX: missing[0]})
        waiting = kept.get_trials(deepcopy=False)[-1:]
    return waiting[0] if waiting else None


def _lasting(kept: Any) -> list[Any]:
    """Return the trials that need no other in their place: all but failed ones, and diverged ones."""
    return [
        trial
        for trial in kept.get_trials(deepcopy=False)
        if _state(trial) != "FAIL" or trial.user_attrs.get(DIVERGED)
    ]


def _requeue(kept: Any, killed: list[Any]) -> None:
    from optuna.trial import TrialState

    for trial in killed:
        kept.tell(trial.number, state=TrialState.FAIL)
    _retry(kept, [trial.number for trial in killed])


def _retry(kept: Any, failed: list[int]) -> None:
    """Put trials back into the queue, with what is known of them."""
    from optuna.storages import RetryHeartbeatStaleTrialCallback

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        again = RetryHeartbeatStaleTrialCallback()
        for number in failed:
            again(kept, kept.trials[number])


def _choose_by(kept: Any, study: Study, settings: Optuna, index: int) -> None:
    """Set the sampler for a trial; seeded anew for each, a search goes on as if nothing had stopped it."""
    from optuna.samplers import GridSampler, TPESampler

    if study.sampler == "grid":
        kept.sampler = GridSampler(choices_of(study))
    else:
        kept.sampler = TPESampler(seed=settings.seed + index, n_startup_trials=settings.startup_trials)
    kept.pruner = _pruner(study, settings)


def _pruner(study: Study, settings: Optuna) -> Any:
    from optuna import pruners

    if study.pruner == "median":
        return pruners.MedianPruner(n_startup_trials=settings.startup_trials, n_warmup_steps=1)
    return pruners.SuccessiveHalvingPruner() if study.pruner == "halving" else pruners.NopPruner()


def _kept(storage: Any, full_name: str, study: Study) -> Any:
    """Return the study as Optuna keeps it."""
    import optuna

    optuna.logging.set_verbosity(logging.ERROR)
    with exclusive(storage), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        kept = optuna.create_study(
            storage=storage,
            study_name=full_name,
            directions=["maximize"] * len(study.objectives),
            load_if_exists=True,
        )
        kept.set_metric_names(list(study.objectives))
    return kept


@contextmanager
def _tracked(
    params: Params,
    name: str,
    study: Study,
    datasets: list[str],
    folder: Path,
    storage: Any,
    code: Code,
) -> Iterator[Run]:
    """Track the study's run; several workers share its folder, so they enter and leave one by one."""
    run = Run(
        folder,
        params.tracking,
        stage="sweep",
        method=study.methods[0] if len(study.methods) == 1 else None,
        profile=params.profile,
        params={"study": study.model_dump(mode="json")},
        dataset_digest=digest(datasets),
        name=name,
        code=code.digest,
    )
    with exclusive(storage):
        run.__enter__()
        run.announce()
    try:
        yield run
    except BaseException:
        with exclusive(storage):
            run.__exit__(*sys.exc_info())
        raise
    with exclusive(storage):
        run.__exit__(None, None, None)


def _state(trial: Any) -> str:
    return trial.state.name
