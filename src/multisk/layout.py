"""Where things lie below the repository's root: one name for each folder."""

from dataclasses import dataclass
from pathlib import Path

# The weights of a training run, and their moving average.
WEIGHTS = {"raw": "model.safetensors", "ema": "ema.safetensors"}


@dataclass(frozen=True)
class Layout:
    """Folders of a working copy; stages are run with the working copy's root as current folder."""

    root: Path = Path()

    def corpus(self, name: str) -> Path:
        """Videos and manifests of a corpus."""
        return self.root / "data" / "corpora" / name

    def features(self, name: str) -> Path:
        """Feature shards of a corpus."""
        return self.root / "data" / "features" / name

    @property
    def extractors(self) -> Path:
        """Weights of the networks that made the features."""
        return self.root / "data" / "extractors"

    @property
    def words(self) -> Path:
        """Word vectors."""
        return self.root / "data" / "words"

    @property
    def runs(self) -> Path:
        """Run folders of all stages."""
        return self.root / "runs"

    def pretrained(self, method: str, seed: int | None = None) -> Path:
        """Pretraining runs of a method, or one of them."""
        return _seeded(self.runs / "pretrain" / method, seed)

    def finetuned(self, method: str, benchmark: str | None = None, seed: int | None = None) -> Path:
        """Fine-tuning runs of a method, or those on a benchmark, or one of them."""
        folder = self.runs / "finetune" / method
        return _seeded(folder / benchmark, seed) if benchmark else folder

    def evaluated(self, method: str) -> Path:
        """All evaluations of a method."""
        return self.runs / "evaluate" / method

    @property
    def sweeps(self) -> Path:
        """Trials of the studies; below `home()`, for DVC empties what its stages make."""
        return self.root / "sweeps"

    def swept(self, study: str) -> Path:
        """Results of a study."""
        return self.runs / "sweep" / study

    @property
    def reports(self) -> Path:
        """What people read: the page, tables, metrics."""
        return self.root / "reports"


def _seeded(folder: Path, seed: int | None) -> Path:
    return folder if seed is None else folder / f"seed-{seed}"


def home(directory: Path | None = None) -> Path:
    """Return the absolute root of the working copy that `directory` (default: here) belongs to.

    DVC runs queued experiments in a copy below .dvc/tmp/exps; their home is the copy's owner, so that
    all runs meet in one tracker.
    """
    here = (directory or Path.cwd()).resolve()
    for parent in here.parents:
        if parent.parts[-3:] == (".dvc", "tmp", "exps"):
            return parent.parents[2]
    return here
