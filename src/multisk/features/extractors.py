"""The two networks that make features, fixed once and then used for every corpus.

    data/extractors/appearance.safetensors, motion.safetensors    all weights and statistics
                    extractors.json                               settings and checksums

Random weights stand in for trained ones where none can be had. A random network tells pictures apart only
if each layer's output is centred and scaled to the pictures it sees; so its batch normalisations, and one
more over the pooled features, take their statistics from frames of the training corpus. And each random
layer blurs what the one before it saw, so a random network is read at every stage, not only at the last.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from multisk.corpora.manifest import Corpus
from multisk.errors import InputError
from multisk.features.appearance import AppearanceNetwork
from multisk.features.decode import MediaReader, Sampling
from multisk.features.motion import MotionNetwork, ResNeXt3d
from multisk.params import Features
from multisk.resumable import digest, file_digest, read_json, write_json

CALIBRATION_BATCH = 128
CALIBRATION_VIDEOS = 32
CALIBRATION_FRAMES = 8  # of each video
CALIBRATION_WINDOWS = 8  # of each video


class Extractor(nn.Module):
    """A network, and for random weights the normalisation of its features, each dimension by itself."""

    def __init__(self, network: AppearanceNetwork | MotionNetwork, *, random: bool) -> None:
        super().__init__()
        self.network = network
        self.dimension = network.dimension
        self.norm: Any = nn.BatchNorm1d(network.dimension, affine=False) if random else nn.Identity()

    def forward(self, frames: Tensor) -> Tensor:
        """Map frames u8 [n, H, W, 3] to features f32 [N, D]."""
        return self.norm(self.network(frames))


@dataclass(frozen=True)
class Extractors:
    """Both networks in evaluation mode, and a fingerprint of all that their features depend on."""

    networks: dict[str, Extractor]
    fingerprint: str

    @classmethod
    def open(cls, folder: Path | str, settings: Features, device: torch.device | str = "cpu") -> "Extractors":
        """Load what `prepare_extractors` wrote; raise InputError if it was made with other settings."""
        folder = Path(folder)
        written = read_json(folder / "extractors.json")
        networks = {}
        for name, network in _build(settings).items():
            path = folder / f"{name}.safetensors"
            if written.get(name, {}).get("settings") != _settings(settings)[name]:
                raise InputError(f"params.yaml: features.{name}: {path} has other settings; make it again")
            if written[name]["sha256"] != file_digest(path):
                raise InputError(f"{path}: differs from the checksum in extractors.json; make it again")
            network.load_state_dict(load_file(path))
            networks[name] = network.eval().to(device)
        return cls(networks, digest(written))


def prepare_extractors(
    corpus: Corpus, settings: Features, out: Path | str, device: torch.device | str = "cpu"
) -> None:
    """Fix both networks and write them to the folder `out`.

    Random weights are drawn from `seed` and calibrated on training videos of `corpus`; others are copied.
    Raises InputError for a model or weights that cannot be had, and if no training video decodes.
    """
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    networks = _build(settings, pretrained=True)
    random = {name: network for name, network in networks.items() if _weights(settings, name) == "random"}
    for name, network in random.items():
        draw_weights(network, getattr(settings, name).seed)
    if random:
        samples = _samples(corpus, settings)
        for name, network in random.items():
            calibrate(network.to(device), samples[name], getattr(settings, name).seed)
    written: dict[str, Any] = {}
    for name, network in networks.items():
        _try(network.to(device), device)
        path = out / f"{name}.safetensors"
        state = {key: value.cpu().contiguous() for key, value in network.state_dict().items()}
        path.write_bytes(save(state))
        written[name] = {"settings": _settings(settings)[name], "sha256": file_digest(path)}
    write_json(out / "extractors.json", {**written, "calibrated_on": {corpus.name: corpus.digest}})


@torch.inference_mode()
def _try(network: Extractor, device: torch.device | str) -> None:
    """Look at one black window, so that a network that gives no maps is refused before a long extraction."""
    network.eval()(torch.zeros(16, 64, 64, 3, dtype=torch.uint8, device=device))


def samplings(settings: Features) -> dict[str, Sampling]:
    """Return the frames that each network looks at."""
    appearance, motion = settings.appearance, settings.motion
    return {
        "appearance": Sampling(appearance.features_per_second, appearance.short_side),
        "motion": Sampling(motion.frames_per_second, motion.side, crop=True),
    }


@torch.no_grad()
def draw_weights(network: nn.Module, seed: int) -> None:
    """Draw kernels from N(0, 2 / fan-in); let every normalisation begin with scale 1 and shift 0."""
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in network.named_parameters():
        if parameter.ndim >= 2:
            deviation = math.sqrt(2 / math.prod(parameter.shape[1:]))
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * deviation)
        else:
            parameter.fill_(1.0 if name.endswith("weight") else 0.0)


@torch.no_grad()
def calibrate(network: Extractor, samples: Tensor, seed: int) -> None:
    """Set the statistics of all normalisations from `samples` u8 [S, ...], batched in an order of `seed`.

    Inside the network they are averages over batches; those of the features come last and are exact.
    """
    device = next(network.parameters()).device
    order = torch.randperm(len(samples), generator=torch.Generator().manual_seed(seed))
    batches = [samples[indices].flatten(0, -4).to(device) for indices in order.split(CALIBRATION_BATCH)]
    for norm in network.network.modules():
        if isinstance(norm, nn.BatchNorm2d | nn.BatchNorm3d):
            norm.reset_running_stats()
            norm.momentum = None  # the plain average over batches
    network.network.train()
    for batch in batches:
        network.network(batch)
    network.eval()
    features = torch.cat([network.network(batch) for batch in batches])
    network.norm.running_mean.copy_(features.mean(dim=0))
    network.norm.running_var.copy_(features.var(dim=0, correction=0))


def _build(settings: Features, *, pretrained: bool = False) -> dict[str, Extractor]:
    appearance, motion = settings.appearance, settings.motion
    fetch = pretrained and appearance.weights == "pretrained"
    drawn = {name: _weights(settings, name) == "random" for name in ("appearance", "motion")}
    picture = AppearanceNetwork(appearance.model, every_stage=drawn["appearance"], pretrained=fetch)
    resnext = ResNeXt3d(motion.blocks, motion.cardinality, motion.width)
    if pretrained and appearance.weights not in ("random", "pretrained"):
        load_weights(picture.backbone, Path(appearance.weights), "appearance")
    if pretrained and motion.weights != "random":
        load_weights(resnext, Path(motion.weights), "motion")
    moving = MotionNetwork(resnext, motion.window, every_stage=drawn["motion"])
    return {
        "appearance": Extractor(picture, random=drawn["appearance"]),
        "motion": Extractor(moving, random=drawn["motion"]),
    }


def load_weights(network: nn.Module, path: Path, section: str) -> None:
    """Load a published checkpoint (.safetensors or a state dict of tensors), but for its classifier."""
    from timm.models import load_state_dict

    try:
        state = load_state_dict(str(path), use_ema=False, weights_only=True)
        wanted = network.state_dict()
        network.load_state_dict({key: value for key, value in state.items() if key in wanted})
    except (OSError, RuntimeError, SafetensorError, ValueError, ImportError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"params.yaml: features.{section}.weights: {path}: {reason}") from None


def _weights(settings: Features, name: str) -> str:
    return getattr(settings, name).weights


def _settings(settings: Features) -> dict[str, Any]:
    named = {name: getattr(settings, name).model_dump(mode="json") for name in ("appearance", "motion")}
    return {name: section for name, section in named.items() if section.pop("batch_size")}


def _samples(corpus: Corpus, settings: Features) -> dict[str, Tensor]:
    """Gather frames u8 [S, side, side, 3] and windows u8 [S, T, side, side, 3], spread over the videos."""
    found: dict[str, list[Tensor]] = {"appearance": [], "motion": []}
    videos = corpus.videos.loc[corpus.videos["split"] == "train", "video_id"].tolist()
    for video in _spread(videos, CALIBRATION_VIDEOS):
        for name, sample in _video_samples(corpus.path(video), settings):
            found[name].append(sample)
    if not found["appearance"]:
        raise InputError(f"{corpus.folder / 'videos.parquet'}: no training video decodes to calibrate on")
    return {name: torch.cat(samples) for name, samples in found.items()}


def _video_samples(path: Path, settings: Features) -> Iterator[tuple[str, Tensor]]:
    wanted = samplings(settings)
    square = Sampling(settings.appearance.features_per_second, settings.appearance.short_side, crop=True)
    frames: dict[str, list[Tensor]] = {"appearance": [], "motion": []}
    try:
        for name, frame in MediaReader(path, {**wanted, "appearance": square}):
            frames[name].append(torch.from_numpy(frame))
    except InputError:
        return  # the extraction itself reports damaged videos
    yield "appearance", torch.stack(_spread(frames["appearance"], CALIBRATION_FRAMES))
    window = settings.motion.window
    starts = range(0, len(frames["motion"]) - window + 1, window)
    for start in _spread(list(starts), CALIBRATION_WINDOWS):
        yield "motion", torch.stack(frames["motion"][start : start + window])[None]


def _spread(items: list[Any], count: int) -> list[Any]:
    """Pick `count` items at equal distances, or all of them if there are fewer."""
    return items if len(items) <= count else [items[i * len(items) // count] for i in range(count)]
