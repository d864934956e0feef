"""An entry of params.yaml is checked, and whatever goes over benchmarks goes over the entries there are."""

from typing import Any

import pytest
from ruamel.yaml import YAML

from multisk.benchmarks.definition import load_definitions
from multisk.errors import InputError
from multisk.layout import Layout
from multisk.params import Params, load_params, load_profile, sections
from multisk.pipeline.evaluate import evaluation_settings, weights_of
from multisk.preflight.corpora import corpus_checks
from multisk.preflight.given import uses
from multisk.reporting import wording
from multisk.settings.benchmarks import anchor_benchmark
from multisk.sweep.space import check
from multisk.sweep.validation import validation_settings
from multisk.tracking.describe import corpora


@pytest.fixture
def settings(repository) -> dict[str, Any]:
    """The active settings as plain data, to be changed at will."""
    return YAML(typ="safe").load(repository / "params.yaml")


@pytest.fixture
def third(settings) -> Params:
    """Settings with one more benchmark, which is measured zero-shot alone."""
    entry = settings["benchmarks"]["youcook2"] | {"domain": None, "corpus": "mini-third", "finetune": None}
    settings["benchmarks"]["third"] = entry
    return Params.model_validate(settings)


def alone(settings) -> Params:
    settings["benchmarks"] = {"msrvtt": settings["benchmarks"]["msrvtt"] | {"domain": None}}
    return Params.model_validate(settings)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"task": "chess"}, r"benchmarks\.msrvtt\.task: .*'retrieval', found 'chess'"),
        ({"domain": "near"}, r"benchmarks\.msrvtt\.domain: .*'close' or 'far', found 'near'"),
        ({"splits": {"train": "train", "test": "held-out"}}, r"splits\.test: .*found 'held-out'"),
        ({"splits": {"train": "test", "test": "test"}}, r"splits: train and test must be different splits"),
        ({"segments": 7}, r"benchmarks\.msrvtt: segments \(7\) must divide"),
        ({"corpora": "x"}, r"benchmarks\.msrvtt\.corpora: unknown key, did you mean corpus\?"),
        (
            {"finetune": {"epoch": 2}},
            r"benchmarks\.msrvtt\.finetune\.epoch: unknown key, did you mean epochs",
        ),
    ],
)
def test_a_mistake_in_an_entry_is_named_with_its_key(settings, tmp_path, change, message):
    settings["benchmarks"]["msrvtt"] |= change
    with pytest.raises(InputError, match=message):
        load_params(written(settings, tmp_path))


@pytest.mark.parametrize("name", ["a;touch X", "Mixed", "mean", "chance", "clips", "pretrain", "words", ""])
def test_names_that_mean_something_else_or_reach_a_shell_are_refused(settings, tmp_path, name):
    settings["benchmarks"][name] = settings["benchmarks"]["msrvtt"]
    with pytest.raises(InputError, match="benchmarks"):
        load_params(written(settings, tmp_path))


def test_no_benchmark_at_all_is_refused(settings, tmp_path):
    settings["benchmarks"] = {}
    with pytest.raises(InputError, match=r"benchmarks: .*at least 1 item"):
        load_params(written(settings, tmp_path))


def written(settings, folder):
    path = folder / "params.yaml"
    YAML(typ="safe").dump(settings, path)
    return path


def test_an_unknown_benchmark_is_named_with_the_known_ones(settings):
    params = Params.model_validate(settings)
    with pytest.raises(InputError, match=r"benchmarks\.lsmdc: no such benchmark; known: youcook2, msrvtt"):
        params.benchmark("lsmdc")


def test_records_leave_out_what_no_result_depends_on(settings):
    params = Params.model_validate(settings)
    (found,) = sections(params, "benchmarks.msrvtt.finetune").values()
    assert set(found) == set(settings["benchmarks"]["msrvtt"]["finetune"]) - {"checkpoint_steps", "workers"}


def test_everything_goes_over_a_third_benchmark(third, tmp_path):
    layout = Layout(tmp_path)
    places = [("zero-shot", True), ("fine-tuned", False)]
    weights = weights_of(third, layout, "sspc", 0)
    assert all((("third", setting) in weights) == there for setting, there in places)
    assert uses(third) == ("pretrain", "youcook2", "msrvtt", "third")
    parts = {check.part: check for check in corpus_checks(third, layout, {}, everything=False)}
    assert parts["mini-third"].status == "missing"
    assert "benchmarks.third.corpus" in parts["mini-third"].remedy
    assert "benchmarks.third.clips" in validation_settings(third)
    record = {"stage": "evaluate", "params": sections(third, *evaluation_settings(third.benchmarks))}
    assert corpora(record) == ["mini-youcook2", "mini-msrvtt", "mini-third"]
    assert wording.benchmark_names(third)["third"] == "mini-third"
    assert wording.benchmark_title(third, "third") == "mini-third"
    assert wording.benchmark_title(third, "msrvtt") == "mini-msrvtt (far domain)"


def test_one_benchmark_of_no_domain_is_enough(settings, tmp_path):
    params = alone(settings)
    assert anchor_benchmark(params.benchmarks) == "msrvtt"
    assert list(weights_of(params, Layout(tmp_path), "sspc", 0)) == [
        ("msrvtt", "zero-shot"),
        ("msrvtt", "fine-tuned"),
    ]
    check(params, "anchors", params.sweep.studies["anchors"])
    with pytest.raises(
        InputError, match=r"weights\.objectives: no benchmark 'youcook2'; known: msrvtt, mean"
    ):
        check(params, "weights", params.sweep.studies["weights"])


def test_anchors_are_compared_on_the_close_domain(settings):
    benchmarks = Params.model_validate(settings).benchmarks
    assert anchor_benchmark(dict(reversed(benchmarks.items()))) == "youcook2"


def test_the_definitions_are_the_published_benchmarks(repository):
    paper = load_profile("paper", repository / "profiles")
    assert {name: one.settings for name, one in load_definitions().items()} == paper.benchmarks
