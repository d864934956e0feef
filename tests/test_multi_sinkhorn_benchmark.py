"""The comparison of Multi-SK with its plain form, at a small size."""

import json
import runpy
from pathlib import Path

import pytest


@pytest.mark.parametrize("slots", ["constant", "ramp"])
def test_the_benchmark_prints_its_row(
    slots: str, repository: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--samples", "200", "--anchors", "16", "--slots", slots, "--repetitions", "1", "--json"]
    monkeypatch.setattr("sys.argv", ["multi_sinkhorn.py", *options])
    runpy.run_path(str(repository / "benchmarks" / "multi_sinkhorn.py"), run_name="__main__")
    row = json.loads(capsys.readouterr().out)
    assert (row["samples"], row["anchors"], row["slots"]) == (200, 16, slots)
    assert row["difference"] < 1e-5
    assert row["ratio"] == pytest.approx(row["reference_seconds"] / row["seconds"])
