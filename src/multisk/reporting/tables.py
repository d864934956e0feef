"""The tables of the page, as rows of texts that a template or a Markdown file can print."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from multisk.params import Params
from multisk.reporting import wording
from multisk.reporting.results import SETTINGS, ordered

COLUMNS = ("R1", "R5", "R10", "R50", "MedR", "GeoMean")
SMALLER_IS_BETTER = ("MedR", "MeanR")
NOTHING = "–"


@dataclass(frozen=True)
class Cell:
    """A value as text; `best` where its mean leads the column."""

    text: str
    best: bool = False


@dataclass(frozen=True)
class Row:
    """One method's results in one direction."""

    method: str
    name: str
    direction: str
    seeds: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class Group:
    """The rows that compare: one benchmark, one setting."""

    title: str
    benchmark: str
    setting: str
    rows: tuple[Row, ...]
    chance: tuple[Cell, ...] | None


@dataclass(frozen=True)
class Table:
    """A plain table; its first `words` columns are prose, the others numbers."""

    caption: str
    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    words: int = 1


def result_groups(metrics: pd.DataFrame, chance: pd.DataFrame, params: Params) -> list[Group]:
    """Return a group per benchmark and setting; with one direction per method, the best are marked."""
    groups = []
    for benchmark in ordered(metrics["benchmark"], wording.DOMAINS):
        levels = chance[chance["benchmark"] == benchmark].set_index("metric")["value"]
        for setting in ordered(metrics["setting"], SETTINGS):
            part = metrics[(metrics["benchmark"] == benchmark) & (metrics["setting"] == setting)]
            if part.empty:
                continue
            domain = wording.DOMAINS.get(benchmark, "own clips")
            title = f"{wording.benchmark_name(params, benchmark)} ({domain}), {setting}"
            rows = _rows(part, ordered(part["method"], params.methods))
            groups.append(Group(title, benchmark, setting, rows, _chance_cells(levels)))
    return groups


def _rows(part: pd.DataFrame, methods: Sequence[str]) -> tuple[Row, ...]:
    means = part.groupby(["method", "direction", "metric"])["value"].mean()
    one_each = part.groupby("method")["direction"].nunique().max() == 1
    leaders = {metric: _leader(means, metric) for metric in COLUMNS} if one_each and len(methods) > 1 else {}
    rows = []
    for method in methods:
        for direction, found in part[part["method"] == method].groupby("direction", sort=False):
            cells = []
            for metric in COLUMNS:
                values = list(found.loc[found["metric"] == metric, "value"])
                best = bool(values) and means.get((method, direction, metric)) == leaders.get(metric)
                cells.append(Cell(wording.mean_and_spread(values) if values else NOTHING, best))
            seeds = ", ".join(str(seed) for seed in sorted(found["seed"].unique()))
            rows.append(Row(method, wording.method_name(method), str(direction), seeds, tuple(cells)))
    return tuple(rows)


def _leader(means: pd.Series, metric: str) -> float | None:
    values = means[means.index.get_level_values("metric") == metric]
    if values.empty:
        return None
    return float(values.min() if metric in SMALLER_IS_BETTER else values.max())


def _chance_cells(levels: pd.Series) -> tuple[Cell, ...] | None:
    if levels.empty:
        return None
    return tuple(Cell(f"{levels[metric]:.1f}" if metric in levels else NOTHING) for metric in COLUMNS)


def _texts(cells: Sequence[Cell]) -> list[str]:
    return [cell.text for cell in cells]


def results_frame(groups: Sequence[Group]) -> pd.DataFrame:
    """Return result groups as one table of texts, chance included."""
    rows = []
    for group in groups:
        rows += [(group.title, row.name, row.direction, row.seeds, *_texts(row.cells)) for row in group.rows]
        if group.chance:
            rows.append((group.title, "chance", "", "", *_texts(group.chance)))
    heads = ["benchmark, setting", "method", "direction", "seeds", *(wording.METRICS[key] for key in COLUMNS)]
    return pd.DataFrame(rows, columns=heads)


def differences(metrics: pd.DataFrame, params: Params, method: str = "sspc") -> Table | None:
    """Return R@10 of `method` minus every other method's, paired by seed; None without a pair."""
    recalls = metrics[metrics["metric"] == "R10"]
    keys = ["benchmark", "setting", "seed"]
    ours = recalls[recalls["method"] == method].set_index(keys)["value"]
    rows = []
    for other in ordered(recalls["method"], params.methods):
        theirs = recalls[recalls["method"] == other].set_index(keys)["value"]
        gaps = (ours - theirs).dropna().reset_index()
        if other == method or gaps.empty:
            continue
        for benchmark in ordered(gaps["benchmark"], wording.DOMAINS):
            for setting in ordered(gaps["setting"], SETTINGS):
                cell = gaps[(gaps["benchmark"] == benchmark) & (gaps["setting"] == setting)]
                if len(cell):
                    place = f"{wording.benchmark_name(params, benchmark)}, {setting}"
                    each = ", ".join(wording.signed(gap) for gap in cell.sort_values("seed")["value"])
                    rows.append(
                        (place, wording.method_name(other), wording.signed(cell["value"].mean()), each)
                    )
    caption = (
        f"R@10 of {wording.method_name(method)} minus that of each other method, in points, paired by seed."
    )
    heads = ("benchmark, setting", "compared with", "mean", "by seed")
    return Table(caption, heads, tuple(rows), words=2) if rows else None


def minutes(runs: pd.DataFrame) -> Table:
    """Return the minutes per stage and method (or corpus), summed over seeds and benchmarks."""
    rows = []
    runs = runs.assign(seconds=runs["seconds"].fillna(0).astype(float))
    for names, found in runs.groupby(["stage", "method", "corpus"], sort=False):
        stage, method, corpus = map(str, names)
        of = wording.method_name(method) or corpus or NOTHING
        benchmarks = ", ".join(_distinct(found["benchmark"])) or NOTHING
        seeds = ", ".join(f"{seed:.0f}" for seed in sorted(found["seed"].dropna().unique())) or NOTHING
        spent = f"{found['seconds'].sum() / 60:.1f}"
        rows.append((stage, of, benchmarks, seeds, str(len(found)), spent))
    total = f"{runs['seconds'].sum() / 60:.1f}"
    rows.append(("all", NOTHING, NOTHING, NOTHING, str(len(runs)), total))
    heads = ("stage", "of", "benchmarks", "seeds", "runs", "minutes")
    return Table("Minutes per stage, summed over the runs' own clocks.", heads, tuple(rows), words=4)


def datasets(table: pd.DataFrame) -> Table:
    """Return the corpora and what extraction found in them."""
    rows = []
    for row in table.to_dict("records"):
        sizes = (_count(row[key]) for key in ("clips", "missing", "silent", "failed"))
        videos, digest = (_count(row["videos"]), f"{row['minutes']:.0f}"), str(row["digest"])[:12]
        rows.append((str(row["corpus"]), str(row["role"]), *videos, *sizes, digest))
    heads = ("corpus", "role", "videos", "minutes", "clips listed", "clips missing", "without audio")
    caption = (
        "The corpora. Clips listed: over all splits. Missing: listed without a file. Without audio: videos "
        "with no audio track. Failed: videos of which a stream could not be read. "
        f"{NOTHING}: does not apply or not run."
    )
    return Table(caption, (*heads, "failed", "digest"), tuple(rows), words=2)


def test_sizes(counts: pd.DataFrame, params: Params) -> Table | None:
    """Return the sizes of the test sets that R@K divides by; None without counts."""
    rows = []
    for benchmark in ordered(counts["benchmark"], wording.DOMAINS):
        sizes = counts[counts["benchmark"] == benchmark].set_index("which")["value"]
        texts = (_count(sizes.get(which)) for which in ("complete", "present", "missing"))
        rows.append((wording.benchmark_name(params, benchmark), *texts))
    caption = (
        "Test clips. R@K divides by all of them: a missing clip is an error; MedR is over those present."
    )
    return Table(caption, ("benchmark", "all", "present", "missing"), tuple(rows)) if rows else None


def extractors(params: Params) -> Table:
    """Return which networks made the features, and where their weights come from."""
    features = params.features
    motion = (
        f"3-D ResNeXt, blocks {'-'.join(map(str, features.motion.blocks))}, width {features.motion.width}"
    )
    words = f"word vectors, {features.words.dimension}-d"
    rows = (
        (
            "appearance",
            features.appearance.model,
            _weights(features.appearance.weights, features.appearance.seed),
        ),
        ("motion", motion, _weights(features.motion.weights, features.motion.seed)),
        ("text", words, _word_source(features.words.source)),
        ("audio", "log-mel, 40 bands; its network is trained with the rest", NOTHING),
    )
    return Table("What made the features.", ("stream", "extractor", "weights"), rows, words=3)


def _weights(weights: str, seed: int) -> str:
    return f"random, seeded ({seed})" if weights == "random" else weights


def _word_source(source: str) -> str:
    return "skip-gram, trained on the narrations" if source == "skipgram" else source


def facts(runs: pd.DataFrame, params: Params) -> list[tuple[str, str]]:
    """Return terms and values that describe what ran and where; several values are all named."""
    commits = runs["git_commit"].replace("", "no commit").str[:12]
    dirty = runs["git_dirty"].map(lambda flag: " with uncommitted changes" if flag else "")
    seeds = sorted({int(seed) for seed in runs["seed"].dropna()})
    found = [
        ("profile", wording.listed(_distinct(runs["profile"]))),
        ("commit", wording.listed(_distinct(commits + dirty))),
        ("device", wording.listed(_distinct(runs["device"]))),
        ("seeds", wording.listed([str(seed) for seed in seeds])),
        ("methods", wording.listed([wording.method_name(method) for method in params.methods])),
    ]
    unfinished = runs[runs["status"].isin(["running", "failed"])]
    if len(unfinished):
        found.append(("unfinished", wording.listed(list(unfinished["file"]))))
    return found


def versions(runs: pd.DataFrame) -> list[tuple[str, str]]:
    """Return packages and versions over all runs."""
    seen: dict[str, dict[str, None]] = {}
    for installed in runs["versions"]:
        for package, version in (installed if isinstance(installed, Mapping) else {}).items():
            seen.setdefault(package, {})[str(version)] = None
    return [(package, wording.listed(list(found))) for package, found in seen.items()]


def records(runs: pd.DataFrame) -> Table:
    """Return each run with what makes it again."""
    rows = []
    for run in runs.to_dict("records"):
        seed = "" if pd.isna(run["seed"]) else f"seed {run['seed']:.0f}"
        parts = (run["stage"], wording.method_name(run["method"]), run["benchmark"], run["corpus"], seed)
        again = f"dvc repro {run['dvc_stage']}" if run["dvc_stage"] else run["command"]
        commit = f"{run['git_commit'][:12] or NOTHING}{'*' if run['git_dirty'] else ''}"
        taken = NOTHING if pd.isna(run["seconds"]) else f"{run['seconds'] / 60:.1f}"
        mirrored = run["run_id"] or "not mirrored"
        rows.append((" ".join(filter(None, parts)), mirrored, commit, taken, again, run["file"]))
    caption = "Every run: its id in MLflow, commit (* with uncommitted changes), command and record."
    return Table(
        caption, ("run", "MLflow run", "commit", "minutes", "made by", "record"), tuple(rows), words=6
    )


def _distinct(values: pd.Series) -> list[str]:
    return [str(value) for value in values.unique() if value]


def _count(value: Any) -> str:
    return NOTHING if value is None or pd.isna(value) else f"{int(value):,}"
