"""The page of the claims: each of the paper's claims with a verdict."""

from multisk.reporting import verdict_tables
from multisk.reporting.inputs import Inputs
from multisk.reporting.pages.page import Page


def build(inputs: Inputs) -> Page:
    """Return claims.html."""
    declared, claims, tables = inputs.decisions.declared, inputs.decisions.claims, inputs.decisions.tables
    context = {
        "claims": [
            (claim, verdict_tables.comparison_table(claim, inputs.ledger), verdict_tables.reason_of(claim))
            for claim in claims
        ],
        "overview": verdict_tables.overview(claims, tables["verdicts"], tables["scales"]) if claims else None,
        "against": verdict_tables.against_contrastive(declared, claims, inputs.params) if declared else "",
        "profile": inputs.params.profile,
        "declared": inputs.sources.name(inputs.sources.claims),
    }
    return Page(
        name="claims",
        label="Claims",
        title="Which claims hold?",
        summary="The paper's claims, each with a verdict, an effect and its interval.",
        context=context,
    )
