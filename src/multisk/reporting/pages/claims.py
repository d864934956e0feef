"""The page of the claims: each of the paper's claims with a verdict."""

from multisk.claims.declared import read_claims
from multisk.claims.judged import claims_frame, scales_frame
from multisk.reporting import verdict_tables
from multisk.reporting.inputs import Inputs
from multisk.reporting.pages.page import Page


def build(inputs: Inputs) -> Page:
    """Return claims.html."""
    file, claims = inputs.sources.claims, inputs.claims
    context = {
        "claims": [
            (claim, verdict_tables.comparison_table(claim, inputs.ledger), verdict_tables.reason_of(claim))
            for claim in claims
        ],
        "overview": verdict_tables.overview(claims, scales_frame(claims)) if claims else None,
        "against": verdict_tables.against_contrastive(read_claims(file), claims) if claims else "",
        "profile": inputs.params.profile,
        "declared": inputs.sources.name(inputs.sources.claims),
    }
    frames = {
        "claims": claims_frame(claims),
        "verdicts": verdict_tables.verdicts(claims),
        "scales": scales_frame(claims),
    }
    return Page(
        name="claims",
        label="Claims",
        title="Which claims hold?",
        summary="The paper's claims, each with a verdict, an effect and its interval.",
        context=context,
        data=frames if claims else {},
    )
