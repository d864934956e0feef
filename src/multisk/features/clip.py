"""CLIP's two towers, from folders that transformers wrote: features of pictures, tokens of texts.

Nothing is fetched: a model is a folder, or a name in transformers' own cache. Weights are read from
safetensors alone, and no code that comes with a model is run.

N frames of H x W pixels; L tokens; D features (the width of the space that both towers project to).

data/words/config.json, model.safetensors, tokenizer files    the text tower, as `transformers` writes it
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor, nn

from multisk.errors import InputError, one_line
from multisk.files import digest, file_digest
from multisk.settings.features import Words

PREFIX = "clip:"
REMEDY = "name a folder that transformers' save_pretrained wrote, with model.safetensors in it"
CACHED_TEXTS = 20_000  # per process: 20 tokens of 512 numbers each make 0.8 GB


class ClipPictures(nn.Module):
    """Frames u8 [N, side, side, 3] to CLIP's image embeddings f32 [N, D], not normalised."""

    mean: Tensor
    std: Tensor

    def __init__(self, tower: Any, mean: list[float], std: list[float]) -> None:
        super().__init__()
        self.tower = tower
        self.dimension: int = tower.config.projection_dim
        self.side: int = tower.config.image_size
        # In the state dict, unlike timm's: they come from the model's folder, which may be gone by then.
        self.register_buffer("mean", torch.tensor(mean)[:, None, None])
        self.register_buffer("std", torch.tensor(std)[:, None, None])

    @classmethod
    def load(cls, name: str) -> Self:
        """Load the image tower of a model; raise InputError where it is missing or no CLIP."""
        from transformers import CLIPImageProcessor, CLIPVisionModelWithProjection

        key = "params.yaml: features.appearance.model: "
        look = _read(CLIPImageProcessor.from_pretrained, name, key)
        return cls(_tower(CLIPVisionModelWithProjection, name, key), look.image_mean, look.image_std)

    @classmethod
    def build(cls, architecture: dict[str, Any]) -> Self:
        """Make a tower without weights from what `architecture` returned."""
        from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

        nothing = [0.0, 0.0, 0.0]
        return cls(CLIPVisionModelWithProjection(CLIPVisionConfig.from_dict(architecture)), nothing, nothing)

    @property
    def architecture(self) -> dict[str, Any]:
        """Return the sizes of the tower as plain data."""
        return {key: value for key, value in self.tower.config.to_diff_dict().items() if key[0] != "_"}

    def preprocess(self, frames: Tensor) -> Tensor:
        """Normalise frames u8 [N, side, side, 3] to f32 [N, 3, side, side] as the model was trained."""
        return (frames.permute(0, 3, 1, 2) / 255 - self.mean) / self.std

    def forward(self, frames: Tensor) -> Tensor:
        """Return features f32 [N, D] of frames u8 [N, side, side, 3]."""
        return self.tower(pixel_values=self.preprocess(frames)).image_embeds


class ClipWords:
    """Texts to tokens, through the interface of `WordVectors`.

    A token's vector is the last layer's state, projected into the joint space (EAO's variant with CLIP);
    beginning and end of a text count as tokens. The tower reads a text as a whole, so vectors belong to texts
    and not to words: a text's tokens are computed when it is asked for, alone, so that they do not depend on
    neighbours, and the latest ones are kept in memory.

    They are not kept on disk, because narrations are put together anew from neighbouring captions: all texts
    that pretraining may ask for would take as much room as the features of the videos. ViT-B/32's tower takes
    27 ms for 20 tokens on one core (AMD EPYC), so 2,160 texts of a step at the published size take 32 workers
    two seconds.
    """

    def __init__(self, folder: Path, tower: Any, tokenizer: Any) -> None:
        self.folder = folder
        self._tower, self._tokenizer = tower.eval(), tokenizer
        self._cached = lru_cache(CACHED_TEXTS)(self._embed)

    @classmethod
    def open(cls, folder: Path | str) -> Self:
        """Open the folder that `import_clip_words` wrote; raise InputError if it is missing or damaged."""
        folder = Path(folder)
        return cls(folder, *_text_model(str(folder), ""))

    def __getstate__(self) -> dict[str, Any]:
        return {"folder": self.folder}

    def __setstate__(self, state: dict[str, Any]) -> None:
        opened = type(self).open(state["folder"])
        self.__init__(opened.folder, opened._tower, opened._tokenizer)  # type: ignore[misc]

    @property
    def dimension(self) -> int:
        """Width of a token."""
        return self._tower.config.projection_dim

    def tokens(self, text: str) -> list[str]:
        """Split a text into tokens; any text has some, but for one of spaces alone."""
        return self._tokenizer.tokenize(text)

    def unknown(self, text: str) -> list[str]:
        """Return the words of a text that cannot be encoded: none."""
        del text
        return []

    def encode(self, text: str, max_words: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the tokens f32 [max_words, D] of a text, and which rows are tokens.

        Of longer texts the first tokens and the end are kept; a text of spaces alone has no tokens.
        """
        vectors = np.zeros((max_words, self.dimension), np.float32)
        if not text.strip():
            return vectors, np.zeros(max_words, bool)
        tokens_LD = self._cached(text, min(max_words, self._tower.config.max_position_embeddings))
        vectors[: len(tokens_LD)] = tokens_LD
        return vectors, np.arange(max_words) < len(tokens_LD)

    @torch.inference_mode()
    def _embed(self, text: str, most: int) -> np.ndarray:
        # Beginning and end are never cut off by the tokenizer, so that it needs room for both.
        longest = max(most, 2)
        encoded = self._tokenizer(text, truncation=True, max_length=longest, return_tensors="pt")
        states = self._tower.text_model(input_ids=encoded["input_ids"][:, :most]).last_hidden_state[0]
        return self._tower.text_projection(states).numpy()


def import_clip_words(name: str, settings: Words, out: Path) -> str:
    """Copy the text tower of a CLIP model and its tokenizer to the folder `out`; return what was read.

    Raises InputError where it is missing, no CLIP, or of another dimension than `settings` says.
    """
    key = "params.yaml: features.words.source: "
    tower, tokenizer = _text_model(name, key)
    width = tower.config.projection_dim
    if width != settings.dimension:
        raise InputError(
            f"params.yaml: features.words.dimension: {name} has {width}, found {settings.dimension}"
        )
    out.mkdir(parents=True, exist_ok=True)
    tower.save_pretrained(out)
    tokenizer.save_pretrained(out)
    return f"{name}: CLIP's text tower, {width} numbers per token, {len(tokenizer)} tokens known"


def clip_digest(name: str) -> str:
    """Return a digest of a model's files; raise InputError where they are missing."""
    from transformers.utils import cached_file

    key = "params.yaml: features.words.source: "
    names = ("model.safetensors", "tokenizer.json")
    return digest(
        [file_digest(Path(_read(partial(cached_file, filename=file), name, key))) for file in names]
    )


def clip_name(text: str) -> str | None:
    """Return the model that a setting names as clip:MODEL, None for any other setting."""
    return text.removeprefix(PREFIX) if text.startswith(PREFIX) else None


def _text_model(name: str, where: str) -> tuple[Any, Any]:
    from transformers import CLIPTextModelWithProjection, CLIPTokenizer

    tower = _tower(CLIPTextModelWithProjection, name, where)
    tokenizer = _read(CLIPTokenizer.from_pretrained, name, where)
    known = tower.config.vocab_size
    if len(tokenizer) > known:
        raise InputError(f"{where}{name}: its tokenizer knows {len(tokenizer)} tokens, its tower {known}")
    return tower, tokenizer


def _tower(kind: Any, name: str, where: str) -> Any:
    """Load one tower, and refuse one of which any weight is missing: it would be drawn at random."""
    options = {"use_safetensors": True, "output_loading_info": True, "dtype": torch.float32}
    tower, found = _read(kind.from_pretrained, name, where, **options)
    missing = sorted(found["missing_keys"])
    if missing:
        raise InputError(
            f"{where}{name}: no such CLIP tower: {len(missing)} of {len(tower.state_dict())} weights are "
            f"missing, first {missing[0]}; {REMEDY}"
        )
    return tower


def _read(load: Any, name: str, where: str, **options: Any) -> Any:
    try:
        with _quiet():
            return load(name, local_files_only=True, **options)
    except Exception as error:  # transformers raises whatever its readers do
        reason = one_line(error)[:200]
        if not Path(name).is_dir():
            reason = "no such folder, nor a model of this name in transformers' cache"
        raise InputError(f"{where}{name}: {reason}; {REMEDY}") from None


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence the report on the weights of the other tower, which are left out on purpose."""
    from transformers.utils import logging

    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity(logging.CRITICAL)
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()
