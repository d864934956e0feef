"""Each number of the site, from its cell to the metrics file, the run, the tracker and the command."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import parse_qsl

import pandas as pd
import pytest
from ruamel.yaml import YAML
from tests.reporting import audit

from multisk.evaluation.headline import headline
from multisk.files import read_json
from multisk.tracking.mirror import metric_name

pytestmark = pytest.mark.slow

REPOSITORY = Path(__file__).parents[2]
CLAIM, COMPARISON = "out-of-domain", "untransferred"  # whose terms the tiny world replaces by these
TERMS = [
    {"weight": 1.0, "method": "sspc", "benchmark": "youcook2", "setting": "zero-shot"},
    {"weight": -0.5, "method": "sspc", "benchmark": "msrvtt", "setting": "fine-tuned"},
]


@pytest.fixture(scope="module")
def site(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the tiny world with all that the site can show of it, a study and a claim among it."""
    root = tmp_path_factory.mktemp("traces") / "site"
    shutil.copytree(trained, root)
    benchmarks = "src/multisk/benchmarks"
    shutil.copytree(REPOSITORY / benchmarks, root / benchmarks, ignore=shutil.ignore_patterns("*.py*"))
    shutil.copytree(REPOSITORY / "recipes", root / "recipes")
    declare(REPOSITORY / "reports" / "claims.yaml", root / "reports" / "claims.yaml")
    settings = YAML(typ="safe").load(root / "params.yaml")
    settings["sweep"]["studies"]["anchors"] |= {"epochs": 1, "seeds": [0, 1]}
    YAML().dump(settings, root / "params.yaml")
    for stage, *arguments in (("sweep", "anchors"), ("report",)):
        command = [sys.executable, str(REPOSITORY / "stages" / f"{stage}.py"), *arguments]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    return root


def declare(declared: Path, path: Path) -> None:
    """Write the claims with one comparison that the tiny world, which has one method, can answer."""
    content = YAML(typ="safe").load(declared)
    (claim,) = [claim for claim in content["claims"] if claim["name"] == CLAIM]
    (comparison,) = [one for one in claim["comparisons"] if one["name"] == COMPARISON]
    claim["comparisons"] = [comparison | {"terms": TERMS, "metric": "R1"}]
    with path.open("w") as file:
        YAML().dump(content, file)


def test_every_number_leads_to_its_file_its_run_the_tracker_and_the_command(site):
    from mlflow import MlflowClient

    assert list(audit.problems(site)) == []
    client = MlflowClient(f"sqlite:///{site / 'tracking' / 'mlflow.db'}")
    records, trials = (
        {record["run_key"]: record for record in map(read_json, (site / place).rglob("run.json"))}
        for place in ("runs", "sweeps")
    )
    shown = {
        (claimed.attributes["data-file"], claimed.attributes["data-key"]): claimed.text
        for claimed in audit.claimed_by(site / "reports" / "site" / "runs.html")
        if claimed.is_traced
    }
    followed = 0
    for page in sorted((site / "reports" / "site").glob("*.html")):
        for claimed in audit.claimed_by(page):
            for key in claimed.runs if claimed.is_traced else ():
                if key in trials:  # which the next test follows
                    continue
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
    if not re.fullmatch(r"runs/evaluate/\w+/metrics\.json", file) or f"/seed-{seed}/" not in key:
        return 0
    [[value]] = audit.found_values(site, file, key)
    assert metrics[metric_name(key.replace(f"/seed-{seed}/", "/"))] == value
    return 1


def test_a_trials_number_leads_to_its_record_the_tracker_and_the_command(site):
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{site / 'tracking' / 'mlflow.db'}")
    claimed = [cell for page in (site / "reports" / "site").glob("*.html") for cell in audit.claimed_by(page)]
    commands = {
        cell.attributes["data-file"]: cell.text
        for cell in claimed
        if cell.attributes.get("data-key") == "command"
    }
    followed = 0
    for cell in claimed:
        file, key = (cell.attributes.get(name, "") for name in ("data-file", "data-key"))
        if not (re.fullmatch(r"runs/sweep/[^ ]+/trials\.parquet", file) and key.startswith("value/")):
            continue
        rows, objective = _rows(site / file, key)
        assert float(re.match(r"[\d.]+", cell.text)[0]) == round(float(rows[f"value/{objective}"].mean()), 1)
        if cell.runs:
            assert cell.runs == rows["run_key"].tolist()
        for row in rows.to_dict("records"):
            record = read_json(site / row["file"])
            assert (record["run_key"], record["run_id"]) == (row["run_key"], row["run_id"])
            found = read_json((site / row["file"]).with_name("metrics.json"))["validation"][objective]
            assert found == row[f"value/{objective}"]
            run = client.get_run(record["run_id"])
            assert run.data.tags["run_key"] == record["run_key"]
            assert (run.data.tags["trial"], run.data.tags["seed"]) == (str(row["number"]), str(row["seed"]))
            assert run.data.metrics[f"validation/{objective}"] == found
            assert run.data.tags["mlflow.source.name"] == record["command"] == commands[row["file"]]
            assert record["command"].endswith("sweep.py anchors")
            followed += 1
    assert followed >= 4


def _rows(table: Path, key: str) -> tuple[pd.DataFrame, str]:
    """Return the rows of a table that a cell names by `value/<objective>?<column>=<value>&...`."""
    name, _, query = key.partition("?")
    rows = pd.read_parquet(table)
    for column, value in parse_qsl(query):
        rows = rows[rows[column].astype(str) == value]
    assert len(rows), key
    return rows, name.removeprefix("value/")


def test_a_claims_number_is_what_the_ranks_give(site):
    """The weighted sum of the terms' R@1 of the complete benchmark, made anew of the single ranks."""
    ranks = pd.read_parquet(site / "runs/evaluate/sspc/ranks.parquet")
    sizes = read_json(site / "runs/evaluate/sspc/metrics.json")["clips"]
    direction = headline(ranks["direction"])
    effect = 0.0
    for term in TERMS:
        chosen = (
            (ranks["benchmark"] == term["benchmark"])
            & (ranks["setting"] == term["setting"])
            & (ranks["direction"] == direction)
        )
        first = (ranks.loc[chosen].groupby("seed")["rank"].agg(lambda rank: (rank == 1).sum())).mean()
        effect += term["weight"] * 100 * first / sizes[term["benchmark"]]["complete"]
    assert effect != 0
    shown = [
        cell
        for page in (site / "reports" / "site").glob("*.html")
        for cell in audit.claimed_by(page)
        if cell.attributes.get("data-key") == f"effect?claim={CLAIM}&name={COMPARISON}"
    ]
    assert shown
    for cell in shown:
        [[kept]] = audit.found_values(site, cell.attributes["data-file"], cell.attributes["data-key"])
        assert kept == pytest.approx(effect)
        assert float(re.match(r"[-+−\d.]+", cell.text)[0].replace("−", "-")) == round(float(effect), 1)
        record = read_json(site / "runs/evaluate/sspc/seed-0/run.json")
        assert cell.runs == [record["run_key"]]
