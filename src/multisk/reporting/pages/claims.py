"""The page of the claims: each of the paper's claims with a verdict."""

from multisk.reporting.inputs import Inputs
from multisk.reporting.pages.page import Page


def build(inputs: Inputs) -> Page:
    """Return claims.html."""
    return Page(
        name="claims",
        label="Claims",
        title="Which claims hold",
        summary="The paper's claims, each with a verdict, an effect and its interval.",
        context={"claims": None},
    )
