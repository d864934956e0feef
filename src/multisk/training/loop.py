"""The training loop: Adam, a learning rate that decays per epoch, a moving average, exact resumption.

As released: Adam without weight decay or clipping, one optimizer step per global batch, the learning rate
times `decay` after each epoch, the moving average of the weights beside the weights. Departures: the
queues are in the checkpoint, and the average rests when fp16's gradient scaler skips a step.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from functools import partial
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import DistributedDataParallelKwargs, gather_object, send_to_device, set_seed
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn.utils import get_total_norm
from torch.optim import Adam
from torch.optim.lr_scheduler import ExponentialLR
from torch.utils.data import Dataset
from tqdm import tqdm

from multisk.errors import InputError, one_line
from multisk.files import read_json, write_json
from multisk.settings.training import Training
from multisk.side_by_side import place
from multisk.stopping import Interrupt
from multisk.training.batches import Batches, Collate
from multisk.training.checkpoint import (
    Progress,
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

CHECKPOINT, WEIGHTS, AVERAGE, RESULT = (
    "checkpoint.pt",
    "model.safetensors",
    "ema.safetensors",
    "training.json",
)
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
        dataset: training items by index, see `Batches`.
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
    accelerator = _accelerator(settings)
    batches = _batches(dataset, collate, settings, seed, accelerator)
    keys = _settings_of_run(settings, batches, identity)
    if (directory / RESULT).exists():
        result = _finished(directory / RESULT, keys)
        (directory / CHECKPOINT).unlink(missing_ok=True)
        return result
    directory.mkdir(parents=True, exist_ok=True)
    set_seed(seed)

    objective.to(accelerator.device)
    average = averaged_model(objective.model, settings.ema)
    optimizer = Adam(objective.parameters(), lr=settings.learning_rate, betas=(0.9, 0.999), eps=1e-8)
    schedule = ExponentialLR(optimizer, gamma=settings.decay)
    parallel, optimizer = accelerator.prepare(objective, optimizer)
    progress = Progress(objective, average, optimizer, schedule, accelerator.scaler)
    if (directory / CHECKPOINT).exists():
        _resume(progress, directory / CHECKPOINT, keys, accelerator.process_index)
    if accelerator.is_main_process:
        log.rewind(progress.step)

    buffer = StepBuffer(log if accelerator.is_main_process else None, directory)
    save = partial(_save, accelerator, progress, directory / CHECKPOINT, keys)
    _run(accelerator, parallel, progress, batches, settings, buffer, save, on_epoch)

    result = _result(progress, settings, accelerator)
    if accelerator.is_main_process:
        _save_weights(objective.model, directory / WEIGHTS)
        _save_weights(average.module, directory / AVERAGE)
        with saving(directory / RESULT) as temporary:
            write_json(temporary, {**asdict(result), "settings": keys})
        (directory / CHECKPOINT).unlink(missing_ok=True)
    accelerator.wait_for_everyone()
    accelerator.unwrap_model(parallel, keep_fp32_wrapper=False)
    return result


def _run(
    accelerator: Accelerator,
    parallel: nn.Module,
    progress: Progress,
    batches: Batches,
    settings: Training,
    buffer: StepBuffer,
    save: Callable[[], None],
    on_epoch: OnEpoch | None,
) -> None:
    model, optimizer, schedule = progress.objective.model, progress.optimizer, progress.schedule
    last = settings.epochs * batches.per_epoch
    _training_mode(parallel, settings)
    hidden = None if accelerator.is_main_process else True  # None: shown in a terminal
    with (
        Interrupt() as interrupt,
        tqdm(total=last, initial=progress.step, disable=hidden, unit="step", position=place()) as bar,
    ):
        buffer.restart_clock()
        for batch in batches.between(progress.step, last):
            batch = send_to_device(batch, accelerator.device, non_blocking=True)
            loss, terms = parallel(batch)
            accelerator.backward(loss)
            accelerator.unscale_gradients(optimizer)
            metrics = {"loss": loss.detach(), **terms, "learning_rate": schedule.get_last_lr()[0]}
            gradient_norm = _gradient_norm(parallel)
            optimizer.step()
            optimizer.zero_grad()
            if not optimizer.step_was_skipped:
                metrics["gradient_norm"] = gradient_norm
                progress.average.update_parameters(model)

            clips = len(batch["video"]) * batches.processes
            buffer.add(progress.step, metrics, clips)
            progress.step += 1
            progress.clips += clips
            if progress.step % batches.per_epoch == 0:
                schedule.step()
            bar.update()

            called = on_epoch is not None and progress.step % batches.per_epoch == 0
            flush = called or progress.step % FLUSH_STEPS == 0
            stop = _stop_asked(accelerator, interrupt, flush)
            due = stop or progress.step == last or progress.step % settings.checkpoint_steps == 0
            if flush or due:
                latest, seconds = buffer.flush()
                progress.seconds += seconds
                bar.set_postfix(loss=f"{latest['loss']:.3f}", refresh=False)
            if on_epoch and called:
                on_epoch(progress.step // batches.per_epoch, model, progress.average.module)
                _training_mode(parallel, settings)
                buffer.restart_clock()
            if due:
                save()
                buffer.restart_clock()
            if stop:
                break
        if _stop_asked(accelerator, interrupt, flush=True):
            raise interrupt.asked or KeyboardInterrupt


def _training_mode(module: nn.Module, settings: Training) -> None:
    module.train()
    if settings.freeze_batch_norm:
        freeze_batch_norm(module)


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


def _batches(
    dataset: Dataset[Any], collate: Collate, settings: Training, seed: int, accelerator: Accelerator
) -> Batches:
    return Batches(
        dataset,
        collate,
        batch_size=settings.batch_size,
        seed=seed,
        workers=settings.workers,
        rank=accelerator.process_index,
        processes=accelerator.num_processes,
        pin_memory=accelerator.device.type == "cuda",
    )


def _settings_of_run(
    settings: Training, batches: Batches, identity: Mapping[str, Any] | None
) -> dict[str, Any]:
    section = {key: getattr(settings, key) for key in Training.model_fields if key not in Training.PACE}
    facts = {"seed": batches.seed, "items": batches.items, "processes": batches.processes}
    return flat_settings({**section, **facts, **(identity or {})})


def _finished(path: Path, keys: Mapping[str, Any]) -> Result:
    content = read_json(path)
    refuse_other_settings(path, content["settings"], keys)
    return Result(**{field.name: content[field.name] for field in fields(Result)})


def _resume(progress: Progress, path: Path, keys: Mapping[str, Any], rank: int) -> None:
    state = load_checkpoint(path)
    refuse_other_settings(path, state["settings"], keys)
    try:
        progress.load_state_dict(state)
    except (KeyError, RuntimeError, ValueError) as error:
        reason = one_line(error)[:200]
        raise InputError(f"{path}: is of another model ({reason}); delete it to train afresh") from None
    set_random_state(state["random"][rank])


def _save(accelerator: Accelerator, progress: Progress, path: Path, keys: Mapping[str, Any]) -> None:
    random = gather_object([random_state()])
    if accelerator.is_main_process:
        save_checkpoint(path, {**progress.state_dict(), "settings": dict(keys), "random": random})
    accelerator.wait_for_everyone()


def _stop_asked(accelerator: Accelerator, interrupt: Interrupt, flush: bool) -> bool:
    if accelerator.num_processes == 1:
        return interrupt.asked is not None
    # All processes must stop after the same step; to agree they wait for each other, so not at each one.
    if not flush:
        return False
    if interrupt.asked:
        accelerator.set_trigger()
    return accelerator.check_trigger()


def _gradient_norm(module: nn.Module) -> Tensor:
    return get_total_norm([p.grad for p in module.parameters() if p.grad is not None])


def _save_weights(model: nn.Module, path: Path) -> None:
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    with saving(path) as temporary:
        save_file(weights, temporary)


def _result(progress: Progress, settings: Training, accelerator: Accelerator) -> Result:
    on_gpu = accelerator.device.type == "cuda"
    return Result(
        steps=progress.step,
        epochs=settings.epochs,
        clips=progress.clips,
        seconds=progress.seconds,
        clips_per_second=progress.clips / progress.seconds,
        processes=accelerator.num_processes,
        device=torch.cuda.get_device_name() if on_gpu else accelerator.device.type,
        precision=settings.mixed_precision,
        torch=torch.__version__,
    )
