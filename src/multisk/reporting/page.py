"""One self-contained HTML page, its data as CSV and its results as Markdown."""

from dataclasses import dataclass
from functools import partial
from importlib import resources
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from multisk.corpora.manifest import Corpus
from multisk.params import Params, load_params
from multisk.reporting import curves, figures, gallery, tables, wording
from multisk.reporting.claims import claims
from multisk.reporting.panels import Figure, Scale
from multisk.reporting.results import (
    COUNT_COLUMNS,
    GALLERY_COLUMNS,
    NMI_COLUMNS,
    RANK_COLUMNS,
    SETTINGS,
    ReportSources,
    headline,
    ordered,
    read_chance,
    read_clip_counts,
    read_datasets,
    read_evaluations,
    read_metrics,
    read_runs,
    read_training,
)
from multisk.resumable import file_digest


@dataclass(frozen=True)
class Inputs:
    """Everything that was read."""

    params: Params
    metrics: pd.DataFrame
    chance: pd.DataFrame
    sizes: pd.DataFrame
    runs: pd.DataFrame
    training: pd.DataFrame
    ranks: pd.DataFrame
    gallery: pd.DataFrame
    nmi: pd.DataFrame
    counts: pd.DataFrame
    datasets: pd.DataFrame

    @classmethod
    def read(cls, sources: ReportSources) -> "Inputs":
        """Read all sources; raise InputError for one that is malformed."""
        return cls(
            params=load_params(sources.params),
            metrics=read_metrics(sources),
            chance=read_chance(sources),
            sizes=read_clip_counts(sources),
            runs=read_runs(sources),
            training=read_training(sources),
            ranks=read_evaluations(sources, "ranks", RANK_COLUMNS),
            gallery=read_evaluations(sources, "gallery", GALLERY_COLUMNS),
            nmi=read_evaluations(sources, "anchors_nmi", NMI_COLUMNS),
            counts=read_evaluations(sources, "anchors_counts", COUNT_COLUMNS),
            datasets=read_datasets(sources),
        )

    @property
    def scale(self) -> Scale:
        """The methods of params.yaml and any others that left results, in that order."""
        return Scale(tuple(ordered([*self.params.methods, *self.metrics["method"]], self.params.methods)))


def write_report(sources: ReportSources, out: Path) -> None:
    """Write the page `out`, and beside it `results.md` and the figures' data in `data/`.

    A part whose inputs are missing says so in its place. Raises InputError for malformed inputs.
    """
    inputs = Inputs.read(sources)
    drawn = _figures(inputs)
    groups = tables.result_groups(headline(inputs.metrics), inputs.chance, inputs.params)
    page = _render(
        params=inputs.params,
        methods=inputs.scale.names,
        notice=_notice(inputs.params),
        figures=drawn,
        groups=groups,
        all_groups=tables.result_groups(inputs.metrics, inputs.chance, inputs.params),
        differences=tables.differences(headline(inputs.metrics), inputs.params),
        claims=claims(inputs.metrics, inputs.chance, inputs.nmi, inputs.params),
        ran=_what_ran(inputs),
        galleries=_galleries(inputs, sources),
        gallery_seed=gallery.SAMPLE_SEED,
        origins=_origins(inputs, sources),
        records=tables.records(inputs.runs) if len(inputs.runs) else None,
    )
    _write(out, page)
    _write(out.with_name("results.md"), _markdown(groups, inputs))
    for name, figure in drawn.items():
        if figure is not None:
            _write(out.parent / "data" / f"{name}.csv", figure.data.to_csv(index=False, lineterminator="\n"))
    _write(out.parent / "data" / "results.csv", inputs.metrics.to_csv(index=False, lineterminator="\n"))


def _figures(inputs: Inputs) -> dict[str, Figure | None]:
    scale, label = inputs.scale, partial(wording.benchmark_name, inputs.params)
    training = inputs.training
    sizes = inputs.sizes.pivot(index="benchmark", columns="which", values="value")
    ranks = inputs.ranks[inputs.ranks["benchmark"].isin(sizes.index)]
    made = {
        "headline": len(inputs.metrics)
        and figures.headline_figure(inputs.metrics, inputs.chance, scale, label),
        "recall": len(ranks) and figures.recall_figure(ranks, sizes, scale, label),
        "loss": curves.loss_figure(training, scale, label),
        "contrastive": curves.contrastive_figure(training, scale),
        "sspc": curves.sspc_figure(training),
        "usage": curves.usage_figure(training),
        "pace": curves.pace_figure(training, scale, label),
        "nmi": len(inputs.nmi) and figures.nmi_figure(inputs.nmi, scale),
        "anchors": len(inputs.counts) and figures.anchor_figure(inputs.counts),
    }
    return {name: figure if figure and figure.panels else None for name, figure in made.items()}


def _notice(params: Params) -> list[str]:
    """Return what a reader must know before any number."""
    sentences = [f"Profile: {params.profile}."]
    if params.corpora.kind == "miniature":
        sentences.append(
            "This is the miniature world: small corpora that the project renders itself. They stand for "
            "the roles of HowTo100M, YouCook2 and MSR-VTT and contain none of their videos."
        )
    if "random" in (params.features.appearance.weights, params.features.motion.weights):
        sentences.append(
            "The networks that make the features have random, seeded weights: nothing was downloaded."
        )
    sentences.append(
        "It is not the published setting: these numbers do not compare with the paper's, and none of the "
        "paper's are shown beside them. Within this page methods compare: they share data and features."
    )
    return sentences


def _what_ran(inputs: Inputs) -> dict[str, Any]:
    runs = inputs.runs
    return {
        "facts": tables.facts(runs, inputs.params) if len(runs) else None,
        "versions": tables.versions(runs),
        "minutes": tables.minutes(runs) if len(runs) else None,
        "datasets": tables.datasets(inputs.datasets) if len(inputs.datasets) else None,
        "sizes": tables.test_sizes(inputs.sizes, inputs.params),
        "extractors": tables.extractors(inputs.params),
    }


def _galleries(inputs: Inputs, sources: ReportSources) -> list[dict[str, Any]]:
    """Return a gallery per benchmark: SSPC's, or that of the last method that has one; zero-shot first."""
    found = []
    for benchmark in wording.DOMAINS:
        name = wording.benchmark_name(inputs.params, benchmark)
        rows = inputs.gallery[inputs.gallery["benchmark"] == benchmark]
        folder = sources.corpora / name
        if rows.empty or not (folder / "corpus.json").exists():
            found.append({"name": name, "domain": wording.DOMAINS[benchmark], "queries": None})
            continue
        method = ordered(rows["method"], ["sspc", *reversed(inputs.params.methods)])[0]
        rows_of = rows[rows["method"] == method]
        setting, seed = ordered(rows_of["setting"], SETTINGS)[0], int(rows_of["seed"].min())
        count = inputs.params.report.gallery_queries
        shown = gallery.queries(
            rows, Corpus.open(folder), method=method, setting=setting, seed=seed, count=count
        )
        chosen = {"method": wording.method_name(method), "setting": setting, "seed": seed, "queries": shown}
        found.append({"name": name, "domain": wording.DOMAINS[benchmark], **chosen})
    return found


def _origins(inputs: Inputs, sources: ReportSources) -> list[dict[str, str]]:
    """Return, per method, the file that its numbers stand in and the command that makes it."""
    origins = []
    for method in inputs.scale.methods:
        path = sources.metrics / f"{method}.json"
        if path.exists():
            runs = inputs.runs[(inputs.runs["stage"] == "evaluate") & (inputs.runs["method"] == method)]
            stages = list(filter(None, runs["dvc_stage"].unique())) or [f"evaluate@{method}"]
            origins.append(
                {
                    "method": method,
                    "name": wording.method_name(method),
                    "file": sources.name(path),
                    "digest": file_digest(path)[:12],
                    "command": f"dvc repro {' '.join(stages)}",
                    "runs": wording.listed(list(filter(None, runs["run_id"]))),
                }
            )
    return origins


def _markdown(groups: list[tables.Group], inputs: Inputs) -> str:
    if not groups:
        return "Not run: no metrics; `dvc repro` makes them.\n"
    seeds = wording.listed([str(seed) for seed in sorted(inputs.metrics["seed"].unique())])
    head = (
        f"Text → video+audio, profile `{inputs.params.profile}`: mean ± standard deviation over seeds "
        f"{seeds}. R@K and GeoMean in percent. "
        "Not the published setting: do not compare with the paper's numbers."
    )
    return f"{head}\n\n{tables.results_frame(groups).to_markdown(index=False, disable_numparse=True)}\n"


def _render(**context: Any) -> str:
    files = resources.files(__package__)
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.globals.update(
        css=Markup(files.joinpath("style.css").read_text()),
        metric_names=[wording.METRICS[key] for key in tables.COLUMNS],
        direction_name=wording.direction_name,
        method_name=wording.method_name,
        listed=wording.listed,
    )
    return environment.from_string(files.joinpath("page.html").read_text()).render(**context)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial_file = path.with_name(path.name + ".tmp")
    partial_file.write_text(text, encoding="utf-8")
    partial_file.replace(path)
