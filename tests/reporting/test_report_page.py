"""The page as a whole: complete, true to its inputs, safe, self-contained, readable in part."""

import json
import re
import shutil
import statistics
import subprocess
from itertools import pairwise
from pathlib import Path

import pandas as pd
import pytest

from multisk.errors import InputError
from multisk.reporting import ReportSources, write_report

SECTIONS = ("headline", "ran", "results", "training", "anchors", "gallery", "provenance")
FIGURES = ("headline", "recall", "loss", "contrastive", "sspc", "usage", "pace", "nmi", "anchors")


def test_every_section_and_figure_is_there(document):
    sections = [section.attributes["id"] for section in document.all("section")]
    assert sections == list(SECTIONS)
    assert [figure.attributes["id"] for figure in document.all("figure")] == [f"figure-{n}" for n in FIGURES]
    assert "Not run" not in document.text
    assert next(document.all("title")).text == "Preserving Modality Structure, in miniature"


def test_says_that_this_is_not_the_published_setting(document):
    notice = next(document.all("aside")).text
    for part in (
        "Profile: miniature",
        "miniature world",
        "random, seeded weights",
        "not the published setting",
    ):
        assert part in notice


def test_result_rows_are_mean_and_deviation_of_the_files(document, complete):
    rows = [row for row in document.all("tr") if "data-method" in row.attributes]
    headline = rows[:12]  # 3 methods, 2 benchmarks, 2 settings; then those of all directions
    for row in headline:
        method, benchmark, setting = (
            row.attributes[f"data-{key}"] for key in ("method", "benchmark", "setting")
        )
        content = json.loads((complete / "reports" / "metrics" / f"{method}.json").read_text())
        direction, *cells = [cell.text for cell in row.all("td")]
        assert direction == {"eao": "t2va"}.get(method, "t2v+a")
        seeds = [found[direction] for found in content[benchmark][setting].values()]
        for metric, cell in zip(("R1", "R5", "R10", "R50", "MedR", "GeoMean"), cells, strict=False):
            values = [found[metric] for found in seeds]
            assert cell == f"{statistics.fmean(values):.1f} ± {statistics.stdev(values):.1f}"
        assert cells[-2:] == ["0, 1", f"{method}.json"]
    directions = {next(row.all("td")).text for row in rows[12:]}
    assert directions == {"t2v+a", "t2va", "v2t"}


def test_best_mean_is_bold_and_chance_stands_below(document):
    body = next(next(document.all("table", **{"class": "results"})).all("tbody"))
    rows = list(body.all("tr"))[1:]
    assert [next(row.all("th")).text for row in rows] == ["Contrastive", "EAO", "SSPC", "chance"]
    texts = [[cell.text for cell in row.all("td")] for row in rows]
    bold = [[bool(list(cell.all("strong"))) for cell in row.all("td")] for row in rows]
    for column, leads in ((3, max), (5, min)):  # R@10, MedR
        means = [float(row[column].split()[0]) for row in texts[:3]]
        marked = [mean for mean, row in zip(means, bold, strict=False) if row[column]]
        assert set(marked) == {leads(means)}
    assert texts[3][1:4] == ["4.2", "20.8", "41.7"]


def test_what_ran_names_commit_device_versions_and_minutes(document):
    ran = next(document.all("section", id="ran"))
    for part in (
        "0123456789ab",
        "Test CPU, 2 threads",
        "python 3.11.9",
        "torch 2.11.0",
        "random, seeded (0)",
    ):
        assert part in ran.text
    tables = {next(table.all("caption")).text[:11]: table for table in ran.all("table")}
    minutes = [[cell.text for cell in row.all("td")] for row in tables["Minutes per"].all("tr")]
    assert minutes[-1][-2:] == ["21", "31.5"]
    corpora = {next(row.all("th")).text: row.text for row in tables["The corpora"].all("tr")}
    assert "mini-msrvtt captioned 22 1 24 2 2 1" in corpora["mini-msrvtt"]
    assert "mini-howto narrated 1 2 – – – –" in corpora["mini-howto"]


def test_uncommitted_changes_and_unfinished_runs_are_named(sources, written):
    path = sources.runs / "pretrain" / "sspc" / "seed-1" / "run.json"
    record = json.loads(path.read_text()) | {"git_dirty": True, "status": "failed", "run_id": None}
    path.write_text(json.dumps(record))
    text = written().text
    assert "0123456789ab and 0123456789ab with uncommitted changes" in text
    assert "unfinished runs/pretrain/sspc/seed-1/run.json" in text
    assert "not mirrored" in text


def test_claims_count_seeds(document, complete):
    claims = next(document.all("dl", **{"class": "claims"}))
    assert len(list(claims.all("dt"))) == 6
    gaps = []
    for seed in (0, 1):
        values = []
        for method in ("sspc", "contrastive"):
            content = json.loads((complete / "reports" / "metrics" / f"{method}.json").read_text())
            values.append(content["msrvtt"]["zero-shot"][f"seed-{seed}"]["t2v+a"]["R10"])
        gaps.append(values[0] - values[1])
    higher = sum(gap > 0 for gap in gaps)
    number = f"{statistics.fmean(gaps):+.1f}".replace("-", "−")
    assert f"{number} points on mini-msrvtt (higher in {higher} of 2 seeds)" in claims.text


def test_captions_cannot_become_markup(page, document):
    assert not list(document.all("script"))
    assert "<script" not in page
    queries = [heading.text for heading in next(document.all("section", id="gallery")).all("h4")]
    assert any('<script>alert("pan")</script> & an onion' in query for query in queries)


def test_gallery_shows_a_sample_with_the_right_clip_marked(document, complete):
    gallery = next(document.all("section", id="gallery"))
    queries = list(gallery.all("article"))
    assert len(queries) == 16  # report.gallery_queries for each benchmark
    table = pd.read_parquet(complete / "runs" / "evaluate" / "sspc" / "gallery.parquet")
    table = table.query("setting == 'zero-shot' and seed == 0").set_index(["benchmark", "clip_id"])
    for index, query in enumerate(queries):
        row = table.loc[("youcook2" if index < 8 else "msrvtt", query.attributes["data-clip"])]
        assert f"rank {row['rank']:g}" in query.text
        clips = list(query.all("li"))
        right = [clip for clip in clips if clip.attributes["class"] == "right"]
        assert len(right) == 1
        assert "right clip" in right[0].text
        assert len(clips) == (5 if row["rank"] <= 5 else 6)
        for clip in clips:
            image = next(clip.all("img"))
            assert image.attributes["src"].startswith("data:image/jpeg;base64,")
            assert image.attributes["alt"]


def test_provenance_names_files_commands_and_runs(document, complete):
    import hashlib

    row = next(document.all("tr", id="source-sspc")).text
    digest = hashlib.sha256((complete / "reports" / "metrics" / "sspc.json").read_bytes()).hexdigest()
    for part in (
        "reports/metrics/sspc.json",
        digest[:12],
        "dvc repro evaluate@sspc",
        "id-evaluate-sspc-None-None",
    ):
        assert part in row


def test_nothing_is_fetched_from_elsewhere(page, document):
    targets = re.findall(r"""(?:src|href|action|data|poster)\s*=\s*["']([^"']*)""", page)
    targets += re.findall(r"url\(([^)]*)\)", page)
    assert targets
    assert [target for target in targets if not target.strip("'\"").startswith(("#", "data:"))] == []
    assert "@import" not in page
    policy = next(document.all("meta", **{"http-equiv": "Content-Security-Policy"}))
    assert policy.attributes["content"].startswith("default-src 'none'")


def test_ids_are_unique_and_every_reference_has_its_target(page, document):
    ids = [element.attributes["id"] for element in document.all() if "id" in element.attributes]
    assert len(ids) == len(set(ids))
    references = re.findall(r"(?:href=\"|url\()#([^\")]*)", page)
    assert references
    assert set(references) <= set(ids)


def test_headings_tables_and_pictures_can_be_read_aloud(document):
    levels = [int(element.tag[1]) for element in document.all() if re.fullmatch("h[1-6]", element.tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    assert all(next(table.all("caption")).text for table in document.all("table"))
    assert all(
        svg.attributes["role"] == "img" and svg.attributes["aria-label"] for svg in document.all("svg")
    )
    assert next(document.all("a")).attributes == {"class": "skip", "href": "#main"}
    assert all(box.attributes["tabindex"] == "0" for box in document.all("div", role="region"))


def test_data_and_markdown_stand_beside_the_page(reports):
    assert {file.stem for file in (reports / "data").glob("*.csv")} == {*FIGURES, "results"}
    assert all(len(pd.read_csv(file)) for file in (reports / "data").glob("*.csv"))
    text = (reports / "results.md").read_text()
    assert "| mini-msrvtt (far domain), zero-shot" in text
    assert len(re.findall(r"^\| mini", text, re.MULTILINE)) == 16
    assert not list(reports.glob("**/*.tmp"))


def test_an_empty_working_copy_still_gives_a_page(repository, tmp_path):
    shutil.copy(repository / "profiles" / "miniature.yaml", tmp_path / "params.yaml")
    write_report(ReportSources.below(tmp_path), tmp_path / "reports" / "index.html")
    page = (tmp_path / "reports" / "index.html").read_text()
    assert page.count("Not run:") == len(FIGURES) + 6  # runs, corpora, results, two galleries, sources
    assert "Not run" in (tmp_path / "reports" / "results.md").read_text()


def test_missing_parts_are_named_and_the_rest_stays(sources, written):
    root = sources.params.parent
    for missing in ("runs/finetune", "data/corpora", "data/features"):
        shutil.rmtree(root / missing)
    (root / "runs" / "evaluate" / "sspc" / "anchors_counts.parquet").unlink()
    document = written()
    assert [section.attributes["id"] for section in document.all("section")] == list(SECTIONS)
    notes = [note.text for note in document.all("p", **{"class": "not-run"})]
    expected = ["corpora", "anchor counts", "gallery of mini-youcook2", "gallery of mini-msrvtt"]
    assert [note.split(". ")[0] for note in notes] == [f"Not run: {part}" for part in expected]
    panels = [panel.text for panel in next(document.all("figure", id="figure-loss")).all("p")]
    assert panels == ["pretraining"]


def test_without_metrics_and_training_the_gallery_stays(sources, written):
    shutil.rmtree(sources.metrics)
    shutil.rmtree(sources.runs / "pretrain")
    document = written()
    for part in ("evaluation", "ranks of the single queries", "SSPC terms of pretraining"):
        assert f"Not run: {part}" in document.text
    assert len(list(next(document.all("section", id="gallery")).all("article"))) == 16


def test_a_setting_that_was_not_run_leaves_its_place(sources, written):
    for path in sources.metrics.glob("*.json"):
        content = json.loads(path.read_text())
        del content["msrvtt"]["fine-tuned"]
        path.write_text(json.dumps(content))
    panels = [panel.text for panel in written().all("div", **{"class": "panel"})]
    assert panels[3] == "mini-msrvtt, fine-tuned Not run"


def test_the_same_files_give_the_same_page_and_pyplot_stays_as_it_was(sources, page, tmp_path):
    import matplotlib as mpl
    from matplotlib import pyplot

    before = dict(mpl.rcParams)
    write_report(sources, tmp_path / "index.html")
    assert (tmp_path / "index.html").read_text() == page
    assert pyplot.get_fignums() == []
    assert dict(mpl.rcParams) == before


def test_malformed_metrics_stop_with_the_place(sources, written):
    path = sources.metrics / "sspc.json"
    path.write_text('{"msrvtt": {"zero-shot": {"seed-0": {"t2v": {"R1": "many"}}}}}')
    with pytest.raises(InputError, match=r"sspc\.json: msrvtt/zero-shot/seed-0/t2v/R1: expected a number"):
        written()


def test_a_browser_shows_it_without_asking_for_anything(reports: Path, tmp_path: Path):
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("no chromium to look at the page with")
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
    flags += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
    flags += [f"--user-data-dir={tmp_path / 'profile'}", "--window-size=390,900", "--enable-logging=stderr"]
    shot = tmp_path / "shot.png"
    command = [chromium, *flags, f"--screenshot={shot}", (reports / "index.html").as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert "Content Security Policy" not in done.stderr
    assert len(_colours(shot)) > 20


def _colours(shot: Path) -> set[tuple[int, ...]]:
    from PIL import Image

    with Image.open(shot) as picture:
        return {colour for _, colour in picture.convert("RGB").getcolors(1 << 24) or []}
