"""All checks together."""

from pathlib import Path

from multisk.layout import Layout
from multisk.params import Params
from multisk.preflight.checks import Check
from multisk.preflight.corpora import corpus_checks
from multisk.preflight.effort import effort_checks, efforts, step_times
from multisk.preflight.files import network_checks, word_check
from multisk.preflight.given import open_corpora
from multisk.preflight.machine import machine_checks


def preflight(
    params: Params, layout: Layout, *, everything: bool = False, measured: list[Path] | None = None
) -> list[Check]:
    """Look at everything that the pipeline needs, and change nothing.

    everything: look for every file and read every value, of packed features to compare them with the
        import's checksums; otherwise at the indexes, and for a sample of the files
    measured: what `benchmarks/train_step.py --json` printed on the machine that will train
    Raises InputError for files of `measured` that hold something else.
    """
    times = step_times(measured or [])
    corpora = open_corpora(params, layout)
    found = efforts(params, layout, corpora)
    return [
        *corpus_checks(params, layout, corpora, everything),
        word_check(params, everything),
        *network_checks(params, layout),
        *machine_checks(params, layout.root, found),
        *effort_checks(params, found, times),
    ]
