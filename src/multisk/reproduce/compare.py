"""Whether a run's numbers came out again."""

from dataclasses import dataclass
from math import inf, isclose
from pathlib import Path

from multisk.files import file_digest, read_json
from multisk.layout import WEIGHTS
from multisk.tracking.files import METRICS, RECORD, STEPS, numbers, read_steps

TIMES = ("seconds", "clips_per_second")  # what no two runs have in common
VALIDATION = "validation"


@dataclass(frozen=True)
class Comparison:
    """Numbers of two runs under the same names, and what else tells whether they are the same run.

    Attributes:
        pairs: (recorded, reproduced) by name.
        tolerance: relative or absolute, whichever is larger; 0: to the last bit.
        missing: numbers that only one of the two has.
        notes: on inputs and weights, a line each.
    """

    pairs: dict[str, tuple[float, float]]
    tolerance: float
    missing: list[str]
    notes: list[str]

    @property
    def different(self) -> dict[str, tuple[float, float]]:
        """The numbers that are not the same within the tolerance."""
        return {
            name: (old, new)
            for name, (old, new) in self.pairs.items()
            if not isclose(old, new, rel_tol=self.tolerance, abs_tol=self.tolerance)
        }

    @property
    def same(self) -> bool:
        """Whether all numbers came out again."""
        return bool(self.pairs) and not self.different and not self.missing

    def describe(self) -> list[str]:
        """Return a line per number that differs, and a last one that sums up."""
        different = self.different
        lines = [f"{name}: missing in one of the runs" for name in self.missing]
        lines += [
            f"{name}: recorded {old:.10g}, reproduced {new:.10g}, difference {new - old:+.3g}"
            for name, (old, new) in different.items()
        ]
        largest = max((abs(new - old) for old, new in self.pairs.values()), default=inf)
        within = f" within {self.tolerance:g}" if self.tolerance else ""
        equal = f"{len(self.pairs) - len(different)} of {len(self.pairs)} numbers are equal{within}"
        return [*self.notes, *lines, f"{equal}; the largest difference is {largest:.3g}"]


def compare(recorded: Path, reproduced: Path, tolerance: float = 0.0) -> Comparison:
    """Compare two run folders: final metrics, and the terms of the last step that both logged.

    Times are left out. A trial of a study is repeated as a plain training and validated: it is compared by
    its losses and by what the validation found.
    """
    old, new = read_json(recorded / RECORD), read_json(reproduced / RECORD)
    trial = old.get("trial") is not None
    before, after = (_metrics(folder, trial) for folder in (recorded, reproduced))
    pairs, missing = _last_steps(recorded, reproduced), sorted(before.keys() ^ after.keys())
    pairs |= {name: (before[name], after[name]) for name in before if name in after}
    notes = [f"dataset: {_same(old['dataset_digest'], new['dataset_digest'])}"] if not trial else []
    weights = [folder / WEIGHTS["raw"] for folder in (recorded, reproduced)]
    if all(path.exists() for path in weights):
        digests = [file_digest(path) for path in weights]
        notes.append(f"weights: {_same(*digests)}")
    return Comparison(pairs, tolerance, missing, [*notes, *_versions(old["versions"], new["versions"])])


def _metrics(folder: Path, trial: bool) -> dict[str, float]:
    found = numbers(read_json(folder / METRICS))
    return {
        name: value
        for name, value in found.items()
        if name.split("/")[-1] not in TIMES and (not trial or name.startswith(f"{VALIDATION}/"))
    }


def _last_steps(recorded: Path, reproduced: Path) -> dict[str, tuple[float, float]]:
    old, new = ({row["step"]: row for row in read_steps(run / STEPS)} for run in (recorded, reproduced))
    common = old.keys() & new.keys()
    if not common:
        return {}
    step = max(common)
    names = [name for name in old[step] if name in new[step] and name not in ("step", *TIMES)]
    return {f"step {step:.0f}/{name}": (old[step][name], new[step][name]) for name in names}


def _versions(old: dict[str, str], new: dict[str, str]) -> list[str]:
    changed = [name for name in sorted(old) if old[name] != new.get(name)]
    return [f"{name}: was {old[name]}, is {new.get(name, 'missing')}" for name in changed]


def _same(old: str, new: str) -> str:
    return "the same" if old == new else f"different: {old[:12]} recorded, {new[:12]} reproduced"
