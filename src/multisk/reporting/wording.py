"""How the page names methods, benchmarks, modalities and directions."""

import re
from collections.abc import Iterable, Sequence

from multisk.params import Params

METHODS = {
    "contrastive": "Contrastive",
    "sinkhorn": "Sinkhorn",
    "sspc": "SSPC",
    "mcn": "MCN",
    "eao": "EAO",
    "avlnet": "AVLnet",
    "howto100m": "HowTo100M",
    "mil-nce": "MIL-NCE",
}
MEAN = "mean of the benchmarks"
SETTINGS = {  # of studies, as params.yaml calls them
    "anchors": "anchors (K)",
    "assignments": "assignments a sample (share of K)",
    "epsilon": "epsilon of Multi-SK",
    "iterations": "iterations of Multi-SK",
    "queue": "queue length",
    "modality_specific": "modality-specific",
    "cross_modal": "cross-modal",
    "audio": "audio",
    "temperature": "contrastive temperature",
    "sspc_temperature": "SSPC temperature",
    "learning_rate": "learning rate",
    "share": "share of pretraining videos",
    "misaligned": "share of misaligned narration",
}
METRICS = {"R1": "R@1", "R5": "R@5", "R10": "R@10", "R50": "R@50", "MedR": "MedR", "GeoMean": "GeoMean"}
PEAK = "A process may have run earlier trials, too, so its peak may be theirs."
MODALITIES = {"t": "text", "v": "video", "a": "audio"}
HEADLINE = "text → video+audio (text → video of methods without audio)"


def method_name(method: str) -> str:
    """Return a method's name in prose: a variant's is its base's and what is different."""
    if method in METHODS:
        return METHODS[method]
    base, _, variant = method.partition("-")
    return f"{METHODS[base]} {variant.replace('-', ' ')}" if base in METHODS else method


def setting_name(key: str) -> str:
    """Return what a study varied, in prose; a dotted key stays as it is."""
    return SETTINGS.get(key, key)


def modality_name(modality: str) -> str:
    """Return a modality's name; names that are already long stay."""
    return MODALITIES.get(modality, modality)


def benchmark_name(params: Params, benchmark: str) -> str:
    """Return the corpus that stands for a benchmark: mini-youcook2 is not YouCook2."""
    return params.benchmarks[benchmark].corpus if benchmark in params.benchmarks else benchmark


def benchmark_names(params: Params) -> dict[str, str]:
    """Return the corpora that stand for the benchmarks, in the order of params.yaml."""
    return {benchmark: benchmark_name(params, benchmark) for benchmark in params.benchmarks}


def domain_name(params: Params, benchmark: str) -> str:
    """Return a benchmark's part in the claims, `close domain`; the name of one that has none."""
    entry = params.benchmarks.get(benchmark)
    return f"{entry.domain} domain" if entry and entry.domain else benchmark_name(params, benchmark)


def benchmark_title(params: Params, benchmark: str) -> str:
    """Return a benchmark's name with its part in the claims: `mini-youcook2 (close domain)`."""
    name, domain = benchmark_name(params, benchmark), domain_name(params, benchmark)
    return name if name == domain else f"{name} ({domain})"


def pair_name(pair: str) -> str:
    """Return `t-va` as text – video+audio."""
    return " – ".join("+".join(modality_name(letter) for letter in side) for side in pair.split("-"))


def mean_and_spread(values: Sequence[float], digits: int = 1) -> str:
    """Return `12.3 ± 0.4`: the mean and the standard deviation (n - 1) over seeds, if there are two."""
    from statistics import fmean, stdev

    mean = f"{fmean(values):.{digits}f}"
    return f"{mean} ± {stdev(values):.{digits}f}" if len(values) > 1 else mean


def device_name(device: str) -> str:
    """Return a record's device; one thread is no "1 threads"."""
    return re.sub(r"\b1 threads\b", "1 thread", device)


def time_unit(seconds: Iterable[float]) -> tuple[str, int]:
    """Return the unit that tells times apart, and its length in seconds: minutes from two minutes on."""
    return ("minutes", 60) if max(seconds, default=0) >= 120 else ("seconds", 1)


def signed(value: float, digits: int = 1) -> str:
    """Return `+1.2` or `−1.2`; what rounds to zero is `+0.0`."""
    return f"{round(value, digits) + 0.0:+.{digits}f}".replace("-", "\N{MINUS SIGN}")


def listed(parts: Sequence[str]) -> str:
    """Return `a, b and c`."""
    return " and ".join(filter(None, [", ".join(parts[:-1]), parts[-1]])) if parts else "none"
