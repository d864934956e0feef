"""From every number to the file and the run that it came from."""

import json
from dataclasses import replace

import pandas as pd
import pytest
from tests.reporting import audit

from multisk.reporting.cells import column, either


def test_every_number_of_every_page_is_what_its_file_says(site, reports):
    assert list(audit.problems(site)) == []
    found = [claimed for page in reports.glob("*.html") for claimed in audit.claimed_by(page)]
    traced = {claimed.page for claimed in found if claimed.is_traced}
    pages = ("index", "ablations", "claims", "anchors", "retrieval", "runs", "cost")
    assert traced == {f"{name}.html" for name in pages}
    assert sum(claimed.is_traced for claimed in found) > 700


def test_rows_of_results_lead_to_runs_that_are_on_the_page_of_runs(reports, pages):
    ids = {row.attributes["id"]: row for row in pages["runs"].all("tr") if "id" in row.attributes}
    results = {
        "results",
        "directions",
        "differences",
        "nmi",
        "strategies",
        "trials-anchors",
        "trials-weights",
    }
    followed = 0
    for page in reports.glob("*.html"):
        for claimed in audit.claimed_by(page):
            if claimed.is_traced and claimed.table.removeprefix("table-") in results:
                assert claimed.runs or "chance" in claimed.attributes["data-key"], claimed
                for run in claimed.runs:
                    assert ids[f"run-{run}"].attributes["data-run"].startswith("id-")
                    followed += 1
    assert followed > 500


@pytest.mark.parametrize(
    ("page", "key", "instead"),
    [
        ("index", "msrvtt/zero-shot/{", "99.0"),
        ("cost", "seconds", "0.1"),
        ("ablations", "value/mean", "77.7"),
        ("claims", "reason", "Inconclusive: it needs all of 7 comparisons."),
        ("claims", "low", "+999.9"),
        ("retrieval", "rank", "999"),
        ("ablations", "trials/finished", "999"),
        ("ablations", "epochs", "999"),
        ("ablations", "seeds/", "999"),
        ("ablations", "rows/", "99.9"),
        ("ablations", "chance", "99.9"),
        ("runs", "command", "multisk dream"),
        ("runs", "run_id", "id-of-another"),
    ],
)
def test_a_number_that_is_not_its_files_is_found(site, reports, page, key, instead):
    found = [
        claimed
        for claimed in audit.claimed_by(reports / f"{page}.html")
        if claimed.attributes.get("data-key", "").startswith(key)
    ]
    for claimed in (found[0], found[-1]):
        assert audit.problem(claimed, site) == ""
        assert audit.problem(replace(claimed, text=instead), site)


def test_a_number_without_a_file_or_of_another_seed_is_found(site, reports):
    key = "data-key"
    found = [claimed for claimed in audit.claimed_by(reports / "index.html") if claimed.is_traced]
    chance = next(claimed for claimed in found if claimed.attributes[key].startswith("chance"))
    assert audit.problem(replace(chance, attributes={}), site) == "names no file"
    seeds = next(claimed for claimed in found if "{seed-0,seed-1}" in claimed.attributes[key])
    other = seeds.attributes | {key: seeds.attributes[key].replace("seed-1", "seed-9")}
    assert "cannot be looked up" in audit.problem(replace(seeds, attributes=other), site)


def test_data_of_figures_lead_to_their_runs(site, reports):
    data = reports / "data"
    runs = pd.read_csv(data / "runs.csv").set_index("run_key")
    for name in ("headline", "recall", "loss", "contrastive", "sspc", "usage", "pace", "nmi", "anchors"):
        keys = set(pd.read_csv(data / f"{name}.csv")["run_key"])
        assert keys <= set(runs.index), name
        for key in keys:
            record = json.loads((site / runs["file"][key]).read_text())
            assert record["run_id"] == runs["run_id"][key]
            assert record["command"] == runs["command"][key]
    for row in pd.read_csv(data / "headline.csv").to_dict("records"):
        value = json.loads((site / row["file"]).read_text())
        for part in row["key"].split("/"):
            value = value[part]
        assert value == row["value"]
    for study in ("anchors", "weights", "when"):
        trials = pd.read_csv(data / f"sweep-{study}.csv")
        assert {"run_key", "run_id", "file"} <= set(trials)


def test_keys_say_which_rows_and_which_seeds():
    assert (
        column("nmi", seed=0, direction="t2v+a", label="a b&c")
        == "nmi?seed=0&direction=t2v%2Ba&label=a%20b%26c"
    )
    assert either(["seed-0", "seed-1"]) == "{seed-0,seed-1}"
    assert either(["seed-0"]) == "seed-0"
