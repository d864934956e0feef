"""One seed of a trial: a run of its own, which goes on where it was killed."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from multisk.files import digest
from multisk.methods.pretraining import pretraining_settings, train_method
from multisk.params import Params
from multisk.sampling.source import ClipSource
from multisk.settings.sweep import Study
from multisk.sweep.space import Point
from multisk.sweep.validation import Validation, validation_settings
from multisk.sweep.watch import Watch
from multisk.tracking import Run
from multisk.training.loop import CHECKPOINT


@dataclass(frozen=True)
class SeedRun:
    """A pretraining with a trial's settings and one seed, judged on the validation part by calling it.

    Attributes:
        params: the trial's settings, at the study's pace.
        study: its study.
        method: which method it trains.
        point: what the trial varies.
        index, seed, position: the trial, its seed, and the place of the seed among the trial's.
        pretraining, benchmarks: opened corpora.
        folder: of the run.
        parent: `run_key` of the study's run.
        code: digest of the sources.
    """

    params: Params
    study: Study
    method: str
    point: Point
    index: int
    seed: int
    position: int
    pretraining: ClipSource
    benchmarks: dict[str, ClipSource]
    folder: Path
    parent: str
    code: str

    def __call__(self, trial: Any = None) -> dict[str, float]:
        """Train, and return what the validation found.

        trial: the Optuna trial, which a study with a pruner needs.

        Raises optuna.TrialPruned when the pruner stops it, and DivergedError.
        """
        from optuna import TrialPruned

        validation = Validation(self.params, self.benchmarks)
        watch = Watch(trial, self.study, self.position, self.params, validation, self.folder)
        pruned = None
        with self._run() as run:
            try:
                watch.repeat()
                result = train_method(
                    self.params, self.method, self.seed, self.pretraining, self.folder, run, watch
                )
                run.finish({"validation": watch.latest, "epochs": watch.epochs, "training": result.summary})
            except TrialPruned as error:  # as good an end as any: the run has not failed
                trained = {"epochs": watch.trained}
                run.finish({"validation": watch.latest, "epochs": watch.epochs, "training": trained})
                pruned = error
                (self.folder / CHECKPOINT).unlink(missing_ok=True)  # this training is never gone on with
        if not self.params.sweep.keep_weights:
            for path in self.folder.glob("*.safetensors"):
                path.unlink()
        if pruned:
            raise pruned
        return watch.latest

    def _run(self) -> Run:
        return Run(
            self.folder,
            self.params.tracking,
            stage="sweep",
            method=self.method,
            seed=self.seed,
            profile=self.params.profile,
            params={
                "point": self.point,
                **pretraining_settings(self.params, self.method),
                **validation_settings(self.params),
            },
            dataset_digest=digest([self.pretraining.digest, *(b.digest for b in self.benchmarks.values())]),
            parent=self.parent,
            trial=self.index,
            code=self.code,
        )
