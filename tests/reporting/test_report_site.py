"""The site as a whole: complete, true to its inputs, safe, self-contained, readable in part."""

import base64
import hashlib
import json
import re
import shutil
import statistics
from itertools import pairwise

import pandas as pd
import pytest
from tests.reporting.markup import parse

from multisk.errors import InputError
from multisk.params.profiles import use
from multisk.reporting import ReportSources, write_report

PAGES = ("ablations", "anchors", "claims", "cost", "index", "retrieval", "runs")
FIGURES = {
    "index": ["headline", "recall"],
    "anchors": ["nmi", "anchors", "usage", "sspc"],
    "runs": ["loss", "contrastive"],
    "cost": ["sweep-anchors-cost", "sweep-weights-cost", "sweep-when-cost", "pace"],
    "ablations": [
        "sweep-anchors-curve",
        "sweep-weights-importance",
        "sweep-weights-weights",
        "sweep-weights-parallel",
        "sweep-weights-pareto",
        "sweep-when-gain",
    ],
}
KEPT_APART = ("claims.yaml", "site")  # what others write, and what git does not keep
FETCHED = ("src", "href", "action", "data", "poster")  # attributes that make a browser fetch something
LIMIT = 2 * 1024 * 1024  # bytes of a page


def table(page, name):
    return next(page.all("table", id=f"table-{name}"))


def rows_of(table):
    return [row for row in table.all("tr") if list(row.all("td"))]


def notes(page):
    return [note.text for note in page.all("p", **{"class": "not-run"})]


@pytest.mark.parametrize("page", FIGURES)
def test_every_figure_is_there_with_its_data(pages, reports, page):
    figures = list(pages[page].all("figure"))
    assert sorted(figure.attributes["id"] for figure in figures) == sorted(
        f"figure-{name}" for name in FIGURES[page]
    )
    for figure in figures:
        assert list(figure.all("svg"))
        data = next(figure.all("a", **{"class": "data"})).attributes["href"]
        assert len(pd.read_csv(reports / data))


def test_each_page_is_in_the_navigation_of_each_and_marked_there(pages):
    assert sorted(pages) == sorted(PAGES)
    for name, page in pages.items():
        navigation = next(page.all("nav"))
        assert sorted(link.attributes["href"] for link in navigation.all("a")) == sorted(
            f"{other}.html" for other in PAGES
        )
        current = [link.attributes["href"] for link in navigation.all("a", **{"aria-current": "page"})]
        assert current == [f"{name}.html"]


def test_all_links_lead_somewhere(pages, reports):
    ids = {
        name: {element.attributes["id"] for element in page.all() if "id" in element.attributes}
        for name, page in pages.items()
    }
    seen = 0
    for name, page in pages.items():
        for link in page.all("a"):
            file, _, anchor = link.attributes["href"].partition("#")
            assert not file or (reports / file).exists(), link.attributes
            if anchor:
                assert anchor in ids[file.removesuffix(".html") or name], link.attributes
            seen += 1
    assert seen > 200


def test_says_that_this_is_not_the_published_setting(pages):
    notice = next(pages["index"].all("aside")).text
    for part in (
        "Profile: miniature",
        "miniature world",
        "random, seeded weights",
        "not the published setting",
    ):
        assert part in notice
    for page in pages.values():
        assert "not the published setting" in next(page.all("footer")).text


def test_result_rows_are_mean_and_deviation_of_the_files(pages, complete):
    rows = [row for row in rows_of(table(pages["index"], "results")) if "data-method" in row.attributes]
    assert len(rows) == 3 * 2 * 2  # methods, benchmarks, settings
    for row in rows:
        method, benchmark, setting = (
            row.attributes[f"data-{key}"] for key in ("method", "benchmark", "setting")
        )
        content = json.loads((complete / "runs" / "evaluate" / method / "metrics.json").read_text())
        direction, *cells = [cell.text for cell in row.all("td")]
        assert direction == {"eao": "t2va"}.get(method, "t2v+a")
        seeds = [found[direction] for found in content[benchmark][setting].values()]
        for metric, cell in zip(("R1", "R5", "R10", "R50", "MedR", "GeoMean"), cells, strict=False):
            values = [found[metric] for found in seeds]
            assert cell == f"{statistics.fmean(values):.1f} ± {statistics.stdev(values):.1f}"
        assert cells[-1] == "seed 0 , seed 1"
    directions = {next(row.all("td")).text for row in rows_of(table(pages["index"], "directions"))}
    assert directions == {"t2v+a", "t2va", "v2t", ""}


def test_best_mean_is_bold_and_chance_stands_below(pages):
    body = next(table(pages["index"], "results").all("tbody"))
    rows = list(body.all("tr"))[1:]
    assert [next(row.all("th")).text for row in rows] == ["Contrastive", "SSPC", "EAO", "chance"]
    texts = [[cell.text for cell in row.all("td")] for row in rows]
    bold = [[bool(list(cell.all("strong"))) for cell in row.all("td")] for row in rows]
    for column, leads in ((3, max), (5, min)):  # R@10, MedR
        means = [float(row[column].split()[0]) for row in texts[:3]]
        marked = [mean for mean, row in zip(means, bold, strict=False) if row[column]]
        assert set(marked) == {leads(means)}
    assert texts[3][1:4] == ["4.2", "20.8", "41.7"]


def test_what_ran_names_commit_device_versions_and_corpora(pages):
    runs = pages["runs"]
    for part in (
        "0123456789ab",
        "Test CPU, 2 threads",
        "python 3.11.9",
        "torch 2.11.0",
        "random, seeded (0)",
    ):
        assert part in runs.text
    corpora = {next(row.all("th")).text: row.text for row in rows_of(table(runs, "datasets"))}
    assert "mini-msrvtt captioned 22 1 24 2 2 1" in corpora["mini-msrvtt"]
    assert "mini-howto narrated 1 2 – – – –" in corpora["mini-howto"]


def test_costs_sum_minutes_and_keep_the_largest_memory(pages):
    rows = [[cell.text for cell in row.all("td")] for row in rows_of(table(pages["cost"], "costs"))]
    assert ["SSPC", "msrvtt, youcook2", "6.0", "1,025"] in [row[:4] for row in rows]
    studies = {row[0]: row[2:] for row in rows if row[0].startswith("study")}
    # Six points with 2 seeds of 30 to 35 seconds, and a pruned one of 35.
    assert studies["study anchors"] == [f"{(2 * (6 * 30 + 15) + 35) / 60:.1f}", "905", "trials"]
    every = 24 * 90 + 2 * (6 * 30 + 15) + 35 + 2 * (8 * 30 + 28) + 37 + 2 * (9 * 30 + 36) + 38
    assert rows[-1][2:4] == [f"{every / 60:.1f}", "1,025"]


def test_short_times_are_told_in_seconds(pages):
    heads = [head.text for head in next(table(pages["ablations"], "trials-anchors").all("thead")).all("th")]
    assert "seconds" in heads
    cells = [cell.text for cell in rows_of(table(pages["ablations"], "trials-anchors"))[0].all("td")]
    assert 60 <= float(cells[heads.index("seconds") - 1]) <= 70
    for text in (pages["cost"].text, pages["ablations"].text):
        assert "A process may have run earlier trials" in text


def test_trials_have_the_command_and_commit_of_their_record(pages):
    rows = {row.attributes["id"]: [cell.text for cell in row.all("td")]
            for row in rows_of(table(pages["runs"], "trial-records"))}  # fmt: skip
    here, elsewhere = rows["run-key-when-3-1"], rows["run-key-anchors-3-1"]
    assert here[1] == "fedcba987654*"
    assert here[4] == "multisk sweep --study when --trials 8"
    assert elsewhere[1] == "–"
    assert elsewhere[4] == "no record here"


def test_strategies_are_explained_and_stand_above_chance(pages):
    section = next(pages["ablations"].all("section", id="strategies"))
    terms = {term.text for term in section.all("dt")}
    assert {"at-once", "clips", "nearest", "max-pool"} <= terms
    chance = [
        row
        for row in rows_of(table(pages["ablations"], "strategies"))
        if next(row.all("th")).text == "chance"
    ]
    assert len(chance) == 4
    assert [cell.text for cell in chance[0].all("td")][:4] == ["41.7"] * 4
    assert "have the same numbers" not in section.text


def test_links_of_differences_say_which_method(pages):
    links = [link.text for link in rows_of(table(pages["index"], "differences"))[0].all("a")]
    assert links == ["SSPC 0", "SSPC 1", "Contrastive 0", "Contrastive 1"]


def test_words_of_code_are_marked_in_prose(pages):
    for page in pages.values():
        assert "`" not in page.text
    codes = [code.text for code in next(pages["index"].all("section", id="published")).all("code")]
    assert "dvc repro report" in codes


def test_recipes_lead_to_published_numbers(pages):
    row = next(pages["ablations"].all("tr", id="recipe-eao"))
    links = {link.text: link for link in row.all("a") if link.attributes["href"].startswith("index")}
    assert links["32.6"].attributes["href"] == "index.html#published-eao-msrvtt-zero-shot"
    assert links["32.6"].attributes["data-file"] == "src/multisk/benchmarks/msrvtt.yaml"
    assert "MSR-VTT, zero-shot: 32.6" in row.text


def test_numbers_say_on_hover_where_they_stand(pages):
    found = [cell for page in pages.values() for cell in page.all() if "data-file" in cell.attributes]
    assert found
    for cell in found:
        assert cell.attributes["data-file"].split()[0] in cell.attributes["title"]
        assert cell.attributes["data-key"].split()[0] in cell.attributes["title"]


def test_the_papers_setting_does_not_stand_aside_in_markdown(sources, written):
    text = sources.params.read_text()
    sources.params.write_text(text.replace("profile: miniature", "profile: paper"))
    written("cost")
    for name in ("results.md", "summary.md"):
        said = (sources.params.parent / "reports" / name).read_text()
        assert "profile `paper`" in said
        assert "Not the published setting" not in said


def test_uncommitted_changes_and_unfinished_runs_are_named(sources, written):
    path = sources.runs / "pretrain" / "sspc" / "seed-1" / "run.json"
    record = json.loads(path.read_text()) | {"git_dirty": True, "status": "failed", "run_id": None}
    path.write_text(json.dumps(record | {"peak_mb": None}))
    text = written("runs")["runs"].text
    assert "0123456789ab and 0123456789ab with uncommitted changes" in text
    assert "unfinished runs/pretrain/sspc/seed-1/run.json" in text
    assert "not mirrored" in text


def test_claims_have_verdicts_and_links_to_their_runs(pages):
    page = pages["claims"]
    overview = [[cell.text for cell in row.all("td")] for row in rows_of(table(page, "claims"))]
    verdicts = [row[0].partition(",")[0] for row in overview]
    assert len(verdicts) == 6
    assert {row[1] for row in overview} == {"not run"}
    heads = [head.text for head in next(table(page, "claims").all("thead")).all("th")]
    assert heads[1:3] == ["verdict, miniature", "verdict, published setting"]
    assert set(verdicts) <= {"supported", "contradicted", "inconclusive", "not run"}
    # Nothing ran of MCN, and two seeds are too few for a verdict.
    assert {"not run", "inconclusive"} == set(verdicts)
    compared = rows_of(table(page, "claim-sspc-improves"))
    assert all(list(row.all("a")) for row in compared)
    effect = compared[0]
    assert re.fullmatch(r"[+−][\d.]+ points", [cell.text for cell in effect.all("td")][1])
    assert re.fullmatch(r"[+−][\d.]+ to [+−][\d.]+", [cell.text for cell in effect.all("td")][2])
    assert "before they were measured" not in page.text
    for part in (
        "apart from the code that measures",
        "docs/claims.md",
        "uncorrected",
        "open: it contains it",
    ):
        assert part in page.text


def test_a_claims_caveat_stands_beside_its_verdict(sources, written):
    text = sources.claims.read_text()
    first = "    number: 1\n"
    assert text.count(first) == 1
    sources.claims.write_text(text.replace(first, first + "    caveat: Only on Tuesdays.\n"))
    page = written("claims")["claims"]
    row = next(row for row in rows_of(table(page, "claims")) if next(row.all("th")).text.startswith("1."))
    assert next(row.all("td")).text.endswith("see its caveat")
    claim = next(link.attributes["href"] for link in row.all("a")).removeprefix("#")
    assert "Caveat: Only on Tuesdays." in next(page.all("section", id=claim)).text
    summary = (sources.params.parent / "reports" / "summary.md").read_text()
    assert "(Only on Tuesdays) |" in summary


def test_published_numbers_stand_aside_at_other_scales(pages):
    section = next(pages["index"].all("section", id="published"))
    assert "stand aside" in section.text
    heads = [head.text for head in next(table(pages["index"], "published").all("thead")).all("th")]
    assert not {"measured", "difference", "verdict"} & set(heads)
    row = next(section.all("tr", id="published-sspc-msrvtt-zero-shot"))
    assert [cell.text for cell in row.all("td")][1:5] == ["not transcribed"] * 4


def test_published_numbers_stand_beside_measured_ones_at_the_papers_scale(sources, written):
    text = sources.params.read_text()
    assert "profile: miniature" in text
    sources.params.write_text(text.replace("profile: miniature", "profile: paper"))
    page = written("results")["index"]
    heads = [head.text for head in next(table(page, "published").all("thead")).all("th")]
    assert heads[2:8] == ["published", "measured", "from", "to", "difference", "verdict"]
    rows = {
        row.attributes["id"]: [cell.text for cell in row.all("td")]
        for row in page.all("tr")
        if row.attributes.get("id")
    }
    eao = rows["published-eao-msrvtt-zero-shot-R10"]
    assert eao[1] == "32.6"
    assert "not the published setting" not in next(page.all("footer")).text


def test_recipes_show_numbers_or_how_to_get_them(pages, repository):
    rows = {
        row.attributes["id"].removeprefix("recipe-"): row
        for row in rows_of(table(pages["ablations"], "recipes"))
    }
    assert set(rows) == {path.stem for path in (repository / "recipes").glob("*.yaml")}
    cells = [cell.text for cell in rows["avlnet"].all("td")]
    assert cells.count("not run") >= 4
    assert "make method METHOD=avlnet" in cells
    assert re.match(r"\d+\.\d ± \d", [cell.text for cell in rows["sspc"].all("td")][1])


def test_a_method_without_audio_is_in_every_table(silent, written):
    pages = written("results", "ablations", "claims")
    rows = [row for row in rows_of(table(pages["index"], "results")) if "data-method" in row.attributes]
    directions = {(row.attributes["data-method"], next(row.all("td")).text) for row in rows}
    assert directions == {("contrastive", "t2v"), ("eao", "t2va"), ("sspc", "t2v+a")}
    recipe = next(pages["ablations"].all("tr", id="recipe-contrastive"))
    assert "not run" not in [cell.text for cell in recipe.all("td")]
    names = [next(row.all("th")).text for row in rows_of(table(pages["ablations"], "strategies"))]
    assert names.count("Contrastive") == 4
    assert all(list(row.all("a")) for row in rows_of(table(pages["claims"], "claim-sspc-improves")))
    text = (silent.params.parent / "reports" / "summary.md").read_text()
    assert re.search(r"^\| Contrastive +\| ", text, re.MULTILINE)


def test_captions_cannot_become_markup(pages):
    for page in pages.values():
        assert len(list(page.all("script"))) == 1  # the site's own
    queries = [heading.text for heading in pages["retrieval"].all("h3")]
    assert any('<script>alert("pan")</script> & an onion' in query for query in queries)


def test_gallery_shows_a_sample_with_the_right_clip_marked(pages, complete):
    queries = list(pages["retrieval"].all("article"))
    assert len(queries) == 16  # report.gallery_queries for each benchmark
    ranks = pd.read_parquet(complete / "runs" / "evaluate" / "sspc" / "gallery.parquet")
    ranks = ranks.query("setting == 'zero-shot' and seed == 0").set_index(["benchmark", "clip_id"])
    for index, query in enumerate(queries):
        row = ranks.loc[("youcook2" if index < 8 else "msrvtt", query.attributes["data-clip"])]
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


def test_nothing_is_fetched_and_only_the_sites_script_may_run(pages, reports):
    for name, page in pages.items():
        attributes = [element.attributes for element in page.all() if element.tag != "a"]
        targets = [of[key] for of in attributes for key in FETCHED if key in of]
        styles = [of.get("style", "") for of in attributes] + [style.text for style in page.all("style")]
        targets += [
            target.strip("'\"") for style in styles for target in re.findall(r"url\(([^)]*)\)", style)
        ]
        assert [target for target in targets if not target.startswith(("#", "data:"))] == []
        text = (reports / f"{name}.html").read_text()
        assert not re.search(r"https?://(?!www\.w3\.org/)", text)
        assert "@import" not in text
        (policy,) = page.all("meta", **{"http-equiv": "Content-Security-Policy"})
        (script,) = page.all("script")
        digest = base64.b64encode(hashlib.sha256("".join(script.children).encode()).digest()).decode()
        assert policy.attributes["content"].startswith("default-src 'none'")
        assert f"script-src 'sha256-{digest}'" in policy.attributes["content"]


def test_pages_are_small(reports):
    assert all(path.stat().st_size < LIMIT for path in reports.glob("*.html"))


def test_ids_are_unique_and_every_reference_in_a_figure_has_its_target(pages):
    for page in pages.values():
        ids = [element.attributes["id"] for element in page.all() if "id" in element.attributes]
        assert len(ids) == len(set(ids))
        values = " ".join(value for element in page.all() for value in element.attributes.values())
        assert set(re.findall(r"url\(#([^\")]*)", values)) <= set(ids)


@pytest.mark.parametrize("name", PAGES)
def test_headings_tables_and_pictures_can_be_read_aloud(pages, name):
    page = pages[name]
    levels = [int(element.tag[1]) for element in page.all() if re.fullmatch("h[1-6]", element.tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    assert all(next(table.all("caption")).text for table in page.all("table"))
    assert all(svg.attributes["role"] == "img" and svg.attributes["aria-label"] for svg in page.all("svg"))
    assert next(page.all("a")).attributes == {"class": "skip", "href": "#main"}
    assert all(box.attributes["tabindex"] == "0" for box in page.all("div", role="region"))


def test_markdown_stands_beside_the_pages(site):
    reports = site / "reports"
    text = (reports / "results.md").read_text()
    assert "| mini-msrvtt (far domain), zero-shot" in text
    assert len(re.findall(r"^\| mini", text, re.MULTILINE)) == 16
    summary = (reports / "summary.md").read_text()
    assert re.search(r"^\| SSPC +\| ", summary, re.MULTILINE)
    assert "Not the published setting" in text
    assert "Not the published setting" in summary
    assert not list(reports.glob("**/*.tmp"))


def test_an_empty_working_copy_still_gives_all_pages(repository, tmp_path):
    use("miniature", tmp_path / "params.yaml", repository / "profiles")
    write_report(ReportSources.below(tmp_path), tmp_path / "reports")
    pages = tmp_path / "reports" / "site"
    assert {path.stem for path in pages.glob("*.html")} == set(PAGES)
    for name, expected in {
        "index": ["evaluation", "evaluation", "ranks", "published", "run records"],
        "ablations": ["recipes", "study anchors", "study weights", "study when"],
        "claims": ["claims"],
        "anchors": ["comparison", "anchor counts", "anchor usage", "SSPC terms"],
        "retrieval": ["gallery of mini-youcook2", "gallery of mini-msrvtt"],
        "runs": ["run records", "corpora", "training", "contrastive terms", "run records"],
        "cost": ["run records", "studies", "gradient norm"],
    }.items():
        page = parse((pages / f"{name}.html").read_text())
        said = [note.partition(": ")[2] for note in notes(page)]
        assert [text[: len(part)] for text, part in zip(said, expected, strict=False)] == expected
    assert "Not run" in (tmp_path / "reports" / "results.md").read_text()


def test_missing_parts_are_named_and_the_rest_stays(sources, written):
    root = sources.params.parent
    for missing in ("runs/finetune", "data/corpora", "data/features", "runs/sweep/when", "recipes"):
        shutil.rmtree(root / missing)
    for missing in (
        "runs/evaluate/sspc/anchors_counts.parquet",
        "reports/claims.yaml",
        "src/multisk/benchmarks/msrvtt.yaml",
        "src/multisk/benchmarks/youcook2.yaml",
    ):
        (root / missing).unlink()
    pages = written()
    said = [note.partition(". ")[0] for page in pages.values() for note in notes(page)]
    assert {
        "Not there: recipes",
        "Not run: study when",
        "Not run: anchor counts",
        "Not run: claims",
        "Not there: published numbers",
        "Not run: corpora",
        "Not run: gallery of mini-youcook2",
    } <= set(said)
    panels = [panel.text for panel in next(pages["runs"].all("figure", id="figure-loss")).all("p")]
    assert panels == ["pretraining"]


def test_a_setting_that_was_not_run_leaves_its_place(sources, written):
    for path in sources.runs.glob("evaluate/*/metrics.json"):
        content = json.loads(path.read_text())
        del content["msrvtt"]["fine-tuned"]
        path.write_text(json.dumps(content))
    panels = [panel.text for panel in written("results")["index"].all("div", **{"class": "panel"})]
    assert panels[3] == "mini-msrvtt, fine-tuned Not run"


def test_the_same_files_give_the_same_site_and_pyplot_stays_as_it_was(sources, reports, written):
    import matplotlib as mpl
    from matplotlib import pyplot

    before = dict(mpl.rcParams)
    written()
    again = sources.params.parent / "reports" / "site"
    for path in reports.rglob("*"):
        if path.is_file():
            assert (again / path.relative_to(reports)).read_bytes() == path.read_bytes(), path.name
    assert pyplot.get_fignums() == []
    assert dict(mpl.rcParams) == before


def test_what_git_keeps_is_small_and_the_same_for_equal_numbers(sources, site, written):
    for path in sources.runs.glob("**/run.json"):
        record = json.loads(path.read_text())
        other = {"run_key": f"other-{record['run_key']}", "run_id": f"other-{record['run_id']}"}
        other |= {"seconds": 12.5, "peak_mb": 7.0, "started": "2027-01-01T00:00:00+00:00", "device": "Other"}
        path.write_text(json.dumps(record | other))
    written("cost")
    kept = [path.name for path in (site / "reports").iterdir() if path.name not in KEPT_APART]
    assert sorted(kept) == ["results.md", "summary.md", "verdicts.csv"]
    for name in kept:
        text = (site / "reports" / name).read_text()
        assert (sources.params.parent / "reports" / name).read_text() == text
        assert 6 <= text.count("\n") < 60


def test_malformed_metrics_stop_with_the_place(sources, written):
    path = sources.runs / "evaluate" / "sspc" / "metrics.json"
    path.write_text('{"msrvtt": {"zero-shot": {"seed-0": {"t2v": {"R1": "many"}}}}}')
    with pytest.raises(
        InputError, match=r"sspc/metrics\.json: msrvtt/zero-shot/seed-0/t2v/R1: expected a number"
    ):
        written("cost")
