"""Models: tokens of text, video and audio, to embeddings in one joint space."""

from multisk.models.avlnet import AVLnetModel
from multisk.models.build import build_model
from multisk.models.eao import EAOModel
from multisk.models.embeddings import Embeddings, averaged_pairs
from multisk.models.per_modality import PerModalityModel

__all__ = [
    "AVLnetModel",
    "EAOModel",
    "Embeddings",
    "PerModalityModel",
    "averaged_pairs",
    "build_model",
]
