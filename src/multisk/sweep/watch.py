"""Validation of a training that goes on, and the pruner's word on it."""

from pathlib import Path
from typing import Any

from torch import nn

from multisk.files import read_json, write_json
from multisk.params import Params
from multisk.settings.sweep import Study
from multisk.sweep.validation import Validation

CURVE = "validation.json"  # what the validation said after which epoch


class Watch:
    """Validates a training at its end, and for a pruner after each epoch; what was found stays in a file.

    Calling it is `train`'s `on_epoch`. Epochs are counted as the study counts them, with all videos.

    Args:
        trial: the Optuna trial.
        study: its study.
        position: which of the trial's seeds is trained.
        params: the trial's settings.
        validation: judges the model.
        folder: of the seed's run.
    """

    def __init__(
        self,
        trial: Any,
        study: Study,
        position: int,
        params: Params,
        validation: Validation,
        folder: Path,
    ) -> None:
        self.trial, self.study, self.position, self.validation = trial, study, position, validation
        self.length = params.pretrain.epochs  # of the study's epochs, in the trial's own
        self.average = params.evaluate.weights == "ema"
        self.path = folder / CURVE
        self.curve: dict[int, dict[str, float]] = {}
        if self.path.exists():
            self.curve = {int(epoch): values for epoch, values in read_json(self.path).items()}

    @property
    def epochs(self) -> int:
        """Epochs after which the latest validation was made."""
        return max(self.curve)

    @property
    def trained(self) -> int:
        """The same in the trial's own epochs, of which there are more when it has a share of the videos."""
        return -(-self.epochs * self.length // self.study.epochs)

    @property
    def latest(self) -> dict[str, float]:
        """What the latest validation found."""
        return self.curve[self.epochs]

    def repeat(self) -> None:
        """Tell the pruner what was found before the trial was interrupted."""
        for epoch in sorted(self.curve):
            self._tell(epoch)

    def __call__(self, done: int, model: nn.Module, average: nn.Module) -> None:
        """Validate after an epoch, if that is due; raise optuna.TrialPruned if the pruner says so."""
        epoch, before = (n * self.study.epochs // self.length for n in (done, done - 1))
        if epoch == before or (not self.study.pruner and epoch < self.study.epochs):
            return
        self.curve[epoch] = self.validation(average if self.average else model)
        write_json(self.path, self.curve)
        self._tell(epoch)

    def _tell(self, epoch: int) -> None:
        from optuna import TrialPruned

        if not self.study.pruner:
            return
        step = self.position * self.study.epochs + epoch
        self.trial.report(self.curve[epoch][self.study.objectives[0]], step)
        if epoch < self.study.epochs and self.trial.should_prune():
            raise TrialPruned(f"after epoch {epoch} of seed {self.position}")
