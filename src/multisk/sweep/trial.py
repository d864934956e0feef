"""A trial: a pretraining with other settings, once per seed, judged on the validation part."""

import fcntl
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from operator import call
from pathlib import Path
from typing import Any

from multisk.errors import DivergedError, InputError
from multisk.params import Params
from multisk.sampling.source import ClipSource
from multisk.settings.sweep import Study
from multisk.side_by_side import SideBySide
from multisk.sweep.seed import SeedRun
from multisk.sweep.space import Point, grid, place, settings_of, suggest

INDEX, DIVERGED = "index", "diverged"  # what an Optuna trial carries: its number for good; why it failed


@dataclass(frozen=True)
class Trials:
    """The objective of a study: calling it with an Optuna trial runs that trial.

    The folder of trial i, `<folder>/trial-<i>`, holds a run per seed. A trial that was killed goes on in it.

    Attributes:
        params: the active settings, which trials change.
        name, study: the study's entry.
        pretraining, benchmarks: opened corpora.
        folder: of the study's runs.
        parent: `run_key` of the study's run.
        code: digest of the sources.
        together: where the seeds of a trial are trained side by side.
    """

    params: Params
    name: str
    study: Study
    pretraining: ClipSource
    benchmarks: dict[str, ClipSource]
    folder: Path
    parent: str
    code: str
    together: SideBySide

    def __call__(self, trial: Any) -> list[float]:
        """Run a trial and return its value per objective, the mean over seeds.

        Raises optuna.TrialPruned when the pruner stops it, and DivergedError.
        """
        index = trial.user_attrs[INDEX]
        with _held(self.folder / f"trial-{index}") as folder:
            runs = self._runs(index, suggest(trial, self.study), folder)
            try:
                if self.study.pruner:  # it judges the seeds one after the other
                    found = [run(trial) for run in runs]
                else:
                    found = self.together(call, [(run,) for run in runs])
            except DivergedError:
                trial.set_user_attr(DIVERGED, True)
                raise
        for run, values in zip(runs, found, strict=True):
            trial.set_user_attr(f"seed-{run.seed}", values)
        return [sum(values[name] for values in found) / len(found) for name in self.study.objectives]

    def _runs(self, index: int, point: Point, folder: Path) -> list[SeedRun]:
        method, params = settings_of(self.params, self.name, self.study, point)
        paced = self._paced(params)
        return [
            SeedRun(
                params=paced,
                study=self.study,
                method=method,
                point=point,
                index=index,
                seed=seed,
                position=position,
                pretraining=self.pretraining,
                benchmarks=self.benchmarks,
                folder=folder / f"seed-{seed}",
                parent=self.parent,
                code=self.code,
            )
            for position, seed in enumerate(seeds_of(self.study, index))
        ]

    def _paced(self, params: Params) -> Params:
        """Set the trial's epochs: with a share of the videos, as many steps as with all, at the same pace.

        A checkpoint is due at each epoch's end at the latest.
        """
        training, share = params.pretrain, params.clips.pretrain.share
        listed = self.pretraining.corpus.videos.query("split == 'train'")["video_id"]
        videos = len(set(listed).intersection(self.pretraining.store.videos()))
        steps, own = videos // training.batch_size, max(1, round(share * videos)) // training.batch_size
        if not own:
            raise InputError(
                f"{place(self.params, self.name)}: a share of {share:g} of {videos} videos is less than a "
                f"batch of {training.batch_size}; raise the share, or lower pretrain.batch_size"
            )
        epochs = math.ceil(self.study.epochs * steps / own)
        changes = {
            "epochs": epochs,
            "decay": training.decay ** (self.study.epochs / epochs),
            "checkpoint_steps": min(training.checkpoint_steps, own),
            "seeds": self.study.seeds,
        }
        return params.model_copy(update={"pretrain": training.model_copy(update=changes)})


def seeds_of(study: Study, index: int) -> list[int]:
    """Return the seeds of trial `index`: a grid that is gone through again has further seeds."""
    again = index // len(grid(study)) if study.sampler == "grid" else 0
    return [seed + again * (max(study.seeds) + 1) for seed in study.seeds]


@contextmanager
def _held(folder: Path) -> Iterator[Path]:
    # A worker that was only slow may still be at work where it was taken for dead: this one waits for it.
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield folder
