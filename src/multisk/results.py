"""The files that a page is made of, as tidy tables.

What a stage has not written yet gives an empty table with the same columns; what is there but malformed
raises InputError. Values are passed on as they stand in the files: R@K in percent, ranks from 1.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import pandas as pd

from multisk.errors import InputError
from multisk.evaluation.headline import BESIDE_BENCHMARKS
from multisk.evaluation.headline import headline as headline_direction
from multisk.features.streams import AUDIO_STREAM
from multisk.files import digest, read_json
from multisk.params import load_params
from multisk.tracking import METRICS, RECORD, STEPS, flatten, read_steps

METRIC_COLUMNS = ("method", "benchmark", "setting", "seed", "direction", "metric", "value", "file", "key")
STEP_COLUMNS = ("stage", "method", "benchmark", "seed", "step", "term", "value")
RANK_COLUMNS = ("benchmark", "setting", "seed", "direction", "clip_id", "rank", "video_id")
GALLERY_COLUMNS = ("benchmark", "setting", "seed", "clip_id", "rank", "top")
NMI_COLUMNS = ("seed", "modality", "space", "label", "kind", "nmi")
STRATEGY_COLUMNS = ("benchmark", "setting", "seed", "strategy", "direction", "metric", "value", "chance")
COUNT_COLUMNS = ("seed", "modality", "space", "label", "anchor", "value", "count")
DATASET_COLUMNS = ("corpus", "role", "videos", "minutes", "clips", "missing", "silent", "failed", "digest")
RECORD_TEXTS = (
    *("stage", "method", "benchmark", "corpus", "run_id", "status", "git_commit", "device", "started"),
    *("command", "dvc_stage", "profile", "run_key"),
)
RECORD_FACTS = ("seed", "git_dirty", "versions", "seconds", "peak_mb")
RECORD_COLUMNS = (*RECORD_TEXTS, *RECORD_FACTS, "file")


@dataclass(frozen=True)
class ReportSources:
    """Where the stages left what the page shows; all but `params` may be missing."""

    params: Path  # params.yaml
    runs: Path  # folder of run records, steps, evaluations with their metrics
    corpora: Path  # folder of corpora
    features: Path  # folder of feature stores, named after their corpora
    claims: Path  # claims.yaml: the comparisons that were declared
    benchmarks: Path  # folder of what is known of benchmarks: what others wrote down
    recipes: Path  # folder of recipes

    @classmethod
    def below(cls, root: Path = Path()) -> Self:
        """Return the places in a working copy."""
        return cls(
            params=root / "params.yaml",
            runs=root / "runs",
            corpora=root / "data" / "corpora",
            features=root / "data" / "features",
            claims=root / "reports" / "claims.yaml",
            benchmarks=root / "src" / "multisk" / "benchmarks",
            recipes=root / "recipes",
        )

    @cached_property
    def methods(self) -> frozenset[str]:
        """The methods of params.yaml; what others left behind is not shown beside them."""
        return frozenset(load_params(self.params).methods)

    def name(self, path: Path) -> str:
        """Return a path as the page writes it: seen from the folder of params.yaml."""
        root = self.params.parent
        return str(path.relative_to(root) if path.is_relative_to(root) else path)


def read_metrics(sources: ReportSources) -> pd.DataFrame:
    """Return a row per method, benchmark, setting, seed, direction and metric."""
    rows = []
    for path, content in _metric_files(sources):
        found = {key: part for key, part in content.items() if key not in BESIDE_BENCHMARKS}
        for place, value in flatten(found):
            benchmark, setting, seed, direction, metric = _split(path, place, 5)
            numbers = _seed(path, place, seed), direction, metric, _number(path, place, value)
            rows.append((path.parent.name, benchmark, setting, *numbers, sources.name(path), place))
    return pd.DataFrame(rows, columns=list(METRIC_COLUMNS))


def read_chance(sources: ReportSources) -> pd.DataFrame:
    """Return the chance levels: benchmark, metric, value, file. All methods must agree on them."""
    return _shared(sources, "chance", "metric")


def read_clip_counts(sources: ReportSources) -> pd.DataFrame:
    """Return the sizes of the test sets: benchmark, which (present, complete, missing), value, file."""
    return _shared(sources, "clips", "which")


def read_runs(sources: ReportSources) -> pd.DataFrame:
    """Return a row per run record, oldest first; texts that a run lacks are empty."""
    rows = []
    for path in sorted(sources.runs.glob(f"**/{RECORD}")):
        if any(part.startswith(".") for part in path.relative_to(sources.runs).parts):
            continue  # unfinished work
        record = _mapping(path, read_json(path))
        if record.get("method") and record["method"] not in sources.methods:
            continue
        texts = {key: record.get(key) or "" for key in RECORD_TEXTS}
        texts["run_key"] = texts["run_key"] or digest(sources.name(path))[:32]
        facts = {key: record.get(key) for key in RECORD_FACTS}
        rows.append({**texts, **facts, "file": sources.name(path)})
    runs = pd.DataFrame(rows, columns=list(RECORD_COLUMNS))
    return runs.sort_values(["started", "file"], ignore_index=True)


def read_training(sources: ReportSources) -> pd.DataFrame:
    """Return what training runs logged: stage, method, benchmark, seed, step, term, value."""
    frames = [pd.DataFrame(columns=list(STEP_COLUMNS))]
    for stage, pattern in (("pretrain", "*/seed-*"), ("finetune", "*/*/seed-*")):
        paths = sorted((sources.runs / stage).glob(f"{pattern}/{STEPS}"))
        known = [path for path in paths if path.relative_to(sources.runs).parts[1] in sources.methods]
        frames += [_steps_of(path, sources.runs / stage) for path in known]
    return _together(frames)


def read_evaluations(sources: ReportSources, name: str, columns: Sequence[str]) -> pd.DataFrame:
    """Return `runs/evaluate/<method>/<name>.parquet` of all methods, with the columns method and file."""
    frames = [pd.DataFrame(columns=["method", *columns, "file"])]
    for path in sorted((sources.runs / "evaluate").glob(f"*/{name}.parquet")):
        if path.parent.name not in sources.methods:
            continue
        frame = read_parquet(path, columns)
        frames.append(frame.assign(method=path.parent.name, file=sources.name(path)))
    return _together(frames)


def read_datasets(sources: ReportSources) -> pd.DataFrame:
    """Return a row per corpus; counts that nothing has measured yet are None."""
    from multisk.corpora.manifest import Corpus

    rows = []
    for head in sorted(sources.corpora.glob("*/corpus.json")):
        corpus = Corpus.open(head.parent)
        videos, clips = corpus.videos, corpus.clips
        missing = None if clips is None else int((~clips["video_id"].isin(videos["video_id"])).sum())
        listed = None if clips is None else len(clips)
        size = len(videos), float(videos["seconds"].sum()) / 60, listed, missing
        heard = _extraction(sources.features / corpus.folder.name / "index.parquet")
        rows.append((corpus.name, corpus.role, *size, *heard, corpus.digest))
    return pd.DataFrame(rows, columns=list(DATASET_COLUMNS), dtype=object)


def headline(metrics: pd.DataFrame) -> pd.DataFrame:
    """Keep each method's rows of its headline direction; raise InputError for a method that has none."""
    wanted = {}
    for method, found in metrics.groupby("method"):
        try:
            wanted[method] = headline_direction(found["direction"])
        except ValueError as error:
            raise InputError(f"{found['file'].iloc[0]}: {error}; run dvc repro evaluate@{method}") from None
    return metrics[metrics["direction"] == metrics["method"].map(wanted)]


def ordered(found: Iterable[Any], preferred: Iterable[Any]) -> list[Any]:
    """Return the distinct values that were found, the preferred ones first and in their order."""
    present = list(dict.fromkeys(found))
    first = [value for value in preferred if value in present]
    return first + [value for value in present if value not in first]


def _metric_files(sources: ReportSources) -> Iterator[tuple[Path, Mapping[str, Any]]]:
    for path in sorted((sources.runs / "evaluate").glob(f"*/{METRICS}")):
        if path.parent.name in sources.methods:
            yield path, _mapping(path, read_json(path))


def _shared(sources: ReportSources, part: str, column: str) -> pd.DataFrame:
    agreed: dict[tuple[str, str], tuple[float, Path]] = {}
    for path, content in _metric_files(sources):
        for place, value in flatten(_mapping(path, content.get(part, {}))):
            benchmark, key = _split(path, f"{part}/{place}", 3)[1:]
            number = _number(path, place, value)
            known, where = agreed.setdefault((benchmark, key), (number, path))
            if known != number:
                raise InputError(f"{path}: {part}/{place}: {number}, but {known} in {where}; run dvc repro")
    rows = [(*key, number, sources.name(where)) for key, (number, where) in agreed.items()]
    return pd.DataFrame(rows, columns=["benchmark", column, "value", "file"])


def _steps_of(path: Path, stage: Path) -> pd.DataFrame:
    # pretrain/<method>/seed-<n>/ or finetune/<method>/<benchmark>/seed-<n>/
    method, *benchmark, seed = path.relative_to(stage).parts[:-1]
    try:
        table = pd.DataFrame(read_steps(path)).rename_axis(columns=None)
    except ValueError as error:
        raise InputError(f"{path}: damaged ({error}); run dvc repro") from None
    if "step" not in table and len(table):
        raise InputError(f"{path}: step: missing; each line needs it")
    if table.empty:
        return pd.DataFrame(columns=list(STEP_COLUMNS))
    # A run that went on from a checkpoint logs some steps twice: what it said last holds.
    table = table.drop_duplicates("step", keep="last").sort_values("step")
    tidy = table.melt(id_vars="step", var_name="term").dropna(subset="value")
    run = {"stage": stage.name, "method": method, "benchmark": benchmark[0] if benchmark else ""}
    return tidy.assign(**run, seed=_seed(path, seed, seed))[list(STEP_COLUMNS)]


def _together(frames: list[pd.DataFrame]) -> pd.DataFrame:
    # pandas warns about empty tables among others: their columns have no types.
    return pd.concat([frame for frame in frames if len(frame)] or frames, ignore_index=True)


def _extraction(index: Path) -> tuple[int | None, int | None]:
    if not index.exists():
        return None, None
    table = read_parquet(index, ("video_id", "stream", "status"))
    silent = (table["stream"] == AUDIO_STREAM) & (table["status"] == "absent")
    return int(silent.sum()), int(table.loc[table["status"] == "failed", "video_id"].nunique())


def read_parquet(path: Path, columns: Sequence[str]) -> pd.DataFrame:
    """Return columns of a table; raise InputError where it or one of them is missing."""
    try:
        table = pd.read_parquet(path)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as parquet: {' '.join(str(error).split())}") from None
    for column in columns:
        if column not in table:
            raise InputError(f"{path}: {column}: no such column; expected {', '.join(columns)}")
    return table[list(columns)]


def _mapping(path: Path, content: Any) -> Mapping[str, Any]:
    if not isinstance(content, Mapping):
        raise InputError(f"{path}: expected a JSON object, found {type(content).__name__}; run dvc repro")
    return content


def _split(path: Path, place: str, depth: int) -> list[str]:
    parts = place.split("/")
    if len(parts) != depth:
        raise InputError(
            f"{path}: {place}: expected {depth} levels of keys, found {len(parts)}; run dvc repro"
        )
    return parts


def _seed(path: Path, place: str, name: str) -> int:
    number = name.removeprefix("seed-")
    if number == name or not number.isdecimal():
        raise InputError(f"{path}: {place}: expected seed-<number>, found {name!r}; run dvc repro")
    return int(number)


def _number(path: Path, place: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InputError(f"{path}: {place}: expected a number, found {value!r}; run dvc repro")
    return float(value)
