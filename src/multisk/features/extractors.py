"""The networks that make features, one or two, fixed once and then used for every corpus.

    data/extractors/appearance.safetensors, motion.safetensors    all weights and statistics
                    extractors.json    settings, checksums, and of published weights the file they came from

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
from safetensors.torch import load_file, save
from torch import Tensor, nn

from multisk.corpora.manifest import Corpus
from multisk.errors import InputError, one_line
from multisk.features.appearance import AppearanceNetwork
from multisk.features.clip import ClipPictures, clip_name
from multisk.features.decode import MediaReader, Sampling
from multisk.features.motion import MotionNetwork, ResNeXt3d
from multisk.features.weights import load_weights
from multisk.files import digest, file_digest, read_json, write_json
from multisk.settings.features import Features

CALIBRATED_ON = "calibrated_on"  # beside the networks in extractors.json
CALIBRATION_BATCH = 128
CALIBRATION_VIDEOS = 32
CALIBRATION_FRAMES = 8  # of each video
CALIBRATION_WINDOWS = 8  # of each video


class Extractor(nn.Module):
    """A network, and for random weights the normalisation of its features, each dimension by itself."""

    def __init__(self, network: AppearanceNetwork | ClipPictures | MotionNetwork, *, random: bool) -> None:
        super().__init__()
        self.network = network
        self.dimension = network.dimension
        self.norm: Any = nn.BatchNorm1d(network.dimension, affine=False) if random else nn.Identity()

    def forward(self, frames: Tensor) -> Tensor:
        """Map frames u8 [n, H, W, 3] to features f32 [N, D]."""
        return self.norm(self.network(frames))


@dataclass(frozen=True)
class Extractors:
    """The networks in evaluation mode, and a fingerprint of all that their features depend on."""

    networks: dict[str, Extractor]
    fingerprint: str

    @classmethod
    def open(cls, folder: Path | str, settings: Features, device: torch.device | str = "cpu") -> "Extractors":
        """Load what `prepare_extractors` wrote; raise InputError if it was made with other settings."""
        folder = Path(folder)
        written = read_json(folder / "extractors.json")
        networks = {}
        for name in sorted({*written, *settings.networks} - {CALIBRATED_ON}):
            path = folder / f"{name}.safetensors"
            if written.get(name, {}).get("settings") != _settings(settings).get(name):
                raise InputError(f"params.yaml: features.{name}: {path} has other settings; make it again")
        for name, network in _build(settings, written).items():
            path = folder / f"{name}.safetensors"
            if written[name]["sha256"] != file_digest(path):
                raise InputError(f"{path}: differs from the checksum in extractors.json; make it again")
            network.load_state_dict(load_file(path))
            networks[name] = network.eval().to(device)
        return cls(networks, digest(written))


def prepare_extractors(
    corpus: Corpus | None, settings: Features, out: Path | str, device: torch.device | str = "cpu"
) -> None:
    """Fix the networks and write them to the folder `out`.

    Random weights are drawn from `seed` and calibrated on training videos of `corpus`; others are copied.
    Raises InputError for a model or weights that cannot be had or do not fit each other or the frames, and if
    no training video decodes.
    """
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    networks = _build(settings)
    sources = {name: _take_published(network, settings, name) for name, network in networks.items()}
    random = {name: networks[name] for name, found in settings.networks.items() if found.weights == "random"}
    for name, network in networks.items():
        _try(network.to(device), name, settings)
    if random:
        assert corpus is not None, "random weights are calibrated on a corpus"
        for name, network in random.items():
            draw_weights(network, getattr(settings, name).seed)
        samples = _samples(corpus, settings)
        for name, network in random.items():
            calibrate(network, samples[name], getattr(settings, name).seed)
    written: dict[str, Any] = {}
    for name, network in networks.items():
        path = out / f"{name}.safetensors"
        state = {key: value.cpu().contiguous() for key, value in network.state_dict().items()}
        path.write_bytes(save(state))
        written[name] = {"settings": _settings(settings)[name], "sha256": file_digest(path), **sources[name]}
    calibrated_on = {corpus.name: corpus.digest} if corpus and random else {}
    write_json(out / "extractors.json", {**written, CALIBRATED_ON: calibrated_on})


def calibrated(settings: Features) -> bool:
    """Return whether any network has random weights, which take their statistics from a corpus."""
    return "random" in (network.weights for network in settings.networks.values())


@torch.inference_mode()
def _try(network: Extractor, name: str, settings: Features) -> None:
    """Look at black frames, so that what does not fit them is refused before a long extraction."""
    side = samplings(settings)[name].short_side
    wide = side if samplings(settings)[name].crop else side * 4 // 3
    device = next(network.parameters()).device
    count = settings.motion.window if settings.motion else 1
    frames = torch.zeros(count, side, wide, 3, dtype=torch.uint8, device=device)
    try:
        shape = network.eval()(frames).shape
    except (RuntimeError, AssertionError, ValueError) as error:
        hint = one_line(error)[:150]
        if name == "appearance":
            hint += f"; set crop: true and short_side: {network.network.side}"
        raise InputError(
            f"params.yaml: features.{name}: the network takes no {wide} x {side} frames: {hint}"
        ) from None
    if len(shape) != 2 or shape[1] != network.dimension:
        raise InputError(
            f"params.yaml: features.{name}: the network gives {[*shape]}, no features [frames, "
            f"{network.dimension}]; choose another model"
        )


def samplings(settings: Features) -> dict[str, Sampling]:
    """Return the frames that each network looks at."""
    appearance, motion = settings.appearance, settings.motion
    frames = {"appearance": Sampling(appearance.features_per_second, appearance.short_side, appearance.crop)}
    if motion:
        frames["motion"] = Sampling(motion.frames_per_second, motion.side, crop=True)
    return frames


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


def _build(settings: Features, written: dict[str, Any] | None = None) -> dict[str, Extractor]:
    """Build the networks: as they were `written`, to be filled, or anew with the weights models bring."""
    drawn = {name: network.weights == "random" for name, network in settings.networks.items()}
    built = {"appearance": Extractor(_pictures(settings, written), random=drawn["appearance"])}
    if motion := settings.motion:
        resnext = ResNeXt3d(motion.blocks, motion.cardinality, motion.width)
        moving = MotionNetwork(resnext, motion.window, every_stage=drawn["motion"])
        built["motion"] = Extractor(moving, random=drawn["motion"])
    return built


def _pictures(settings: Features, written: dict[str, Any] | None) -> AppearanceNetwork | ClipPictures:
    model, weights = settings.appearance.model, settings.appearance.weights
    name = clip_name(model)
    if name is None:
        fetch = written is None and weights == "pretrained"
        return AppearanceNetwork(model, every_stage=weights == "random", pretrained=fetch)
    if weights != "pretrained":
        raise InputError(
            f"params.yaml: features.appearance.weights: {model} brings its own: expected pretrained, "
            f"found {weights}"
        )
    return ClipPictures.load(name) if written is None else ClipPictures.build(written["appearance"]["tower"])


def _take_published(network: Extractor, settings: Features, name: str) -> dict[str, Any]:
    """Load the file of weights that the settings name, if any; return what is to be noted of the network."""
    if isinstance(network.network, ClipPictures):
        return {"tower": network.network.architecture}
    section = getattr(settings, name)
    if section.weights == "random" or (name, section.weights) == ("appearance", "pretrained"):
        return {}
    path, backbone = Path(section.weights), network.network.backbone
    classifier = getattr(backbone, "pretrained_cfg", {}).get("classifier") or "fc"
    outputs = (classifier,) if isinstance(classifier, str) else tuple(classifier)
    found = load_weights(backbone, path, name, sha256=section.sha256, classifier=outputs)
    return {"source": {"file": path.name, "sha256": found}}


def _settings(settings: Features) -> dict[str, Any]:
    # Features depend neither on how many frames go at a time nor on whether a checksum was asked for.
    harmless = {"batch_size", "sha256"}
    return {
        name: network.model_dump(mode="json", exclude=harmless) for name, network in settings.networks.items()
    }


def _samples(corpus: Corpus, settings: Features) -> dict[str, Tensor]:
    """Gather frames u8 [S, side, side, 3] and windows u8 [S, T, side, side, 3], spread over the videos."""
    found: dict[str, list[Tensor]] = {name: [] for name in settings.networks}
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
    frames: dict[str, list[Tensor]] = {name: [] for name in settings.networks}
    try:
        for name, frame in MediaReader(path, {**wanted, "appearance": square}):
            frames[name].append(torch.from_numpy(frame))
    except InputError:
        return  # the extraction itself reports damaged videos
    yield "appearance", torch.stack(_spread(frames["appearance"], CALIBRATION_FRAMES))
    if not settings.motion:
        return
    window = settings.motion.window
    starts = range(0, len(frames["motion"]) - window + 1, window)
    for start in _spread(list(starts), CALIBRATION_WINDOWS):
        yield "motion", torch.stack(frames["motion"][start : start + window])[None]


def _spread(items: list[Any], count: int) -> list[Any]:
    """Pick `count` items at equal distances, or all of them if there are fewer."""
    return items if len(items) <= count else [items[i * len(items) // count] for i in range(count)]
