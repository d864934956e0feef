"""Each number of the site, from its cell to the metrics file, the run, the tracker and the command."""

import re
import shutil
from pathlib import Path

import pytest

from multisk.reporting import audit
from multisk.resumable import read_json
from multisk.tracking.mirror import metric_name

pytestmark = pytest.mark.slow


@pytest.fixture
def site(trained: Path, repository: Path, tmp_path: Path, stage) -> Path:
    """A copy of the tiny world with all that the site can show of it."""
    root = tmp_path / "site"
    shutil.copytree(trained, root)
    for name in ("claims.yaml", "published.yaml"):
        shutil.copy(repository / "reports" / name, root / "reports")
    shutil.copytree(repository / "recipes", root / "recipes")
    done = stage(root, "report")
    assert done.returncode == 0, done.stderr
    return root


def test_every_number_leads_to_its_file_its_run_the_tracker_and_the_command(site):
    from mlflow import MlflowClient

    assert list(audit.problems(site)) == []
    client = MlflowClient(f"sqlite:///{site / 'tracking' / 'mlflow.db'}")
    records = {record["run_key"]: record for record in map(read_json, (site / "runs").rglob("run.json"))}
    shown = {
        (claimed.attributes["data-file"], claimed.attributes["data-key"]): claimed.text
        for claimed in audit.claimed_by(site / "reports" / "runs.html")
        if claimed.is_traced
    }
    followed = 0
    for page in sorted((site / "reports").glob("*.html")):
        for claimed in audit.claimed_by(page):
            for key in claimed.runs if claimed.is_traced else ():
                record = records[key]
                run = client.get_run(record["run_id"])
                assert run.data.tags["run_key"] == key
                assert run.data.tags["mlflow.source.name"] == record["command"]
                file = next(
                    file for file, name in shown if name == "run_id" and shown[file, name] == record["run_id"]
                )
                assert read_json(site / file)["run_key"] == key
                assert shown[file, "command"] == record["command"]
                followed += _same_in_the_tracker(claimed, run.data.metrics, record["seed"], site)
    assert followed > 100


def _same_in_the_tracker(claimed: audit.Claimed, metrics: dict[str, float], seed: int, site: Path) -> int:
    """Compare what a metrics file says with what the tracker has; return how many values that were."""
    file, key = claimed.attributes["data-file"], claimed.attributes["data-key"]
    if not re.fullmatch(r"reports/metrics/\w+\.json", file) or f"/seed-{seed}/" not in key:
        return 0
    [[value]] = audit.found_values(site, file, key)
    assert metrics[metric_name(key.replace(f"/seed-{seed}/", "/"))] == value
    return 1
