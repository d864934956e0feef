"""Exported studies, and the README's tables."""

import json
import subprocess
import sys

import numpy as np
import pytest

from multisk.errors import InputError
from multisk.reporting import ReportSources
from multisk.reporting.ablations import by_value
from multisk.reporting.markdown import BEGIN, END
from multisk.reporting.studies import gains, interval, read_studies


def test_pruned_trials_stay_out_of_means(complete):
    study = read_studies(ReportSources.below(complete))["anchors"]
    assert set(study.trials["state"]) == {"finished", "pruned"}
    assert len(study.means) == 6
    table = by_value(study, "anchors", "mean").set_index("value")
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


def test_the_readme_takes_the_tables_and_stale_ones_are_found(reports, tmp_path):
    def readme(*options):
        command = [sys.executable, "-m", "multisk", "readme", *options]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    (tmp_path / "reports").mkdir()
    summary = tmp_path / "reports" / "summary.md"
    summary.write_text((reports / "summary.md").read_text())
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
