"""Claims: what is declared, what is measured, which verdict follows."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from ruamel.yaml import YAML

from multisk.benchmarks.definition import load_definitions
from multisk.claims.decided import Decisions
from multisk.claims.declared import Claims
from multisk.claims.judged import ClaimResult, claims_frame, judge, scales_frame, verdicts_frame
from multisk.claims.measured import Measured
from multisk.errors import InputError
from multisk.params import load_params
from multisk.results import ReportSources, read_metrics
from multisk.settings import read_checked

VIDEOS, CLIPS, MISSING = 30, 3, 10
PRESENT = VIDEOS * CLIPS
CHANCE = {"youcook2": 10.0, "msrvtt": 4.0}
SETTINGS = ("zero-shot", "fine-tuned")
METHODS = ("contrastive", "sinkhorn", "sspc", "mcn", "eao")
Cell = tuple[str, str, str]  # method, benchmark, setting


@pytest.fixture
def declared(repository: Path) -> Claims:
    return read_checked(repository / "reports" / "claims.yaml", Claims)


def measured(
    shares: Mapping[Cell, float],
    seeds: int = 3,
    anchors: Mapping[str, float] | None = None,
    methods: tuple[str, ...] = METHODS,
    draw: int = 0,
) -> Measured:
    """A world where a cell's runs find about `shares` (default a half) of the queries within ten."""
    rng = np.random.default_rng(draw)
    ranks = []
    for method in methods:
        for benchmark in CHANCE:
            for setting in SETTINGS:
                share = shares.get((method, benchmark, setting), 0.5)
                for seed in range(seeds):
                    found = rng.random(PRESENT) < share + rng.normal(0, 0.01)
                    ranks.append(
                        pd.DataFrame(
                            {
                                "method": method, "benchmark": benchmark, "setting": setting, "seed": seed,
                                "direction": "t2va" if method == "eao" else "t2v+a",
                                "clip_id": [f"{benchmark}-{i}" for i in range(PRESENT)],
                                "video_id": [f"{benchmark}-{i // CLIPS}" for i in range(PRESENT)],
                                "rank": np.where(found, 10.5, 11.0),
                            }
                        )
                    )  # fmt: skip
    sizes = [(b, k, n) for b in CHANCE for k, n in (("present", PRESENT), ("complete", PRESENT + MISSING))]
    records = [
        ("evaluate", method, seed, f"runs/evaluate/{method}/seed-{seed}/run.json", f"id-{method}-{seed}")
        for method in methods
        for seed in range(seeds)
    ]
    return Measured(
        ranks=pd.concat(ranks, ignore_index=True),
        anchors=information(anchors or {"anchors": 0.4, "shuffled": 0.1, "k-means": 0.3}, seeds, rng),
        chance=pd.DataFrame(
            [(b, "R10", v) for b, v in CHANCE.items()], columns=["benchmark", "metric", "value"]
        ),
        sizes=pd.DataFrame(sizes, columns=["benchmark", "which", "value"]),
        runs=pd.DataFrame(records, columns=["stage", "method", "seed", "file", "run_id"]),
        methods=frozenset(methods),
        benchmarks={name: one.settings for name, one in load_definitions().items()},
    )


def information(levels: Mapping[str, float], seeds: int, rng: np.random.Generator) -> pd.DataFrame:
    rows = []
    for seed in range(seeds):
        for modality in "tva":
            for space in ("input", "joint"):
                for label in ("action", "thing", "place"):
                    for kind, level in levels.items():
                        value = level if label != "place" and space == "joint" else 0.9
                        for group in range(-1, 20):
                            noise = rng.normal(0, 0.002)
                            rows.append(
                                (
                                    "sspc",
                                    seed,
                                    group,
                                    modality,
                                    space,
                                    label,
                                    kind,
                                    value + noise,
                                    value + noise,
                                )
                            )
    columns = ["method", "seed", "group", "modality", "space", "label", "kind", "nmi", "ami"]
    return pd.DataFrame(rows, columns=columns)


BETTER = {("sspc", "youcook2", setting): 0.8 for setting in SETTINGS} | {
    ("sspc", "msrvtt", setting): 0.95 for setting in SETTINGS
}
FAR = {(method, "msrvtt", "zero-shot"): 0.15 for method in ("contrastive", "eao", "mcn")}


def test_the_declared_claims_are_the_six_of_the_paper(declared):
    assert [claim.number for claim in declared.claims] == [1, 2, 3, 4, 5, 6]
    assert all(comparison.minimum_seeds >= 3 for claim in declared.claims for comparison in claim.comparisons)
    for claim in declared.claims:
        for comparison in claim.comparisons:
            assert sum(term.weight for term in comparison.terms) == 0, comparison.name


def test_where_the_paper_is_right_every_claim_is_supported(declared):
    results = judge(declared, measured(BETTER | FAR, seeds=5), "miniature")
    assert {result.name: result.verdict for result in results} == {
        claim.name: "supported" for claim in declared.claims
    }
    assert all(0 <= result.p <= result.p_corrected <= 0.05 for result in results)
    assert results[0].reason.startswith("Supported by all of 2 comparisons: corrected p")
    assert results[2].reason.startswith("Supported by all of 3 comparisons")


def test_where_the_paper_is_wrong_the_verdicts_say_so(declared):
    worse = dict.fromkeys(BETTER, 0.1)
    results = judge(declared, measured(worse, anchors={"anchors": 0.2, "shuffled": 0.1, "k-means": 0.3}), "m")
    verdicts = {result.name: result.verdict for result in results}
    assert verdicts["sspc-improves"] == verdicts["many-anchors"] == verdicts["gains-hold"] == "contradicted"
    assert verdicts["semantic-anchors"] == "contradicted"
    anchors = next(result for result in results if result.name == "semantic-anchors")
    assert "Contradicted by k-means: the opposite" in anchors.reason
    assert [comparison.finding for comparison in anchors.comparisons] == ["above", "below"]


def test_where_nothing_differs_the_verdict_is_inconclusive(declared):
    results = judge(
        declared, measured({}, anchors=dict.fromkeys(("anchors", "shuffled", "k-means"), 0.3)), "m"
    )
    close_and_far = results[1]
    assert close_and_far.verdict == "contradicted"  # chance is higher in the close domain: a real difference
    assert {result.verdict for result in results if result.number in (3, 4, 6)} == {"inconclusive"}
    assert "both are above 0.05" in results[2].reason


def test_effects_are_differences_of_recall_of_the_complete_benchmark(declared):
    world = measured(BETTER | FAR)
    results = {
        (result.name, comparison.name): comparison
        for result in judge(declared, world, "m")
        for comparison in result.comparisons
    }

    def recall(method, benchmark, setting="zero-shot"):
        rows = world.ranks.query("method == @method and benchmark == @benchmark and setting == @setting")
        return 100 * (rows["rank"] < 11).sum() / 3 / (PRESENT + MISSING)

    gain = {b: recall("sspc", b) - recall("contrastive", b) for b in CHANCE}
    assert results["sspc-improves", "close"].effect == pytest.approx(gain["youcook2"])
    assert results["sspc-improves", "far"].effect == pytest.approx(gain["msrvtt"])
    assert results["sspc-improves", "far-above-all"].effect == pytest.approx(
        gain["msrvtt"] - gain["youcook2"]
    )
    assert results["gains-hold", "zero-shot"].effect == pytest.approx((gain["msrvtt"] + gain["youcook2"]) / 2)
    above = recall("eao", "youcook2") - CHANCE["youcook2"] - (recall("eao", "msrvtt") - CHANCE["msrvtt"])
    assert results["close-and-far", "eao"].effect == pytest.approx(above)
    assert results["semantic-anchors", "shuffled"].effect == pytest.approx(0.3, abs=0.01)
    assert results["semantic-anchors", "k-means"].effect == pytest.approx(0.1, abs=0.01)
    assert results["sspc-improves", "close"].samples == PRESENT
    assert results["gains-hold", "zero-shot"].samples == 2 * PRESENT


def test_each_comparison_names_its_runs(declared):
    comparison = judge(declared, measured(BETTER), "m")[2].comparisons[0]
    assert comparison.seeds == 3
    assert set(comparison.run_ids) == {f"id-{m}-{s}" for m in ("sspc", "contrastive") for s in range(3)}
    assert "runs/evaluate/sspc/seed-2/run.json" in comparison.files


def test_few_seeds_make_no_verdict_whatever_the_effect(declared):
    results = judge(declared, measured(BETTER | FAR, seeds=2), "m")
    assert {result.verdict for result in results} == {"inconclusive"}
    assert results[2].reason == "Inconclusive: 2 of the 3 seeds that a verdict needs."
    single = judge(declared, measured(BETTER | FAR, seeds=1), "m")[2]
    assert single.verdict == "inconclusive"
    assert not single.comparisons[0].over_runs
    assert single.comparisons[0].low < single.comparisons[0].effect < single.comparisons[0].high


def test_what_was_not_run_is_said_and_changes_no_other_verdict(declared):
    world = measured(BETTER | FAR, methods=("contrastive", "sspc", "eao"))
    results = {result.name: result for result in judge(declared, world, "m")}
    assert results["many-anchors"].verdict == results["close-and-far"].verdict == "not run"
    assert results["many-anchors"].reason == (
        "Not run: sinkhorn is not among the methods of params.yaml (multisk add sinkhorn); "
        "mcn is not among the methods of params.yaml (multisk add mcn)."
    )
    assert results["many-anchors"].p is None
    assert results["sspc-improves"].verdict == "supported"
    eao = results["close-and-far"].comparisons[1]
    assert eao.effect is not None


def test_claims_about_a_benchmark_that_is_not_there_are_not_run(declared):
    world = measured(BETTER | FAR)
    alone = Measured(**{**vars(world), "benchmarks": {"youcook2": world.benchmarks["youcook2"]}})
    results = {result.name: result for result in judge(declared, alone, "m")}
    assert results["close-and-far"].reason == (
        "Not run: msrvtt is not among the benchmarks of params.yaml (multisk add msrvtt)."
    )
    assert results["sspc-improves"].comparisons[0].effect is not None
    assert results["semantic-anchors"].verdict == "supported"


def test_a_benchmark_without_fine_tuning_leaves_zero_shot_comparisons(declared):
    world = measured(BETTER | FAR)
    plain = {name: one.model_copy(update={"finetune": None}) for name, one in world.benchmarks.items()}
    results = {r.name: r for r in judge(declared, Measured(**{**vars(world), "benchmarks": plain}), "m")}
    assert results["sspc-improves"].verdict == "supported"
    assert "models are not fine-tuned on" in results["out-of-domain"].reason


def test_methods_with_other_clips_are_not_compared(declared):
    world = measured(BETTER)
    world.ranks.loc[world.ranks["method"] == "contrastive", "clip_id"] += "-other"
    with pytest.raises(
        InputError, match=r"sspc/ranks\.parquet: msrvtt: other clips than those of|other clips than"
    ):
        judge(declared, world, "m")


def test_a_seed_without_some_clip_is_an_error(declared):
    world = measured(BETTER)
    with pytest.raises(InputError, match="not every seed has every clip; run dvc repro evaluate@"):
        judge(declared, Measured(**{**vars(world), "ranks": world.ranks.iloc[1:]}), "m")


def test_frames_have_a_row_per_comparison_and_scale(declared):
    results = judge(declared, measured(BETTER | FAR), "miniature")
    frame = claims_frame(results)
    assert len(frame) == sum(len(claim.comparisons) for claim in declared.claims)
    assert set(frame["verdict"]) == {"supported"}
    assert frame["files"].str.count(";").min() >= 2
    by_claim = verdicts_frame(results)
    assert list(by_claim["claim"]) == [claim.name for claim in declared.claims]
    assert by_claim["comparisons"].sum() == len(frame)
    assert set(by_claim["seeds"]) == {3}
    scales = scales_frame(results).pivot(index="claim", columns="scale", values="verdict")
    assert set(scales["miniature"]) == {"supported"}
    assert set(scales["paper"]) == {"not run"}


def judged(sources: ReportSources) -> Sequence[ClaimResult]:
    return Decisions.make(sources, load_params(sources.params), Measured.read(sources)).claims


def test_claims_are_judged_from_the_files_of_the_evaluations(sources: ReportSources):
    results = judged(sources)
    close = next(result for result in results if result.name == "sspc-improves").comparisons[0]
    metrics = read_metrics(sources).query(
        "benchmark == 'youcook2' and setting == 'zero-shot' and direction == 't2v+a' and metric == 'R10'"
    )
    means = metrics.groupby("method")["value"].mean()
    assert close.effect == pytest.approx(means["sspc"] - means["contrastive"])
    assert close.seeds == 2
    assert all((sources.params.parent / file).exists() for file in close.files)
    assert results[0].profile == "miniature"


def test_one_video_is_too_few_to_judge_by(sources: ReportSources):
    for path in sources.runs.glob("evaluate/*/ranks.parquet"):
        pd.read_parquet(path).assign(video_id="the-only-one").to_parquet(path)
    reasons = [result.reason for result in judged(sources) if result.name == "sspc-improves"]
    assert reasons == ["Not run: sspc was tested on one video; an interval needs two."]


Edit = Callable[[dict], object]


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda c: c["claims"][0].update(rule="most"), r"claims\.0\.rule: .*found 'most'"),
        (lambda c: c["claims"][0]["comparisons"][0].pop("threshold"), r"comparisons\.0\.threshold: missing"),
        (lambda c: c["claims"][0]["comparisons"][0].update(metric="R7"), r"metric: .*found 'R7'"),
        (lambda c: c["claims"][0]["comparisons"][0].update(test="t-test"), r"'t-test'"),
        (lambda c: c["claims"][0]["comparisons"][0].update(minimum_seeds=1), r"minimum_seeds: .*found 1"),
        (lambda c: c["claims"][1].update(name="out-of-domain"), "the name 'out-of-domain' is used twice"),
        (lambda c: c.update(levels=0.05), r"levels: unknown key, did you mean level\?"),
        (lambda c: c.update(level=1.5), "level: .*found 1.5"),
    ],
)  # fmt: skip
def test_mistakes_in_claims_are_told_on_one_line(repository: Path, tmp_path: Path, edit: Edit, message: str):
    content = YAML(typ="safe").load(repository / "reports" / "claims.yaml")
    content = json.loads(json.dumps(content))  # aliases of YAML would be edited together
    edit(content)
    YAML().dump(content, tmp_path / "claims.yaml")
    with pytest.raises(InputError, match=rf"claims\.yaml: .*{message}") as caught:
        read_checked(tmp_path / "claims.yaml", Claims)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"), [("a: [", "cannot be read as YAML"), ("- 1", "expected keys with values")]
)
def test_claims_that_are_no_yaml_are_told_on_one_line(tmp_path: Path, text: str, message: str):
    (tmp_path / "claims.yaml").write_text(text)
    with pytest.raises(InputError, match=message) as caught:
        read_checked(tmp_path / "claims.yaml", Claims)
    assert "\n" not in str(caught.value)


def test_claims_that_are_missing_are_told(tmp_path: Path):
    with pytest.raises(InputError, match=r"claims\.yaml: no such file; git restore it"):
        read_checked(tmp_path / "claims.yaml", Claims)
