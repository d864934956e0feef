"""What training will take: steps, parameters, disk, memory; and time where somebody has measured a step."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from multisk.errors import InputError, one_line
from multisk.features.audio import BANDS
from multisk.layout import WEIGHTS, Layout
from multisk.methods.model import method_model
from multisk.params import Params
from multisk.preflight.checks import Check
from multisk.preflight.given import PRETRAIN, Given, streams_of, uses

# Bytes per parameter, all in single precision.
TRAINED = 4 + 4 + 4 + 8  # in memory: weights, gradients, moving average, Adam's two moments
KEPT = 4 + 4  # on disk: the two sets of weights
RESUMED = 2 * (4 + 4 + 8)  # until the end: a checkpoint with both and Adam's moments, and a new one beside it
MEASURE = "python benchmarks/train_step.py --params params.yaml --method {} --json > step-{}.json"


@dataclass(frozen=True)
class Effort:
    """One method's training, over all seeds.

    parameters: of its model
    pretraining, finetuning: optimizer steps
    operations: floating-point operations of pretraining, see `clip_operations`
    unfinished: training runs, of both kinds, that have not ended yet
    """

    method: str
    parameters: int
    pretraining: int
    finetuning: int
    operations: float
    unfinished: int

    @property
    def disk(self) -> int:
        """Bytes that its unfinished runs will take, one after the other."""
        return self.parameters * (KEPT * self.unfinished + RESUMED * bool(self.unfinished))

    @property
    def memory(self) -> int:
        """Bytes that training takes, without the activations."""
        return self.parameters * TRAINED


def efforts(params: Params, layout: Layout, found: Mapping[str, Given]) -> list[Effort]:
    """Return what each method takes; nothing as long as the features are not there to be counted."""
    wanted = set(streams_of(params))
    if set(found) != set(uses(params)) or any(
        wanted - set(given.store.streams()) for given in found.values()
    ):
        return []
    items = {use: given.trained_on(params) for use, given in found.items()}
    dimensions = {
        "text_dimension": params.features.words.dimension,
        "video_dimension": sum(found[PRETRAIN].video_dimensions),
    }
    return [_effort(params, layout, method, items, dimensions) for method in params.methods]


def _effort(params: Params, layout: Layout, method: str, items: Any, dimensions: dict[str, int]) -> Effort:
    with torch.device("meta"):
        model = method_model(params, method, dimensions)
    seeds = params.pretrain.seeds
    tuned = {name: entry.finetune for name, entry in params.benchmarks.items() if entry.finetune}
    folders = [layout.pretrained(method, seed) for seed in seeds]
    folders += [layout.finetuned(method, name, seed) for name in tuned for seed in seeds]
    steps = len(seeds) * _steps(items[PRETRAIN], params.pretrain)
    clips = steps * params.pretrain.batch_size * params.clips.pretrain.clips_per_video
    tuning = [_steps(items[name], training) for name, training in tuned.items()]
    return Effort(
        method=method,
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        pretraining=steps,
        finetuning=len(seeds) * sum(tuning),
        operations=clips * clip_operations(model, params, dimensions),
        unfinished=sum(not (folder / WEIGHTS["raw"]).is_file() for folder in folders),
    )


def clip_operations(model: nn.Module, params: Params, dimensions: dict[str, int]) -> float:
    """Return the operations of training on one clip: those of its forward pass, and twice as many to go back.

    Matrix products, convolutions and attention are counted, by torch, on a model without values (meta).
    """
    clips = params.clips.pretrain
    batch = {
        **_nothing("text", (clips.words, dimensions["text_dimension"]), clips.words),
        **_nothing("video", (clips.video_tokens, dimensions["video_dimension"]), clips.video_tokens),
        **_nothing("audio", (BANDS, clips.audio_frames), clips.audio_frames),
    }
    with FlopCounterMode(display=False) as counter:
        model.eval().requires_grad_(False)(batch)
    return 3 * counter.get_total_flops()


def _nothing(name: str, shape: tuple[int, int], tokens: int) -> dict[str, Tensor]:
    mask = torch.ones(1, tokens, dtype=torch.bool, device="meta")
    return {name: torch.empty(1, *shape, device="meta"), f"{name}_mask": mask}


def _steps(items: int, training: Any) -> int:
    return training.epochs * (items // training.batch_size)


def step_times(paths: list[Path]) -> dict[str, dict[str, Any]]:
    """Read what `benchmarks/train_step.py --json` printed, by method; raise InputError for other files."""
    times = {}
    for path in paths:
        try:
            row = json.loads(path.read_text())
            times[str(row["method"])] = {
                "seconds": float(row["step"]), "device": str(row["device"]), "clips": int(row["clips"]),
                "gigabytes": row["peak_bytes"] / 10**9,
            }  # fmt: skip
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"{path}: no output of benchmarks/train_step.py --json ({one_line(error)}); measure again"
            ) from None
    return times


def effort_checks(params: Params, found: list[Effort], times: dict[str, dict[str, Any]]) -> Iterator[Check]:
    """Say what each method takes; time is never guessed."""
    if not found:
        yield Check("methods", "training", "note", "cannot be counted before all features are there")
    for effort in found:
        yield Check(
            effort.method,
            "training",
            "ok",
            f"{effort.parameters:,} parameters, {effort.pretraining:,} steps of pretraining, "
            f"{effort.finetuning:,} of fine-tuning, over {len(params.pretrain.seeds)} seeds",
        )
        yield _hours(params, effort, times.get(effort.method))


def _hours(params: Params, effort: Effort, measured: dict[str, Any] | None) -> Check:
    if measured is None:
        how = MEASURE.format(effort.method, effort.method)
        counted = f"unknown; {effort.operations:.2g} floating-point operations of pretraining"
        return Check(effort.method, "time", "note", f"{counted}; measure a step, then name the file: {how}")
    clips = params.pretrain.batch_size * params.clips.pretrain.clips_per_video
    if measured["clips"] != clips:
        detail = (
            f"measured with {measured['clips']:,} clips a step, params.yaml says {clips:,}; measure again"
        )
        return Check(effort.method, "time", "note", detail)
    hours = effort.pretraining * measured["seconds"] / 3600
    said = (
        f"{hours:.3g} hours of pretraining on {measured['device']}: {effort.pretraining:,} steps x "
        f"{measured['seconds']:.4g} s as measured, in {measured['gigabytes']:.3g} GB; without reading data, "
        "and without fine-tuning, which was not measured"
    )
    return Check(effort.method, "time", "ok", said)
