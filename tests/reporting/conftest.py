"""A small, complete working copy's outputs, and the site made of them."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from tests.reporting.markup import Element, parse

from multisk.corpora.manifest import write_corpus
from multisk.params.profiles import use
from multisk.reporting import ReportSources, write_report
from multisk.reporting import site as site_module

METHODS = {"contrastive": "t2v+a", "eao": "t2va", "sspc": "t2v+a"}  # of params.yaml's, those that ran
BENCHMARKS = {"youcook2": "mini-youcook2", "msrvtt": "mini-msrvtt"}
SETTINGS = ("zero-shot", "fine-tuned")
SEEDS = (0, 1)
CLIPS = 24
MISSING = 2
HOSTILE = '<script>alert("pan")</script> & an onion'


@pytest.fixture(scope="session")
def complete(tmp_path_factory: pytest.TempPathFactory, repository: Path) -> Path:
    """A folder with everything that a page can show; tests copy it before they change it."""
    root = tmp_path_factory.mktemp("complete")
    use("miniature", root / "params.yaml", repository / "profiles")
    (root / "reports").mkdir()
    shutil.copy(repository / "reports" / "claims.yaml", root / "reports")
    benchmarks = "src/multisk/benchmarks"
    shutil.copytree(repository / benchmarks, root / benchmarks, ignore=shutil.ignore_patterns("*.py*"))
    random = np.random.RandomState(0)
    write_narrated(root)
    for benchmark, corpus in BENCHMARKS.items():
        write_captioned(root / "data" / "corpora" / corpus, corpus, hostile=benchmark == "msrvtt")
        write_index(root / "data" / "features" / corpus, corpus)
    for method, direction in METHODS.items():
        write_method(root, method, direction, random)
    write_anchors(root / "runs" / "evaluate" / "sspc", random)
    write_studies(root / "runs" / "sweep", random)
    shutil.copytree(repository / "recipes", root / "recipes")
    return root


@pytest.fixture
def sources(complete: Path, tmp_path: Path) -> ReportSources:
    """A copy that a test may damage."""
    shutil.copytree(complete, tmp_path / "copy")
    return ReportSources.below(tmp_path / "copy")


@pytest.fixture
def silent(sources: ReportSources) -> ReportSources:
    """A copy in which `contrastive` hears nothing."""
    silence(sources.params.parent, "contrastive")
    return sources


@pytest.fixture(scope="session")
def site(complete: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working copy with the site of the complete folder; not to be written to."""
    root = tmp_path_factory.mktemp("site") / "copy"
    shutil.copytree(complete, root)
    write_report(ReportSources.below(root), root / "reports")
    return root


@pytest.fixture(scope="session")
def reports(site: Path) -> Path:
    """The folder of the pages."""
    return site / "reports" / "site"


@pytest.fixture(scope="session")
def pages(reports: Path) -> dict[str, Element]:
    """The pages as html.parser sees them, by name."""
    return {path.stem: parse(path.read_text()) for path in sorted(reports.glob("*.html"))}


@pytest.fixture
def written(sources: ReportSources, monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, Element]]:
    """Write the site, or named pages of it, of the copy that a test has damaged, and parse it."""

    def write(*names: str) -> dict[str, Element]:
        folder = sources.params.parent / "reports"
        chosen = [page for page in site_module.PAGES if page.__name__.rpartition(".")[2] in names]
        monkeypatch.setattr(site_module, "PAGES", tuple(chosen) or site_module.PAGES)
        write_report(sources, folder)
        return {path.stem: parse(path.read_text()) for path in sorted((folder / "site").glob("*.html"))}

    return write


def write_video(path: Path, shade: int, seconds: int = 2, rate: int = 4) -> None:
    """Write a film whose every frame is one grey, brighter from second to second."""
    import av

    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=rate, options={"qp": "0", "g": "4"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for index in range(seconds * rate):
            picture = np.full((48, 64, 3), shade + 40 * (index // rate), np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())


def write_narrated(root: Path) -> None:
    folder = root / "data" / "corpora" / "mini-howto"
    write_video(folder / "videos" / "h0.mp4", 30)
    videos = pd.DataFrame(
        {"video_id": ["h0"], "path": ["videos/h0.mp4"], "split": ["train"], "seconds": [120.0]}
    )
    said = pd.DataFrame({"start": [0.0], "end": [2.0], "text": ["cut the onion"]})
    write_corpus(
        folder, name="mini-howto", role="narrated", description="", videos=videos, captions={"h0": said}
    )


def write_captioned(folder: Path, name: str, *, hostile: bool) -> None:
    ids = [f"v{index:02d}" for index in range(CLIPS)]
    for index, video_id in enumerate(ids[:-MISSING]):
        write_video(folder / "videos" / f"{video_id}.mp4", 10 + 7 * index)
    videos = pd.DataFrame(
        {
            "video_id": ids[:-MISSING],
            "path": [f"videos/{video_id}.mp4" for video_id in ids[:-MISSING]],
            "split": "test",
            "seconds": 2.0,
        }
    )
    captions = [[HOSTILE if hostile else f"slice the onion, part {index}"] for index in range(CLIPS)]
    clips = pd.DataFrame({"clip_id": [f"clip-{v}" for v in ids], "video_id": ids, "start": 0.0, "end": 2.0})
    clips = clips.assign(split="test", captions=captions)
    write_corpus(folder, name=name, role="captioned", description="", videos=videos, clips=clips)


def write_index(folder: Path, corpus: str) -> None:
    folder.mkdir(parents=True)
    rows = [("v00", "logmel", "absent"), ("v01", "logmel", "ok"), ("v01", "motion", "failed")]
    rows += [("v01", "appearance", "failed"), ("v02", "logmel", "absent")]
    pd.DataFrame(rows, columns=["video_id", "stream", "status"]).to_parquet(folder / "index.parquet")


def write_method(root: Path, method: str, direction: str, random: np.random.RandomState) -> None:
    folder = root / "runs" / "evaluate" / method
    folder.mkdir(parents=True)
    ids = [f"clip-v{index:02d}" for index in range(CLIPS - MISSING)]
    directions = [direction, "v2t"] + (["t2v+a"] if direction == "t2va" else [])
    ranks, gallery, metrics = [], [], {}
    for benchmark in BENCHMARKS:
        for setting in SETTINGS:
            for seed in SEEDS:
                found = {name: draw(ids, random) for name in directions}
                run = {"benchmark": benchmark, "setting": setting, "seed": seed}
                ranks += [
                    {**run, "direction": d, "clip_id": c, "rank": r, "video_id": c.removeprefix("clip-")}
                    for d in found
                    for c, r in found[d].items()
                ]
                gallery += [
                    {**run, "clip_id": c, "rank": r, "top": top(ids, c, r)}
                    for c, r in found[direction].items()
                ]
                numbers = {name: measures(list(of.values())) for name, of in found.items()}
                metrics.setdefault(benchmark, {}).setdefault(setting, {})[f"seed-{seed}"] = numbers
    chance = {"R1": 4.2, "R5": 20.8, "R10": 41.7, "R50": 100.0, "MedR": 11.5, "MeanR": 11.5}
    metrics["chance"] = dict.fromkeys(BENCHMARKS, chance)
    sizes = {"present": CLIPS - MISSING, "complete": CLIPS, "missing": MISSING}
    metrics["clips"] = dict.fromkeys(BENCHMARKS, sizes)
    write_text(folder / "metrics.json", json.dumps(metrics))
    write_strategies(folder, direction, metrics)
    pd.DataFrame(ranks).to_parquet(folder / "ranks.parquet")
    pd.DataFrame(gallery).to_parquet(folder / "gallery.parquet")
    for seed in SEEDS:
        write_record(folder / f"seed-{seed}", "evaluate", method, seed)
        write_training(root / "runs" / "pretrain" / method / f"seed-{seed}", "pretrain", method, seed, random)
        for benchmark in BENCHMARKS:
            directory = root / "runs" / "finetune" / method / benchmark / f"seed-{seed}"
            write_training(directory, "finetune", method, seed, random, benchmark)


def write_strategies(folder: Path, direction: str, metrics: dict[str, Any]) -> None:
    rows = [
        {"benchmark": benchmark, "setting": setting, "seed": seed, "strategy": strategy}
        | {"direction": direction, "metric": "R10", "chance": 41.7}
        | {"value": metrics[benchmark][setting][f"seed-{seed}"][direction]["R10"] - loss}
        for benchmark in BENCHMARKS
        for setting in SETTINGS
        for seed in SEEDS
        for loss, strategy in enumerate(("at-once", "clips", "nearest", "max-pool"))
    ]
    pd.DataFrame(rows).to_parquet(folder / "strategies.parquet")


def draw(ids: list[str], random: np.random.RandomState) -> dict[str, float]:
    return {clip: float(1 + random.randint(len(ids) // 2)) for clip in ids}


def top(ids: list[str], clip: str, rank: float) -> list[str]:
    others = [other for other in ids if other != clip][:5]
    return [*others[: int(rank) - 1], clip, *others[int(rank) - 1 :]][:5] if rank <= 5 else others


def measures(ranks: list[float]) -> dict[str, float]:
    recalls = {f"R{k}": 100 * sum(rank <= k for rank in ranks) / CLIPS for k in (1, 5, 10, 50)}
    mean = float(np.prod([recalls[key] for key in ("R1", "R5", "R10")]) ** (1 / 3))
    return recalls | {"MedR": float(np.median(ranks)), "MeanR": float(np.mean(ranks)), "GeoMean": mean}


def write_training(
    directory: Path,
    stage: str,
    method: str,
    seed: int,
    random: np.random.RandomState,
    benchmark: str | None = None,
) -> None:
    lines = []
    for step in range(40):
        row: dict[str, float] = {
            "step": step,
            "loss": 4 * 0.97**step + 0.1 * random.rand(),
            "learning_rate": 1e-3,
        }
        row |= {"gradient_norm": 1 + random.rand(), "clips_per_second": 200 + 9 * random.rand()}
        row |= {f"contrastive/{pair}": 4 * 0.96**step + random.rand() * 0.2 for pair in ("t-v", "t-a", "v-a")}
        if method == "sspc" and step > 8:
            for anchors in "tva":
                row[f"sspc/usage/joint/{anchors}"] = 0.2 + 0.01 * step * random.rand()
                for data in "tva":
                    for side in ("input_to_joint", "joint_to_input"):
                        row[f"sspc/{side}/{anchors}-{data}"] = 0.7 * 0.99**step + 0.02 * random.rand()
        lines.append(json.dumps(row) + "\n")
    write_text(directory / "steps.jsonl", "".join(lines))
    write_record(directory, stage, method, seed, benchmark)


def write_record(
    folder: Path, stage: str, method: str, seed: int | None = None, benchmark: str | None = None
) -> None:
    record = {
        "stage": stage, "method": method, "benchmark": benchmark, "seed": seed, "status": "finished",
        "run_id": f"id-{stage}-{method}-{benchmark}-{seed}",
        "run_key": f"key-{stage}-{method}-{benchmark}-{seed}", "peak_mb": 1024.0 + (seed or 0),
        "git_commit": "0123456789abcdef", "git_dirty": False,
        "params_digest": "p" * 64, "dataset_digest": "d" * 64, "device": "Test CPU, 2 threads",
        "versions": {"python": "3.11.9", "torch": "2.11.0"}, "seconds": 90.0, "corpus": None,
        "started": "2026-11-20T10:00:00+00:00",
        "command": f"python stages/{stage}.py {method}", "dvc_stage": f"{stage}@{method}",
        "profile": "miniature",
    }  # fmt: skip
    write_text(folder / "run.json", json.dumps(record))


def write_anchors(folder: Path, random: np.random.RandomState) -> None:
    nmi, counts = [], []
    things = {
        "action": ["cut", "stir", "pour"],
        "thing": ["onion", "pan", "egg", "tomato"],
        "place": ["kitchen", "yard"],
    }
    for seed in SEEDS:
        for modality in "tva":
            for space in ("input", "joint"):
                run = {"seed": seed, "modality": modality, "space": space}
                for label, values in things.items():
                    for kind, level in (("anchors", 0.4), ("shuffled", 0.08), ("k-means", 0.3)):
                        score = level + 0.1 * random.rand()
                        nmi.append({**run, "label": label, "kind": kind, "nmi": score, "ami": score - 0.07})
                    cells = [(anchor, value) for anchor in range(12) for value in values]
                    counts += [
                        {
                            **run,
                            "label": label,
                            "anchor": a,
                            "value": v,
                            "count": int(random.poisson(3 + 9 * (a % 4 == i))),
                        }
                        for (a, v), i in zip(cells, len(cells) * list(range(len(values))), strict=False)
                    ]
    table = pd.DataFrame(nmi)
    table.to_parquet(folder / "anchors_nmi.parquet")
    without = table[table["kind"] == "k-means"]  # what a method without anchors leaves
    without.to_parquet(folder.with_name("contrastive") / "anchors_nmi.parquet")
    noise = 0.01 * random.randn(11, len(table))
    parts = [
        table.assign(group=group, nmi=table["nmi"] + noise[group], ami=table["ami"] + noise[group])
        for group in range(-1, 10)  # -1: nothing is left out
    ]
    pd.concat(parts).to_parquet(folder / "anchors_jackknife.parquet")
    pd.DataFrame(counts).to_parquet(folder / "anchors_counts.parquet")


def write_studies(folder: Path, random: np.random.RandomState) -> None:
    write_study(
        folder / "anchors",
        [{"anchors": count} for count in (8, 16, 32, 64, 128, 256)],
        {"anchors": [8, 16, 32, 64, 128, 256]},
        ["mean"],
        random,
    )
    grid = [
        {"method": method, "share": share, "misaligned": moved}
        for method in ("contrastive", "sspc")
        for share in (0.25, 1.0)
        for moved in (0.0, 0.5)
    ]
    space = {"method": ["contrastive", "sspc"], "share": [0.25, 1.0], "misaligned": [0.0, 0.5]}
    write_study(folder / "when", grid, space, ["mean"], random)
    wide = {"low": 0.1, "high": 3.0, "log": True}
    space = {"modality_specific": wide, "cross_modal": wide, "audio": wide, "anchors": [16, 32, 64, 128]}
    points = [
        {key: float(0.1 * 30 ** random.rand()) for key in list(space)[:3]}
        | {"anchors": int(2 ** random.randint(4, 8))}
        for _ in range(9)
    ]
    write_study(folder / "weights", points, space, ["youcook2", "msrvtt"], random)


TRIAL = {
    "command": "multisk sweep --study when --trials 8",
    "git_commit": "fedcba98765432",
    "git_dirty": True,
}


def write_trial(path: Path) -> None:
    write_text(path, json.dumps(TRIAL))


def write_study(
    folder: Path,
    points: list[dict[str, Any]],
    space: dict[str, Any],
    objectives: list[str],
    random: np.random.RandomState,
) -> None:
    """Write a study as the sweep exports it, with a pruned trial at the end."""
    rows = []
    for number, point in enumerate(points):
        for seed in SEEDS:
            key = f"key-{folder.name}-{number}-{seed}"
            if folder.name == "when":  # the records of the others lie elsewhere
                write_trial(folder.parents[2] / f"sweeps/when/trial-{number}/seed-{seed}/run.json")
            rows.append(
                {"number": number, "seed": seed, "state": "finished", "run_id": f"id-{key}", "run_key": key}
                | {
                    "file": f"sweeps/{folder.name}/trial-{number}/seed-{seed}/run.json",
                    "seconds": 30.0 + number,
                }
                | {"peak_mb": 900.0 + number, "pareto": number in (1, 2)}
                | {f"param/{key}": value for key, value in point.items()}
                | {f"value/{name}": 30 + 9 * random.rand() for name in objectives}
                | {f"validation/{name}": 30 + 9 * random.rand() for name in ("youcook2", "msrvtt", "mean")}
            )
    pruned = dict.fromkeys((f"value/{name}" for name in objectives), float("nan"))
    last = {"number": len(points), "state": "pruned", "run_id": "", "run_key": f"key-{folder.name}-pruned"}
    rows.append(rows[-1] | last | {"pareto": False} | pruned)
    folder.mkdir(parents=True)
    pd.DataFrame(rows).to_parquet(folder / "trials.parquet")
    shares = {key: 1 / len(space) for key in space}
    head = {
        "study": folder.name,
        "name": f"{folder.name}-0123456789ab",
        "sampler": "tpe" if len(objectives) == 2 else "grid",
        "objectives": [{"name": name, "direction": "maximize"} for name in objectives],
        "space": space,
        "seeds": list(SEEDS),
        "method": "sspc",
        "epochs": 6,
        "trials": {"finished": len(points), "pruned": 1, "failed": 0},
        "chance": {"youcook2": 10.0, "msrvtt": 5.0, "mean": 7.5},
        "importance": {"evaluator": "ped_anova", "values": dict.fromkeys(objectives, shares)},
        "pareto": [1, 2],
        "seconds": 99.0,
    }
    write_text(folder / "study.json", json.dumps(head))


def silence(root: Path, method: str) -> None:
    """Make what a method left that of one that hears nothing: text and video find each other, no more."""
    names = {"t2v+a": "t2v"}
    path = root / "runs" / "evaluate" / method / "metrics.json"
    content = json.loads(path.read_text())
    for benchmark in BENCHMARKS:
        for seeds in content[benchmark].values():
            for seed, found in seeds.items():
                seeds[seed] = {names.get(direction, direction): of for direction, of in found.items()}
    path.write_text(json.dumps(content))
    for name in ("ranks", "strategies"):
        table = root / "runs" / "evaluate" / method / f"{name}.parquet"
        frame = pd.read_parquet(table)
        frame.assign(direction=frame["direction"].replace(names)).to_parquet(table)


def write_text(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
