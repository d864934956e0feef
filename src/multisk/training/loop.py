"""The training loop: Adam, a learning rate that decays per epoch, a moving average, exact resumption.

As released: Adam without weight decay or clipping, one optimizer step per global batch, the learning rate
times `decay` after each epoch, the moving average of the weights beside the weights. Departures: the
queues are in the checkpoint, and the average rests when fp16's gradient scaler skips a step.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import DistributedDataParallelKwargs, gather_object, send_to_device, set_seed
from safetensors.torch import save_file
from torch import nn
from torch.nn.utils import get_total_norm
from torch.optim import Adam
from torch.optim.lr_scheduler import ExponentialLR
from torch.utils.data import Dataset
from tqdm import tqdm

from multisk.errors import InputError, one_line
from multisk.files import read_json, write_json
from multisk.layout import WEIGHTS
from multisk.settings.training import Training
from multisk.side_by_side import place
from multisk.stopping import Interrupt
from multisk.training.batches import Batch, Collate, TrainingBatches
from multisk.training.checkpoint import (
    TrainingState,
    flat_settings,
    load_checkpoint,
    random_state,
    refuse_other_settings,
    save_checkpoint,
    saving,
    set_random_state,
)
from multisk.training.ema import averaged_model
from multisk.training.objective import Objective
from multisk.training.steplog import StepBuffer, StepLog

CHECKPOINT, RESULT = "checkpoint.pt", "training.json"
OnEpoch = Callable[[int, nn.Module, nn.Module], None]
FLUSH_STEPS = 10  # steps whose metrics leave the device together


@dataclass(frozen=True)
class Result:
    """What a finished run was; `training.json` holds it, with the run's settings."""

    steps: int
    epochs: int
    clips: int
    seconds: float
    clips_per_second: float
    processes: int
    device: str
    precision: str
    torch: str

    @property
    def summary(self) -> dict[str, float]:
        """The numbers among it."""
        return {name: value for name, value in asdict(self).items() if not isinstance(value, str)}


def train(
    objective: Objective,
    dataset: Dataset[Any],
    collate: Collate,
    settings: Training,
    directory: Path,
    log: StepLog,
    *,
    seed: int,
    identity: Mapping[str, Any] | None = None,
    on_epoch: OnEpoch | None = None,
) -> Result:
    """Train an objective in a directory, or go on with what the directory holds.

    A killed run that is started again ends in the same weights, bit for bit on a CPU, as one that was
    not. Ctrl-C, SIGTERM and SIGUSR1 save a checkpoint before they interrupt. A finished directory is left as
    it is.

    Args:
        objective: the initialised model and losses.
        dataset: training items by index, see `TrainingBatches`.
        collate: makes a batch of a list of items: `video` [B, ...] and whatever the model reads.
        settings: the section of params.yaml.
        directory: gets `checkpoint.pt`, and in its place, at the end, `model.safetensors`,
            `ema.safetensors` and `training.json`.
        log: takes the loss, its terms, gradient norm, learning rate and throughput of each step.
        seed: decides the order of the items.
        identity: further settings, with which alone the run may go on (method, model, data).
        on_epoch: is called at each epoch's end, before its checkpoint, with the number of epochs done, the
            model and its moving average; it leaves random numbers as they are. What it raises ends the run,
            which goes on from the last checkpoint. A finished directory calls it no more.

    Raises:
        InputError: the settings do not fit the machine, the dataset or the directory; the disk is full;
            the loss is not finite.
        KeyboardInterrupt: after Ctrl-C and the checkpoint; its kind `Terminated` after the other signals.
    """
    trainer = Trainer(objective, dataset, collate, settings, directory, log, seed, identity, on_epoch)
    if (directory / RESULT).exists():
        return trainer.finished()
    trainer.begin()
    trainer.run()
    return trainer.finish()


class Trainer:
    """One run of training; `train` says what goes in, and calls the parts in their order."""

    def __init__(
        self,
        objective: Objective,
        dataset: Dataset[Any],
        collate: Collate,
        settings: Training,
        directory: Path,
        log: StepLog,
        seed: int,
        identity: Mapping[str, Any] | None,
        on_epoch: OnEpoch | None,
    ) -> None:
        self.accelerator = _accelerator(settings)
        self.batches = TrainingBatches(
            dataset,
            collate,
            batch_size=settings.batch_size,
            seed=seed,
            workers=settings.workers,
            rank=self.accelerator.process_index,
            processes=self.accelerator.num_processes,
            pin_memory=self.accelerator.device.type == "cuda",
        )
        self.steps = settings.epochs * self.batches.per_epoch
        self.objective = objective
        self.settings = settings
        self.directory = directory
        self.log = log
        self.on_epoch = on_epoch
        # The run may go on with the same of these alone: anything else would give other weights.
        section = {key: getattr(settings, key) for key in Training.model_fields if key not in Training.PACE}
        facts = {"seed": seed, "items": self.batches.items, "processes": self.batches.processes}
        self.identity = flat_settings({**section, **facts, **(identity or {})})

    def finished(self) -> Result:
        """Return what the finished run in the directory was."""
        path = self.directory / RESULT
        content = read_json(path)
        refuse_other_settings(path, content["settings"], self.identity)
        (self.directory / CHECKPOINT).unlink(missing_ok=True)  # its end came before it could drop it
        return Result(**{field.name: content[field.name] for field in fields(Result)})

    def begin(self) -> None:
        """Make all that a step changes, or take it from the checkpoint."""
        self.directory.mkdir(parents=True, exist_ok=True)
        set_seed(self.batches.seed)
        self.objective.to(self.accelerator.device)
        average = averaged_model(self.objective.model, self.settings.ema)
        # As released: no weight decay, and anchors learn at the rate of all else.
        parameters = self.objective.parameters()
        optimizer = Adam(parameters, lr=self.settings.learning_rate, betas=(0.9, 0.999), eps=1e-8)
        schedule = ExponentialLR(optimizer, gamma=self.settings.decay)
        self.parallel, optimizer = self.accelerator.prepare(self.objective, optimizer)
        self.state = TrainingState(self.objective, average, optimizer, schedule, self.accelerator.scaler)
        if (self.directory / CHECKPOINT).exists():
            self._resume(self.directory / CHECKPOINT)
        main = self.accelerator.is_main_process
        if main:
            self.log.rewind(self.state.step)
        self.buffer = StepBuffer(self.log if main else None, self.directory)

    def run(self) -> None:
        """Do the steps that are left; asked to stop, raise KeyboardInterrupt after a checkpoint."""
        state, per_epoch = self.state, self.batches.per_epoch
        hidden = None if self.accelerator.is_main_process else True  # None: shown in a terminal
        self._training_mode()
        with (
            Interrupt() as interrupt,
            tqdm(total=self.steps, initial=state.step, disable=hidden, unit="step", position=place()) as bar,
        ):
            self.buffer.restart_clock()
            for batch in self.batches.between(state.step, self.steps):
                self._step(batch)
                bar.update()
                epoch_ended = state.step % per_epoch == 0
                if epoch_ended:
                    state.schedule.step()  # per epoch, as released

                judged = epoch_ended and self.on_epoch is not None
                flush = judged or state.step % FLUSH_STEPS == 0
                stop = self._stop_asked(interrupt, flush)
                due = stop or state.step == self.steps or state.step % self.settings.checkpoint_steps == 0
                if flush or due:
                    # Before the checkpoint: numbers that are not finite end the run here, and the checkpoint
                    # that is there stays a good one.
                    latest, seconds = self.buffer.flush()
                    state.seconds += seconds
                    bar.set_postfix(loss=f"{latest['loss']:.3f}", refresh=False)
                if judged and self.on_epoch is not None:
                    self.on_epoch(state.step // per_epoch, self.objective.model, state.average.module)
                    self._training_mode()
                    self.buffer.restart_clock()
                if due:
                    self._save()
                    self.buffer.restart_clock()
                if stop:
                    break
            # Asked again: the request may have come after the last step's answer.
            if self._stop_asked(interrupt, flush=True):
                raise interrupt.asked or KeyboardInterrupt

    def _step(self, batch: Batch) -> None:
        """Learn from one batch."""
        state, optimizer = self.state, self.state.optimizer
        batch = send_to_device(batch, self.accelerator.device, non_blocking=True)
        # Model and losses are one module: with several processes, gradients meet where it is called.
        loss, terms = self.parallel(batch)
        self.accelerator.backward(loss)
        # fp16 multiplies the loss, and so the gradients; a norm can be compared only without that.
        self.accelerator.unscale_gradients(optimizer)
        gradient_norm = get_total_norm([p.grad for p in self.parallel.parameters() if p.grad is not None])
        rate = state.schedule.get_last_lr()[0]
        optimizer.step()  # gradients are not clipped (as released)
        optimizer.zero_grad()

        metrics = {"loss": loss.detach(), **terms, "learning_rate": rate}
        # fp16 skips steps whose gradients overflow: the weights are the old ones, and the norm is infinite.
        if not optimizer.step_was_skipped:
            metrics["gradient_norm"] = gradient_norm
            state.average.update_parameters(self.objective.model)
        clips = len(batch["video"]) * self.batches.processes
        self.buffer.add(state.step, metrics, clips)
        state.step += 1
        state.clips += clips

    def finish(self) -> Result:
        """Write weights, their average and the record, each whole; then drop the checkpoint."""
        result = self._result()
        if self.accelerator.is_main_process:
            _save_weights(self.objective.model, self.directory / WEIGHTS["raw"])
            _save_weights(self.state.average.module, self.directory / WEIGHTS["ema"])
            # Last: with the record, a directory counts as finished.
            with saving(self.directory / RESULT) as temporary:
                write_json(temporary, {**asdict(result), "settings": self.identity})
            (self.directory / CHECKPOINT).unlink(missing_ok=True)
        self.accelerator.wait_for_everyone()
        self.accelerator.unwrap_model(self.parallel, keep_fp32_wrapper=False)
        return result

    def _training_mode(self) -> None:
        self.parallel.train()
        if self.settings.freeze_batch_norm:
            freeze_batch_norm(self.parallel)

    def _resume(self, path: Path) -> None:
        content = load_checkpoint(path)
        refuse_other_settings(path, content["settings"], self.identity)
        try:
            self.state.load_state_dict(content)
        except (KeyError, RuntimeError, ValueError) as error:
            reason = one_line(error)[:200]
            raise InputError(f"{path}: is of another model ({reason}); delete it to train afresh") from None
        set_random_state(content["random"][self.accelerator.process_index])

    def _save(self) -> None:
        # Each process draws numbers of its own; all else is the same in all of them.
        random = gather_object([random_state()])
        if self.accelerator.is_main_process:
            content = {**self.state.state_dict(), "settings": dict(self.identity), "random": random}
            save_checkpoint(self.directory / CHECKPOINT, content)
        self.accelerator.wait_for_everyone()

    def _stop_asked(self, interrupt: Interrupt, flush: bool) -> bool:
        if self.accelerator.num_processes == 1:
            return interrupt.asked is not None
        # All processes must stop after the same step; to agree they wait for each other, so not at each one.
        if not flush:
            return False
        if interrupt.asked:
            self.accelerator.set_trigger()
        return self.accelerator.check_trigger()

    def _result(self) -> Result:
        on_gpu = self.accelerator.device.type == "cuda"
        return Result(
            steps=self.state.step,
            epochs=self.settings.epochs,
            clips=self.state.clips,
            seconds=self.state.seconds,
            clips_per_second=self.state.clips / self.state.seconds,
            processes=self.accelerator.num_processes,
            device=torch.cuda.get_device_name() if on_gpu else self.accelerator.device.type,
            precision=self.settings.mixed_precision,
            torch=torch.__version__,
        )


def freeze_batch_norm(module: nn.Module) -> None:
    """Let batch norm use its running statistics and leave them as they are (fine-tuning, as released)."""
    for part in module.modules():
        if isinstance(part, nn.modules.batchnorm._BatchNorm):
            part.eval()


def _accelerator(settings: Training) -> Accelerator:
    # Accelerate keeps the first precision for the whole process; the next run may need another one.
    AcceleratorState._reset_state()
    # Anchors get no gradient until the queue is full. The buffers need no broadcast: the queues hold the
    # global batch on every process, and batch norm's statistics are the first process's (as released).
    parallel = DistributedDataParallelKwargs(find_unused_parameters=True, broadcast_buffers=False)
    accelerator = Accelerator(mixed_precision=settings.mixed_precision, kwargs_handlers=[parallel])
    if settings.mixed_precision == "fp16" and accelerator.device.type == "cpu":
        raise InputError("params.yaml: mixed_precision: fp16 needs a GPU; set it to no or bf16")
    return accelerator


def _save_weights(model: nn.Module, path: Path) -> None:
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    with saving(path) as temporary:
        save_file(weights, temporary)
