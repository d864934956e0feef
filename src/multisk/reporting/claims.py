"""The paper's claims, each beside what was measured here: numbers, no verdicts."""

from collections.abc import Iterator

import pandas as pd

from multisk.params import Params
from multisk.reporting import wording
from multisk.reporting.results import SETTINGS, headline, ordered

NOT_RUN = "Not run."


def claims(
    metrics: pd.DataFrame, chance: pd.DataFrame, nmi: pd.DataFrame, params: Params
) -> list[tuple[str, str]]:
    """Return (claim, what was measured here): R@10 of text -> video+audio in percent, means over seeds."""
    recalls = headline(metrics[metrics["metric"] == "R10"])
    gains = dict(_gains(recalls, params))
    without = _recall_by_domain(recalls[recalls["method"] == "contrastive"], chance, params)
    near = _recall_by_domain(recalls[recalls["method"] == "sspc"], chance, params)
    return [
        ("Contrastive pretraining alone transfers poorly out of domain.", f"Contrastive: {without}"),
        ("Pretrained models do well in the close domain and badly in the far one.", f"SSPC: {near}"),
        ("SSPC improves both, the far domain above all.", gains.get("zero-shot", NOT_RUN)),
        ("Several anchors per sample beat one, and beat clustering.", "Not measured on this page."),
        ("Anchors become semantic without labels.", _semantics(nmi)),
        ("The gains hold zero-shot and after fine-tuning.", gains.get("fine-tuned", NOT_RUN)),
    ]


def _recall_by_domain(recalls: pd.DataFrame, chance: pd.DataFrame, params: Params) -> str:
    levels = chance[chance["metric"] == "R10"].set_index("benchmark")["value"].to_dict()
    found = recalls[recalls["setting"] == "zero-shot"].groupby("benchmark")["value"].mean().to_dict()
    parts = [
        f"{found[benchmark]:.1f} on {wording.benchmark_name(params, benchmark)}"
        + (f" (chance {levels[benchmark]:.1f})" if benchmark in levels else "")
        for benchmark in ordered(found, wording.DOMAINS)
    ]
    return f"zero-shot R@10 {wording.listed(parts)}." if parts else "not run."


def _gains(recalls: pd.DataFrame, params: Params) -> Iterator[tuple[str, str]]:
    keys = ["setting", "benchmark", "seed"]
    by_method = {method: rows.set_index(keys)["value"] for method, rows in recalls.groupby("method")}
    if not {"sspc", "contrastive"} <= set(by_method):
        return
    gaps = (by_method["sspc"] - by_method["contrastive"]).dropna().reset_index()
    for setting in ordered(gaps["setting"], SETTINGS):
        parts = []
        for benchmark in ordered(gaps["benchmark"], wording.DOMAINS):
            gap = gaps.loc[(gaps["setting"] == setting) & (gaps["benchmark"] == benchmark), "value"]
            if len(gap):
                higher = f"higher in {int((gap > 0).sum())} of {len(gap)} seeds"
                name = wording.benchmark_name(params, benchmark)
                parts.append(f"{wording.signed(gap.mean())} points on {name} ({higher})")
        yield setting, f"SSPC minus Contrastive, {setting} R@10: {wording.listed(parts)}."


def _semantics(nmi: pd.DataFrame) -> str:
    chosen = nmi[(nmi["method"] == "sspc") & (nmi["label"] == "thing") & (nmi["space"] == "joint")]
    levels = chosen.groupby("kind")["nmi"].mean().to_dict()
    parts = [f"{kind} {levels[kind]:.2f}" for kind in ordered(levels, ("anchors", "shuffled", "k-means"))]
    scope = "NMI with the things shown, joint space, mean over modalities and seeds"
    return f"{scope}: {', '.join(parts)}." if parts else NOT_RUN
