"""Exported studies, and the README's tables."""

import json
import subprocess
import sys
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from multisk.errors import InputError
from multisk.params import load_params
from multisk.reporting import ReportSources
from multisk.reporting.ablations import curve_figure, gain_figure
from multisk.reporting.inputs import Inputs
from multisk.reporting.markdown import BEGIN, END
from multisk.reporting.studies import StudyResult, gains, interval, interval_table, read_studies
from multisk.reporting.trials import coinciding
from multisk.reporting.wording import device_name, time_unit
from multisk.results import headline


def test_pruned_trials_stay_out_of_means(complete):
    study = read_studies(ReportSources.below(complete))["anchors"]
    assert set(study.trials["state"]) == {"finished", "pruned"}
    assert len(study.means) == 6
    table = interval_table(study.finished, ["anchors"], "mean").set_index("anchors")
    values = study.finished.loc[study.finished["anchors"] == 64, "mean"]
    assert table.loc[64, "mean"] == pytest.approx(values.mean())
    assert table.loc[64, "low"] < values.min() < values.max() < table.loc[64, "high"]


def test_gains_are_paired_by_seed_and_condition(complete):
    study = read_studies(ReportSources.below(complete))["when"]
    pairs = gains(study).set_index(["share", "misaligned", "seed"])
    assert len(pairs) == 2 * 2 * 2
    rows = study.finished.set_index(["method", "share", "misaligned", "seed"])["mean"]
    for place, gain in pairs["gain/mean"].items():
        assert gain == pytest.approx(rows["sspc", *place] - rows["contrastive", *place])
    assert gains(read_studies(ReportSources.below(complete))["anchors"]).empty


def one_seed(study):
    return StudyResult(
        study.study, study.head, study.trials[study.trials["seed"] == 0], study.place, study.params
    )


def written_in(panel):
    return [text.text for text in ElementTree.fromstring(str(panel.svg)).iter("text")]


def test_curves_start_at_zero_and_show_chance_where_it_is_known(complete):
    study = read_studies(ReportSources.below(complete))["anchors"]
    figure = curve_figure(study)
    for panel, level in zip(figure.panels, (7.5, 10.0, 5.0), strict=True):
        assert f"chance {level:.1f}" in written_in(panel)
        assert "0" in written_in(panel)
        assert any(text.startswith("R@10 (%), ") for text in written_in(panel))
    assert "Dashed: chance. Each point was trained for 6 epochs with 2 seeds" in figure.caption
    head = {**study.head, "chance": {}}
    without = curve_figure(StudyResult(study.study, head, study.trials, study.place, study.params))
    assert "chance" not in without.caption
    assert not any(text.startswith("chance") for panel in without.panels for text in written_in(panel))


def test_captions_of_one_seed_speak_of_no_bars(complete):
    studies = {name: one_seed(of) for name, of in read_studies(ReportSources.below(complete)).items()}
    for figure in (curve_figure(studies["anchors"]), gain_figure(studies["when"])):
        assert "with one seed" in figure.caption
        assert "interval" not in figure.caption
        assert "bars" not in figure.caption
    assert not any("[" in text for panel in figure.panels for text in written_in(panel))


def test_gains_have_intervals_over_paired_seeds_and_one_scale(complete):
    study = read_studies(ReportSources.below(complete))["when"]
    pairs = gains(study)
    cell = pairs[(pairs["share"] == 0.25) & (pairs["misaligned"] == 0.5)]["gain/mean"]
    table = interval_table(pairs, ["share", "misaligned"], "gain/mean").set_index(["share", "misaligned"])
    assert tuple(table.loc[(0.25, 0.5)]) == pytest.approx((cell.mean(), *interval(list(cell))))
    figure = gain_figure(study)
    low, high = (f"{abs(end):.1f}" for end in interval(list(cell)))
    assert any(low in text and high in text and "[" in text for text in written_in(figure.panels[0]))
    trials = study.trials.copy()
    trials.loc[trials["param/method"] == "sspc", "validation/msrvtt"] += 500
    wide = gain_figure(StudyResult(study.study, study.head, trials, study.place, study.params))
    colours = [
        {text for text in written_in(panel) if text.strip("\N{MINUS SIGN}").isdigit()}
        for panel in wide.panels
    ]
    assert colours[0] == colours[1] == colours[2]
    assert "400" in colours[0]


def test_strategies_that_coincide_are_named(complete):
    sources = ReportSources.below(complete)
    params, found = load_params(sources.params), headline(Inputs.read(sources).strategies)
    assert coinciding(found, params) == []
    same = found["strategy"].isin(["nearest", "max-pool"]) & (found["benchmark"] == "msrvtt")
    assert coinciding(found.assign(value=found["value"].mask(same, 12.5)), params) == [
        "mini-msrvtt: nearest and max-pool have the same numbers throughout, as they must where no clip is "
        "longer than what the model reads at once."
    ]


@given(st.lists(st.floats(0, 1e5)))
def test_times_are_told_apart(seconds):
    name, length = time_unit(seconds)
    assert (name, length) == (("minutes", 60) if any(time >= 120 for time in seconds) else ("seconds", 1))


def test_one_thread_is_no_plural():
    assert device_name("Some CPU, 1 threads") == "Some CPU, 1 thread"
    assert device_name("Some CPU, 21 threads") == "Some CPU, 21 threads"


def test_one_seed_has_no_interval_and_many_have_students():
    assert np.isnan(interval([3.0])).all()
    low, high = interval([1.0, 2.0, 3.0])
    assert (low + high) / 2 == pytest.approx(2)
    assert high - 2 == pytest.approx(4.3027 / np.sqrt(3), abs=1e-3)


def test_a_study_without_a_key_is_named(sources):
    path = sources.runs / "sweep" / "anchors" / "study.json"
    path.write_text(json.dumps({"space": {}}))
    with pytest.raises(InputError, match=r"study\.json: objectives: missing; run dvc repro sweep@anchors"):
        read_studies(sources)


def test_the_readme_takes_the_tables_and_stale_ones_are_found(site, tmp_path):
    def readme(*options):
        command = [sys.executable, "-m", "multisk", "readme", *options]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    (tmp_path / "reports").mkdir()
    summary = tmp_path / "reports" / "summary.md"
    summary.write_text((site / "reports" / "summary.md").read_text())
    (tmp_path / "README.md").write_text(f"# before\n\n{BEGIN}\nold\n{END}\n\nafter\n")
    assert readme("--check").returncode == 1
    assert readme().returncode == 0
    text = (tmp_path / "README.md").read_text()
    assert text == f"# before\n\n{BEGIN}\n{summary.read_text().strip()}\n{END}\n\nafter\n"
    assert "| verdict, profile miniature" in text
    assert readme("--check").returncode == 0
    summary.write_text("other\n")
    assert readme("--check").returncode == 1
    (tmp_path / "README.md").write_text("no markers")
    done = readme()
    assert done.returncode == 2
    assert "README.md: needs one line <!-- results:begin -->" in done.stderr
