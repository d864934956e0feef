"""How to get what is missing of the published corpora."""

from multisk.benchmarks.definition import load_definition
from multisk.preflight.given import PRETRAIN, corpus_key

HOWTO100M = (
    "obtain HowTo100M's features with the list of their paths and the captions, then: "
    "multisk import howto100m --list LIST.csv --captions caption.json --features FOLDER; "
    "or obtain videos and captions, then: multisk videos howto100m VIDEOS --captions caption.json"
)


def how_to_obtain(use: str) -> str:
    """Return what to obtain for pretraining or a benchmark, and which command takes it in."""
    definition = None if use == PRETRAIN else load_definition(use)
    if use == PRETRAIN:
        return HOWTO100M
    return definition.obtain if definition else f"make the corpus that params.yaml names: {corpus_key(use)}"
