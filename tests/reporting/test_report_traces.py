"""From every number to the file and the run that it came from."""

import json
import re
import shutil

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
    ("page", "pattern", "instead"),
    [
        ("index.html", r"(<td[^>]*data-key=\"msrvtt/zero-shot/\{[^>]*>)(?:<strong>)?\d+", r"\g<1>99"),
        ("cost.html", r"(<td data-file=\"[^\"]*\" data-key=\"seconds\"[^>]*>)[\d.]+", r"\g<1>0.1"),
        ("ablations.html", r"(data-key=\"value/mean[^>]*>)[\d.]+", r"\g<1>77.7"),
        ("index.html", r" data-file=\"[^\"]*\" data-key=\"chance[^>]*>", ">"),
        ("index.html", r"\{seed-0,seed-1\}/t2v", "{seed-0,seed-9}/t2v"),
        ("claims.html", r"(Inconclusive: )\d of", r"\g<1>7 of"),
        ("claims.html", r"(data-key=\"low[^>]*>[+−]?)[\d.]+", r"\g<1>999.9"),
        ("retrieval.html", r"(class=\"ranks\">.*?<span[^>]*>)\d+", r"\g<1>999"),
        ("ablations.html", r"(data-key=\"trials/finished\"[^>]*>)\d+", r"\g<1>999"),
        ("ablations.html", r"(data-key=\"epochs\"[^>]*>)\d+", r"\g<1>999"),
        ("ablations.html", r"(data-key=\"seeds/[^>]*>)\d+", r"\g<1>999"),
        ("ablations.html", r"(data-key=\"rows/\d+/values/R10\"[^>]*>)[\d.]+", r"\g<1>99.9"),
        ("ablations.html", r"(data-key=\"chance[^>]*>)[\d.]+", r"\g<1>99.9"),
        ("cost.html", r"(class=\"last total\".*?data-key=\"seconds\"[^>]*>)[\d.]+", r"\g<1>0.1"),
        ("runs.html", r"(data-key=\"command\"[^>]*><code>)multisk sweep", r"\g<1>multisk dream"),
        ("runs.html", r"(data-key=\"run_id\"[^>]*><code>)[^<]*", r"\g<1>id-of-another"),
    ],
)
def test_a_number_that_is_not_its_files_is_found(site, tmp_path, page, pattern, instead):
    root = tmp_path / "copy"
    shutil.copytree(site, root)
    path = root / "reports" / "site" / page
    changed, count = re.subn(pattern, instead, path.read_text(), count=1, flags=re.DOTALL)
    assert count == 1
    path.write_text(changed)
    found = list(audit.problems(root))
    assert found
    assert all(line.startswith(f"{page}: ") for line in found)


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
