"""One forward pass of a published model at its full size: parameters, seconds, peak memory.

    python benchmarks/full_size_forward.py
    python benchmarks/full_size_forward.py --checkpoint imported/latest_model-1a2b3c4d.safetensors

Without a checkpoint the weights are random; neither time nor memory depends on them. Inputs have the
sizes of the paper: 20 words, 12 video tokens and 768 log-mel frames (8 seconds) a clip.
"""

import argparse
import json
import resource
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from multisk.models.checkpoints import load_imported
from multisk.models.release_config import model_from_release_config

TEXT, VIDEO, BANDS = 300, 4096, 40
WORDS, VIDEO_TOKENS, FRAMES = 20, 12, 768
ANCHORS = {"anc_len_txt": 64, "anc_len_vid": 64, "anc_len_aud": 64}
SIZES = {"embed_dim": 4096, "depth": 1, "num_heads": 64, "mlp_ratio": 1}
CONFIGS: dict[str, tuple[str, dict[str, Any]]] = {
    "multi-sk": ("TransformerPerModalityModel2", {"fusion_params": {**SIZES, **ANCHORS}}),
    "eao": ("EverythingAtOnceModel", {"fusion_params": SIZES}),
    "avlnet": ("AVLnetBaselineModel", {}),
}


def main() -> None:
    """Measure and print."""
    arguments = parse()
    row = measure(arguments)
    if arguments.json:
        print(json.dumps(row))
        return
    print(f"{row['model']}, {row['device']}, {row['threads']} threads, torch {row['torch']}")
    print(f"parameters  {row['parameters']:15,}")
    print(f"build       {row['build_seconds']:15.1f} s")
    print(f"forward     {row['forward_seconds']:15.2f} s ({row['batch']} clips)")
    print(f"peak memory {row['peak_gigabytes']:15.2f} GB")


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", choices=list(CONFIGS), default="multi-sk")
    parser.add_argument("--checkpoint", type=Path, help="weights written by multisk import-checkpoint")
    parser.add_argument("--batch", type=int, default=8, help="clips")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    return parser.parse_args()


def measure(arguments: argparse.Namespace) -> dict[str, str | int | float]:
    """Build a model, run it once to warm up and once measured."""
    device = torch.device(arguments.device)
    start = time.perf_counter()
    model = build(arguments.model, arguments.checkpoint).to(device)
    build_seconds = time.perf_counter() - start
    clips = batch(arguments.batch, device)
    forward(model, clips)
    start = time.perf_counter()
    forward(model, clips)
    return {
        "model": str(arguments.checkpoint or arguments.model),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "batch": arguments.batch,
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "build_seconds": build_seconds,
        "forward_seconds": time.perf_counter() - start,
        "peak_gigabytes": peak_bytes(device) / 1e9,
    }


def build(name: str, checkpoint: Path | None) -> nn.Module:
    """Return a model in evaluation mode: imported, or with random weights."""
    if checkpoint:
        return load_imported(checkpoint)
    torch.manual_seed(0)
    return model_from_release_config(*CONFIGS[name]).eval()


def batch(size: int, device: torch.device) -> dict[str, Tensor]:
    """Return random clips of the published sizes."""
    generator = torch.Generator().manual_seed(0)
    shapes = {"text": (WORDS, TEXT), "video": (VIDEO_TOKENS, VIDEO), "audio": (BANDS, FRAMES)}
    lengths = {"text": WORDS, "video": VIDEO_TOKENS, "audio": FRAMES}
    clips = {name: torch.randn(size, *shape, generator=generator) for name, shape in shapes.items()}
    masks = {f"{name}_mask": torch.ones(size, length, dtype=torch.bool) for name, length in lengths.items()}
    return {name: tensor.to(device) for name, tensor in (clips | masks).items()}


@torch.inference_mode()
def forward(model: nn.Module, clips: dict[str, Tensor]) -> None:
    """Run the model; the embeddings must be finite."""
    joint = model(clips).joint
    assert all(torch.isfinite(x).all() for x in joint.values())


def peak_bytes(device: torch.device) -> int:
    """Return the most memory that was ever taken, on the GPU or by this process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


if __name__ == "__main__":
    main()
