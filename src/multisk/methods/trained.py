"""A trained model as one file or folder names it: a run of the pipeline, or an imported checkpoint."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from pydantic import ValidationError
from safetensors import SafetensorError, safe_open
from torch import nn

from multisk.errors import InputError, one_line
from multisk.files import file_digest, read_json
from multisk.layout import WEIGHTS
from multisk.models.build import MODELS, build_model
from multisk.models.checkpoints import load_imported
from multisk.models.davenet import ResDavenet
from multisk.models.weights import load_weights
from multisk.settings.models import Model
from multisk.settings.training import Method


@dataclass(frozen=True)
class TrainedModel:
    """A model in evaluation mode and the widths of what it takes.

    Attributes:
        path: the weights.
        digest: sha256 of the weights.
        widths: width of the word vectors (`text`) and of the video features (`video`) in training.
    """

    model: nn.Module
    path: Path
    digest: str
    widths: dict[str, int]

    @classmethod
    def open(cls, path: Path | str) -> Self:
        """Open a run folder of pretraining or fine-tuning, its weights, or an imported checkpoint.

        A run is built from its own record, whatever params.yaml says by now. Raises InputError for what is
        missing, damaged or of another kind.
        """
        weights = find_weights(path)
        if (weights.parent / "run.json").exists():
            model = _of_run(weights)
        elif weights.with_suffix(".json").exists():
            model = load_imported(weights)
        else:
            raise InputError(
                f"{weights}: neither run.json nor a metafile beside it; import checkpoints with "
                "multisk import-checkpoint"
            )
        return cls(model.eval(), weights, file_digest(weights), _widths(weights, model.INPUT_LAYERS))

    def check(self, text: int, video: int) -> None:
        """Raise InputError unless word vectors and video features are as wide as in training."""
        takes = self.widths
        if takes["video"] != video:
            raise InputError(
                f"{self.path}: takes video features {takes['video']} wide, the extractors make {video}; "
                "use the extractors and the settings (features of params.yaml) that it was trained with"
            )
        if takes["text"] != text:
            raise InputError(
                f"{self.path}: takes word vectors {takes['text']} wide, these have {text}; use the words "
                "that it was trained with"
            )

    @property
    def audio_stride(self) -> int:
        """Log-mel frames of one audio token; 1 for a model that takes no audio."""
        davenet = self._davenet
        return 1 if davenet is None else davenet.stride

    def check_length(self, video_tokens: int, audio_frames: int) -> None:
        """Raise InputError for clips with more tokens than the model has learned positions for."""
        tokenizer: Any = getattr(self.model, "tokenizer", None)
        positions = {m: len(x) for m, x in tokenizer.positions.items()} if tokenizer else {}
        davenet = self._davenet
        found = {"v": video_tokens, "a": davenet.token_count(audio_frames) if davenet else 0}
        for modality, name in (("v", "video"), ("a", "audio")):
            if found[modality] > positions.get(modality, found[modality]):
                raise InputError(
                    f"{self.path}: --seconds: clips so long have {found[modality]} {name} tokens, the model "
                    f"learned {positions[modality]} positions; choose shorter clips, or a model without "
                    "positions"
                )

    @property
    def _davenet(self) -> ResDavenet | None:
        return next((one for one in self.model.modules() if isinstance(one, ResDavenet)), None)

    def check_extractors(self, folder: Path) -> None:
        """Raise InputError for other extractors than those of the features in training, where known.

        The record of the features, beside the model's own among the runs, says which they were.
        """
        record = _features_record(self.path)
        expected = read_json(record)["params"].get("extractors") if record else None
        found = file_digest(folder / "extractors.json")
        if expected not in (None, found):
            raise InputError(
                f"{self.path}: trained with other extractors than {folder} ({record} says sha256 {expected}, "
                f"extractors.json has {found}); use those that it was trained with"
            )


def find_weights(path: Path | str) -> Path:
    """Return the file of weights that a run folder, its weights or an imported checkpoint stands for."""
    path = Path(path).resolve()
    weights = path / WEIGHTS["raw"] if path.is_dir() else path.with_suffix(".safetensors")
    if not path.exists() or not weights.is_file():
        raise InputError(f"{path}: no trained model; name a run folder or an imported checkpoint")
    return weights


def _features_record(weights: Path) -> Path | None:
    """Return the record of a training corpus' features; None for a model without runs around it."""
    runs = next((folder for folder in weights.parents if folder.name == "runs"), None)
    if runs is None or not (weights.parent / "run.json").exists():
        return None
    settings = read_json(weights.parent / "run.json")["params"]
    corpora = [value for name, value in settings.items() if name.endswith(".corpus")]
    corpora += [settings["clips.pretrain"]["corpus"]] if "clips.pretrain" in settings else []
    records = (runs / "features" / corpus / "run.json" for corpus in corpora)
    return next((record for record in records if record.exists()), None)


def _of_run(weights: Path) -> Any:
    record = weights.parent / "run.json"
    try:
        written = read_json(record)
        settings = written["params"]
        sizes = Model.model_validate(settings["model"])
        method = Method.model_validate(settings[f"methods.{written['method']}"])
    except (KeyError, TypeError, ValidationError):
        raise InputError(
            f"{record}: does not describe a trained model; name a run of pretraining or fine-tuning"
        ) from None
    widths = _widths(weights, MODELS[method.model].INPUT_LAYERS)
    model = build_model(
        method.model,
        sizes,
        text_dimension=widths["text"],
        video_dimension=widths["video"],
        anchors=method.anchors,
        architecture=method.architecture,
        positions=_positions(weights),
    )
    load_weights(model, weights)
    return model


def _widths(weights: Path, input_layers: Mapping[str, str]) -> dict[str, int]:
    """Read what a model takes off its weights, without reading the weights themselves."""
    try:
        with safe_open(weights, framework="pt") as file:
            kept = set(file.keys())
            linear = {
                name: f"{layer}.fc.weight" if f"{layer}.fc.weight" in kept else f"{layer}.weight"
                for name, layer in input_layers.items()
            }
            return {name: file.get_slice(key).get_shape()[1] for name, key in linear.items()}
    except (SafetensorError, OSError, IndexError) as error:
        reason = one_line(error)
        raise InputError(f"{weights}: damaged weights ({reason}); train again") from None


def _positions(weights: Path) -> dict[str, int]:
    """Read the number of learned positions by modality off a model's weights; empty where there are none."""
    with safe_open(weights, framework="pt") as file:
        keys = [key for key in file.keys() if key.startswith("tokenizer.positions.")]  # noqa: SIM118
        return {key.rpartition(".")[2]: file.get_slice(key).get_shape()[0] for key in keys}
