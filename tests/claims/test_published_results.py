"""Published numbers: where each is from, and that they are compared in the published setting alone."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from ruamel.yaml import YAML

from multisk.benchmarks.definition import Definition, PublishedResult, load_definition
from multisk.claims.measured import Measured
from multisk.claims.published import ComparedNumber, against_measured, published_frame
from multisk.errors import InputError
from multisk.params import load_params
from multisk.results import ReportSources, read_metrics

Published = dict[str, Definition]


@pytest.fixture
def published() -> Published:
    return {name: load_definition(name) for name in ("youcook2", "msrvtt")}


@pytest.fixture
def paper(sources: ReportSources) -> ReportSources:
    """The copy, as if it had been made in the published setting."""
    text = sources.params.read_text()
    sources.params.write_text(text.replace("profile: miniature", "profile: paper", 1))
    return sources


def with_row(published: Published, **changes) -> Published:
    """One published row, of SSPC on the close domain, with some entries changed."""
    close = published["youcook2"]
    values = close.rows[0].values.model_copy(update=changes.pop("values", {}))
    row = close.rows[0].model_copy(update={"values": values, **changes})
    return {"youcook2": close.model_copy(update={"rows": (row,)})}


def rows_of(published: Published) -> list[tuple[str, PublishedResult]]:
    return [(name, row) for name, definition in published.items() for row in definition.rows]


def compared(published: Published, sources: ReportSources) -> list[ComparedNumber]:
    return against_measured(published, Measured.read(sources), load_params(sources.params))


def of_metric(rows: list[ComparedNumber], metric: str) -> ComparedNumber:
    return next(row for row in rows if row.metric == metric)


def test_what_was_read_is_what_the_source_says(repository: Path, published: Published):
    """The transcription beside the repository, value by value; nothing is added and nothing is lost."""
    path = repository.parent / "shared" / "paper" / "published_results.yaml"
    if not path.exists():
        pytest.skip("the transcription is not beside this repository")
    order = list(published)
    original = sorted(YAML(typ="safe").load(path)["rows"], key=lambda line: order.index(line["dataset"]))
    for line, (benchmark, row) in zip(original, rows_of(published), strict=True):
        assert (line["method"], line["dataset"], line["setting"]) == (row.name, benchmark, row.setting)
        assert (line["backbone"], line["gallery"], line["source"]) == (row.backbone, row.gallery, row.source)
        assert [line[key] for key in ("r1", "r5", "r10", "medr")] == list(row.values.model_dump().values())


def test_the_papers_own_rows_are_not_transcribed_and_say_how_to_fill_them_in(published, sources):
    rows = [row for row in compared(published, sources) if row.method == "sspc"]
    assert len(rows) == 16
    assert {row.verdict for row in rows} == {"not transcribed"}
    assert all("PDF" in row.reason for row in rows)
    assert all(row.published is None and row.difference is None for row in rows)


def test_at_another_scale_nothing_stands_beside_a_published_number(published, sources):
    rows = compared(published, sources)
    assert len(rows) == 4 * len(rows_of(published))
    assert all(row.measured is None and row.low is None and row.difference is None for row in rows)
    assert {row.verdict for row in rows} == {"not compared", "not transcribed"}
    told = {row.reason for row in rows if row.verdict == "not compared"}
    assert told == {"profile miniature is not the published setting: the published number stands aside"}


def test_at_the_scale_of_the_paper_the_mean_over_seeds_stands_beside_it(published, paper):
    metrics = read_metrics(paper).query(
        "method == 'sspc' and benchmark == 'youcook2' and setting == 'zero-shot' and direction == 't2v+a'"
    )
    means = metrics.groupby("metric")["value"].mean()
    rows = compared(with_row(published, values={"R10": 40.0, "MedR": 9.0}), paper)
    for metric in ("R1", "R5", "R10", "MedR"):
        row = of_metric(rows, metric)
        assert row.measured == pytest.approx(means[metric])
        assert row.low <= row.measured <= row.high
        assert (row.seeds, row.over_runs) == (2, True)
    recall = of_metric(rows, "R10")
    assert recall.difference == pytest.approx(means["R10"] - 40.0)
    assert recall.command == "python stages/evaluate.py sspc"
    assert recall.run_ids == ("id-evaluate-sspc-None-0", "id-evaluate-sspc-None-1")
    assert recall.files == tuple(f"runs/evaluate/sspc/seed-{seed}/run.json" for seed in (0, 1))
    assert recall.checkpoints == tuple(f"runs/pretrain/sspc/seed-{s}/model.safetensors" for s in (0, 1))
    assert of_metric(rows, "R1").verdict == "not transcribed"


def test_checkpoints_of_fine_tuned_rows_are_the_fine_tuned_ones(published, paper):
    row = compared(with_row(published, setting="fine-tuned"), paper)[0]
    assert row.checkpoints[0] == "runs/finetune/sspc/youcook2/seed-0/model.safetensors"


def test_the_verdict_says_where_the_published_number_lies(published, paper):
    def verdict(value: float) -> str:
        rows = compared(with_row(published, values={"R10": value}), paper)
        return of_metric(rows, "R10").verdict

    measured = of_metric(compared(with_row(published), paper), "R10").measured
    assert verdict(measured) == "within the interval"
    assert verdict(100.0) in ("above it", "within the interval")
    for path in (paper.runs / "evaluate").glob("*/ranks.parquet"):
        table = pd.read_parquet(path)
        table.assign(rank=1.0 + 20 * (table["clip_id"] > "clip-v10")).to_parquet(
            path
        )  # each run finds the same
    assert verdict(100.0) == "above it"
    assert verdict(0.0) == "below it"


def test_intervals_stay_within_what_is_possible(published, paper):
    for row in compared(with_row(published), paper):
        if row.metric == "MedR":
            assert row.low >= 1
        else:
            assert 0 <= row.low <= row.high <= 100


def test_numbers_of_another_setting_are_not_compared(published, paper):
    rows = compared(with_row(published, backbone="S3D-G", values={"R10": 40.0}), paper)
    assert of_metric(rows, "R10").reason == "other features: S3D-G; here R152+RX101"
    rows = compared(with_row(published, direction=None, values={"R10": 40.0}), paper)
    assert of_metric(rows, "R10").reason == "the source does not say what was searched"
    rows = compared(with_row(published, method="mcn", values={"R10": 40.0}), paper)
    assert of_metric(rows, "R10").verdict == "not run"
    assert of_metric(rows, "R10").measured is None


def test_the_frame_has_a_row_per_published_number(published, paper):
    frame = published_frame(compared(published, paper))
    assert len(frame) == 4 * len(rows_of(published))
    assert frame.groupby("key").size().eq(4).all()
    assert frame.query("key == 'sspc-msrvtt-zero-shot'")["checkpoints"].str.count(";").eq(1).all()


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda c: c["rows"][1].update(key=c["rows"][0]["key"]), "the key 'sspc-youcook2-zero-shot' is used"),
        (lambda c: c["rows"][4]["values"].update(R1=123), r"rows\.4\.values\.R1: .*found 123"),
        (lambda c: c["rows"][4].pop("source"), r"rows\.4\.source: missing; add it"),
        (lambda c: c["rows"][4].update(r1=3), r"rows\.4\.r1: unknown key"),
        (lambda c: c.pop("rows"), "rows: missing; add it"),
    ],
)  # fmt: skip
def test_mistakes_are_told_on_one_line(repository: Path, tmp_path: Path, edit: Callable, message: str):
    content = YAML(typ="safe").load(repository / "src" / "multisk" / "benchmarks" / "youcook2.yaml")
    edit(content)
    YAML().dump(content, tmp_path / "youcook2.yaml")
    with pytest.raises(InputError, match=rf"youcook2\.yaml: .*{message}") as caught:
        load_definition("youcook2", tmp_path)
    assert "\n" not in str(caught.value)
