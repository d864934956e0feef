"""Reading the files that a page is made of."""

import json

import pandas as pd
import pytest

from multisk.errors import InputError
from multisk.reporting import ReportSources
from multisk.results import (
    GALLERY_COLUMNS,
    headline,
    ordered,
    read_chance,
    read_datasets,
    read_evaluations,
    read_metrics,
    read_runs,
    read_training,
)


def metrics_of(sources, method):
    return sources.runs / "evaluate" / method / "metrics.json"


def test_metrics_are_tidy(complete):
    metrics = read_metrics(ReportSources.below(complete))
    content = json.loads((complete / "runs" / "evaluate" / "eao" / "metrics.json").read_text())
    row = metrics.query(
        "method == 'eao' and benchmark == 'msrvtt' and setting == 'fine-tuned' and seed == 1"
        " and direction == 't2va' and metric == 'R10'"
    )
    assert list(row["value"]) == [content["msrvtt"]["fine-tuned"]["seed-1"]["t2va"]["R10"]]
    assert list(row["file"]) == ["runs/evaluate/eao/metrics.json"]
    assert set(metrics["benchmark"]) == {"youcook2", "msrvtt"}


def test_headline_is_fused_where_a_model_fuses(complete):
    chosen = headline(read_metrics(ReportSources.below(complete)))
    directions = chosen.groupby("method")["direction"].unique().map(list).to_dict()
    assert directions == {"contrastive": ["t2v+a"], "eao": ["t2va"], "sspc": ["t2v+a"]}


def test_without_audio_text_to_video_stands_for_the_method(silent):
    chosen = headline(read_metrics(silent)).groupby("method")["direction"].unique().map(list).to_dict()
    assert chosen == {"contrastive": ["t2v"], "eao": ["t2va"], "sspc": ["t2v+a"]}


def test_a_method_that_text_does_not_search_is_named(sources):
    path = metrics_of(sources, "contrastive")
    path.write_text(path.read_text().replace("t2v+a", "a2v"))
    with pytest.raises(InputError, match=r"contrastive/metrics\.json: directions: one of t2va, t2v\+a, t2v"):
        headline(read_metrics(sources))


def test_methods_must_agree_on_chance(sources):
    assert set(read_chance(sources)["metric"]) == {"R1", "R5", "R10", "R50", "MedR", "MeanR"}
    path = metrics_of(sources, "sspc")
    content = json.loads(path.read_text())
    content["chance"]["msrvtt"]["R10"] = 3.0
    path.write_text(json.dumps(content))
    with pytest.raises(
        InputError, match=r"sspc/metrics\.json: chance/msrvtt/R10: 3\.0, but 41\.7 in .*run dvc repro"
    ):
        read_chance(sources)


def test_training_of_both_stages_with_what_was_said_last(sources):
    path = sources.runs / "pretrain" / "eao" / "seed-0" / "steps.jsonl"
    with path.open("a") as file:
        file.write('{"step": 39, "loss": 7.5}\n{"step": 40, "lo')
    training = read_training(sources)
    of_run = training.query("stage == 'pretrain' and method == 'eao' and seed == 0 and term == 'loss'")
    assert list(of_run["step"]) == list(range(40))
    assert of_run["value"].iloc[-1] == 7.5
    assert set(training.query("stage == 'finetune'")["benchmark"]) == {"youcook2", "msrvtt"}


def test_training_below_folders_with_confusing_names(complete, tmp_path):
    import shutil

    root = tmp_path / "pretrain" / "finetune"
    shutil.copytree(complete, root)
    training = read_training(ReportSources.below(root))
    assert set(training["method"]) == {"contrastive", "eao", "sspc"}


def test_nothing_there_gives_empty_tables(tmp_path):
    sources = ReportSources.below(tmp_path)
    for table in (read_metrics(sources), read_chance(sources), read_runs(sources), read_training(sources)):
        assert table.empty
    assert read_datasets(sources).empty
    assert list(read_evaluations(sources, "gallery", GALLERY_COLUMNS)) == ["method", *GALLERY_COLUMNS, "file"]


def test_a_corpus_without_features_has_no_counts_of_them(sources):
    (sources.features / "mini-msrvtt" / "index.parquet").unlink()
    table = read_datasets(sources).set_index("corpus")
    assert table.loc["mini-msrvtt", "missing"] == 2
    assert table.loc["mini-msrvtt", "silent"] is None
    assert table.loc["mini-youcook2", ["silent", "failed"]].tolist() == [2, 1]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("[]", "expected a JSON object"),
        ("{", "damaged"),
        ('{"msrvtt": {"zero-shot": {"0": {"t2v": {"R1": 1}}}}}', "expected seed-<number>, found '0'"),
        ('{"msrvtt": {"seed-0": {"t2v": {"R1": 1}}}}', "expected 5 levels of keys, found 4"),
    ],
)
def test_malformed_metrics_name_file_and_remedy(sources, content, said):
    metrics_of(sources, "sspc").write_text(content)
    with pytest.raises(InputError) as error:
        read_metrics(sources)
    assert "sspc/metrics.json: " in str(error.value)
    assert said in str(error.value)
    assert "dvc repro" in str(error.value)
    assert "\n" not in str(error.value)


def test_malformed_tables_name_file_and_column(sources):
    path = sources.runs / "evaluate" / "sspc" / "gallery.parquet"
    pd.read_parquet(path).drop(columns="top").to_parquet(path)
    with pytest.raises(InputError, match=r"gallery\.parquet: top: no such column"):
        read_evaluations(sources, "gallery", GALLERY_COLUMNS)
    path.write_bytes(b"no parquet")
    with pytest.raises(InputError, match=r"gallery\.parquet: cannot be read as parquet"):
        read_evaluations(sources, "gallery", GALLERY_COLUMNS)


def test_order_prefers_without_dropping():
    assert ordered(["x", "b", "a", "b"], ["a", "c"]) == ["a", "x", "b"]
