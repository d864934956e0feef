"""What a reader must know before any number."""

from multisk.claims.published import PAPER
from multisk.params import Params


def notice(params: Params) -> list[str]:
    """Return sentences that say what the numbers are, and what they are not."""
    sentences = [f"Profile: {params.profile}."]
    if params.corpora.kind == "miniature":
        sentences.append(
            "This is the miniature world: small corpora that the project renders itself. They stand for "
            "the roles of HowTo100M, YouCook2 and MSR-VTT and contain none of their videos."
        )
    if "random" in (network.weights for network in params.features.networks.values()):
        sentences.append(
            "The networks that make the features have random, seeded weights: nothing was downloaded."
        )
    if params.profile != PAPER:
        sentences.append(
            "It is not the published setting: these numbers do not compare with the paper's. Within this "
            "site methods compare: they share data and features."
        )
    return sentences


def footer(params: Params) -> str:
    """Return the sentence below every page."""
    scale = "" if params.profile == PAPER else "; not the published setting"
    return f"Written by multisk from the runs' files. Profile: {params.profile}{scale}."
