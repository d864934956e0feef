"""One training step, part by part: forward, losses, backward, optimizer.

    python benchmarks/train_step.py --params params.yaml --method sspc --device cuda

Random clips of the settings' shapes go through the model and losses of one of its methods; the queues are
full from the first measured step on. Times are medians over the steps. Floating-point operations are
counted by torch (matrix products, convolutions and attention, forward and backward).
"""

import argparse
import json
import resource
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.optim import Adam
from torch.utils.flop_counter import FlopCounterMode

from multisk.features.appearance import AppearanceNetwork
from multisk.features.motion import MotionNetwork, ResNeXt3d
from multisk.methods.model import position_counts
from multisk.models import build_model
from multisk.params import Params, load_params
from multisk.training import Objective
from multisk.training.ema import averaged_model
from multisk.training.objective import in_full_precision

BANDS = 40
PRECISIONS = {"fp16": torch.float16, "bf16": torch.bfloat16}
PARTS = ("forward", "losses", "backward", "optimizer")


def main() -> None:
    """Run the measurement and print it."""
    arguments = parse()
    row = measure(arguments, load_params(arguments.params))
    if arguments.json:
        print(json.dumps(row))
        return
    print(
        f"{row['profile']}, {row['method']}: {row['clips']} clips a step, {row['parameters'] / 1e6:.1f} M "
        f"parameters, {row['precision']}, {row['device']}, {row['threads']} threads, torch {row['torch']}"
    )
    for part in PARTS:
        print(f"{part:<12}{row[part]:10.4f} s  {row[part] / row['step']:6.1%}")
    print(f"{'step':<12}{row['step']:10.4f} s")
    print(f"{'throughput':<12}{row['clips_per_second']:10.1f} clips/s")
    print(f"{'compute':<12}{row['flops_per_second'] / 1e12:10.3f} TFLOP/s ({row['flops']:.3e} FLOP a step)")
    print(f"{'peak memory':<12}{row['peak_bytes'] / 2**30:10.2f} GiB")


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--params", type=Path, default=Path("params.yaml"), help="a params file")
    parser.add_argument("--method", default="sspc", help="one of the profile's methods")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--batch", type=int, help="clips a step (default: the profile's)")
    parser.add_argument("--steps", type=int, default=5, help="measured steps")
    parser.add_argument("--precision", choices=["no", *PRECISIONS], help="default: the profile's")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    return parser.parse_args()


def measure(arguments: argparse.Namespace, params: Params) -> dict[str, Any]:
    """Time the steps and count their operations."""
    device = torch.device(arguments.device)
    torch.manual_seed(arguments.seed)
    step = Step(params, arguments, device)
    step.fill_queues()
    with FlopCounterMode(display=False) as counter:
        step.run()
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    times = [step.run() for _ in range(arguments.steps)]
    parts = {part: statistics.median(each[part] for each in times) for part in PARTS}
    whole = statistics.median(sum(each.values()) for each in times)
    flops = counter.get_total_flops()
    return {
        "profile": params.profile,
        "method": arguments.method,
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "precision": step.precision,
        "clips": step.clips,
        "parameters": sum(parameter.numel() for parameter in step.objective.parameters()),
        **parts,
        "step": whole,
        "clips_per_second": step.clips / whole,
        "flops": flops,
        "flops_per_second": flops / whole,
        "peak_bytes": peak_bytes(device),
    }


class Step:
    """A training step whose parts can be timed."""

    def __init__(self, params: Params, arguments: argparse.Namespace, device: torch.device) -> None:
        method = params.method(arguments.method)
        clips, text_dimension = params.clips.pretrain, params.features.words.dimension
        video_dimension = width_of_video(params)
        self.device = device
        self.precision = arguments.precision or params.pretrain.mixed_precision
        self.clips = arguments.batch or params.pretrain.batch_size * clips.clips_per_video
        self.queue = max(part.queue if part else 0 for part in (method.sspc, method.clustering))
        with device:
            model = build_model(
                method.model,
                params.model,
                text_dimension=text_dimension,
                video_dimension=video_dimension,
                anchors=method.sspc.anchors if method.sspc else None,
                architecture=method.architecture,
                positions=position_counts(params.model, clips),
            )
            self.objective = Objective(model, method).train()
            self.batch = {
                **tokens("text", self.clips, clips.words, text_dimension),
                **tokens("video", self.clips, clips.video_tokens, video_dimension),
                "audio": torch.randn(self.clips, BANDS, clips.audio_frames),
                "audio_mask": torch.ones(self.clips, clips.audio_frames, dtype=torch.bool),
            }
        self.average = averaged_model(model, params.pretrain.ema)
        self.optimizer = Adam(self.objective.parameters(), lr=params.pretrain.learning_rate)
        enabled = self.precision == "fp16" and device.type == "cuda"
        self.scaler = torch.amp.GradScaler(device.type, enabled=enabled)

    def fill_queues(self) -> None:
        """Let the losses see embeddings until the SSPC loss is on."""
        with torch.no_grad(), self._autocast():
            embeddings = in_full_precision(self.objective.model(self.batch))
            for _ in range(-(-self.queue // self.clips)):
                self.objective.losses(embeddings)

    def run(self) -> dict[str, float]:
        """Do one step; return the seconds of its parts."""
        times: dict[str, float] = {}
        with self._timed("forward", times), self._autocast():
            embeddings = self.objective.model(self.batch)
        with self._timed("losses", times):
            loss, _ = self.objective.losses(in_full_precision(embeddings))
        with self._timed("backward", times):
            self.scaler.scale(loss).backward()
        with self._timed("optimizer", times):
            self.scaler.step(self.optimizer)
            self.scaler.update()
            self.optimizer.zero_grad()
            self.average.update_parameters(self.objective.model)
        return times

    def _autocast(self) -> torch.autocast:
        dtype = PRECISIONS.get(self.precision)
        return torch.autocast(self.device.type, dtype=dtype, enabled=dtype is not None)

    @contextmanager
    def _timed(self, part: str, times: dict[str, float]) -> Iterator[None]:
        start = self._now()
        yield
        times[part] = self._now() - start

    def _now(self) -> float:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return time.perf_counter()


def width_of_video(params: Params) -> int:
    """Return the width of the features that the profile's networks would make of a video."""
    appearance, motion = params.features.appearance, params.features.motion
    with torch.device("meta"):
        picture = AppearanceNetwork(appearance.model, every_stage=appearance.weights == "random")
        if motion is None:
            return picture.dimension
        backbone = ResNeXt3d(motion.blocks, motion.cardinality, motion.width)
        moving = MotionNetwork(backbone, motion.window, every_stage=motion.weights == "random")
    return picture.dimension + moving.dimension


def tokens(name: str, clips: int, count: int, dimension: int) -> dict[str, Tensor]:
    """Return random tokens [clips, count, dimension] with all of them real."""
    mask = torch.ones(clips, count, dtype=torch.bool)
    return {name: torch.randn(clips, count, dimension), f"{name}_mask": mask}


def peak_bytes(device: torch.device) -> int:
    """Return the largest memory in use: on the GPU since the warm-up, on a CPU by the whole process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


if __name__ == "__main__":
    main()
