"""The page of the ablations: studies of one setting at a time, and variants."""

from multisk.reporting.inputs import Inputs
from multisk.reporting.pages.page import Page


def build(inputs: Inputs) -> Page:
    """Return ablations.html."""
    return Page(
        name="ablations",
        label="Ablations",
        title="Ablations",
        summary="The paper's ablations, each with a verdict, an effect and its interval.",
        context={"ablations": None},
    )
