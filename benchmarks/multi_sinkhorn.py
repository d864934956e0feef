"""Multi-SK beside its plain K-slot reference: seconds, ratio and largest difference.

    python benchmarks/multi_sinkhorn.py

The defaults are the paper's sizes: a queue of 5,500 and a batch of 216 make 5,716 samples, and 64 anchors.
Both run in this process on the same scores; each time is the best of its repetitions after a warm-up.
The reference is tests/reference/multi_sinkhorn.py.
"""

import argparse
import json
import math
import runpy
import time
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from multisk.sinkhorn import multi_sinkhorn

REFERENCE = Path(__file__).parents[1] / "tests" / "reference" / "multi_sinkhorn.py"


def main() -> None:
    """Run the comparison and print it."""
    arguments = parse()
    row = compare(arguments)
    if arguments.json:
        print(json.dumps(row))
        return
    print(
        f"{row['samples']} samples, {row['anchors']} anchors, {row['slots']} slots, {row['device']}, "
        f"{row['threads']} threads, torch {row['torch']}"
    )
    print(f"reference   {row['reference_seconds']:10.5f} s")
    print(f"multisk     {row['seconds']:10.5f} s")
    print(f"ratio       {row['ratio']:10.1f}")
    print(f"difference  {row['difference']:10.1e} (largest)")


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=5716, help="rows of the scores: queue + batch")
    parser.add_argument("--anchors", type=int, default=64)
    parser.add_argument("--slots", choices=["constant", "ramp"], default="constant")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--repetitions", type=int, default=20, help="of ours; the reference runs twice")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    return parser.parse_args()


def compare(arguments: argparse.Namespace) -> dict[str, str | int | float]:
    """Time both on the same cosine scores."""
    device = torch.device(arguments.device)
    scores = cosines(arguments.samples, arguments.anchors, arguments.seed).to(device)
    reference = runpy.run_path(str(REFERENCE))["multi_sinkhorn"]
    seconds, ours = best(
        lambda: multi_sinkhorn(scores, slots=arguments.slots).assignment, arguments.repetitions, device
    )
    reference_seconds, expected = best(
        lambda: reference(scores, slots=arguments.slots), min(2, arguments.repetitions), device
    )
    return {
        "samples": arguments.samples,
        "anchors": arguments.anchors,
        "slots": arguments.slots,
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "reference_seconds": reference_seconds,
        "seconds": seconds,
        "ratio": reference_seconds / seconds,
        "difference": (ours - expected).abs().max().item(),
    }


def cosines(samples: int, anchors: int, seed: int, dimension: int = 256) -> Tensor:
    """Return cosine similarities [samples, anchors] of samples that crowd around some of the anchors."""
    generator = torch.Generator().manual_seed(seed)
    anchor_KD = F.normalize(torch.randn(anchors, dimension, generator=generator), dim=1)
    nearest_N = torch.randint(anchors, (samples,), generator=generator)
    noise_ND = torch.randn(samples, dimension, generator=generator) / math.sqrt(dimension)
    return F.normalize(anchor_KD[nearest_N] + noise_ND, dim=1) @ anchor_KD.T


def best(run: Callable[[], Tensor], repetitions: int, device: torch.device) -> tuple[float, Tensor]:
    """Return the shortest time of `run` in seconds, after a warm-up, and its result."""
    times = []
    for _ in range(repetitions + 1):
        start = time.perf_counter()
        result = run()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        times.append(time.perf_counter() - start)
    return min(times[1:]), result


if __name__ == "__main__":
    main()
