"""Matplotlib figures as SVG that lives inside a page: own ids, the page's colours and fonts."""

import io
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, cast
from xml.etree import ElementTree

import matplotlib as mpl
import seaborn as sns
from markupsafe import Markup
from matplotlib.figure import Figure

SVG, XLINK = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"

# Okabe and Ito's colours, told apart by all common forms of colour vision; each is a variable of style.css,
# which gives it a lighter tone on dark paper. Ink, line and paper are the page's own.
INK, LINE, PAPER = "#1f2329", "#d0d7df", "#fffffd"
BLUE, GREEN, VERMILION, PURPLE, AMBER, SKY = "#0072b2", "#009e73", "#d55e00", "#cc79a7", "#b07d00", "#3d9bd1"
GREY = "#8a929b"
COLOURS = (VERMILION, BLUE, GREEN, PURPLE, AMBER, SKY)
VARIABLES = {
    INK: "ink",
    LINE: "line",
    PAPER: "paper",
    BLUE: "blue",
    GREEN: "green",
    VERMILION: "vermilion",
    PURPLE: "purple",
    AMBER: "amber",
    SKY: "sky",
    GREY: "grey",
}


def style() -> dict[str, Any]:
    """Return the settings that all figures share, by matplotlib's names."""
    inked = ("axes.labelcolor", "axes.edgecolor", "text.color", "xtick.color", "ytick.color")
    clear = ("figure.facecolor", "axes.facecolor", "savefig.facecolor", "legend.facecolor")
    return {
        **sns.axes_style("ticks"),
        **dict.fromkeys(inked, INK),
        **dict.fromkeys(clear, "none"),
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.linewidth": 0.6,
        "axes.grid": True,
        "axes.axisbelow": True,
        "grid.color": LINE,
        "grid.linewidth": 0.5,
        "xtick.major.width": 0.6,
        "ytick.major.width": 0.6,
        "xtick.major.size": 3,
        "ytick.major.size": 3,
        "font.size": 9,
        "axes.labelsize": 9,
        "axes.titlesize": 9,
        "xtick.labelsize": 8.5,
        "ytick.labelsize": 8.5,
        "legend.fontsize": 8.5,
        "legend.title_fontsize": 8.5,
        "legend.frameon": False,
        "lines.linewidth": 1.2,
        "svg.fonttype": "none",
        "svg.hashsalt": "multisk",
    }


@contextmanager
def theme() -> Iterator[None]:
    """Let matplotlib draw in the page's style: a context, or with `@theme()` a function's decorator."""
    with mpl.rc_context(cast(Any, style())):
        yield


def canvas(width: float, height: float) -> Figure:
    """Return an empty figure, in inches, that pyplot knows nothing of."""
    return Figure(figsize=(width, height), layout="constrained")


def inline(figure: Figure, name: str, alt: str) -> Markup:
    """Draw a figure as an <svg> element whose ids start with `name` and whose text alternative is `alt`."""
    buffer = io.StringIO()
    nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    with theme():
        figure.savefig(buffer, format="svg", dpi=150, metadata=nothing)
    root = ElementTree.fromstring(buffer.getvalue())
    _drop(root, "metadata")
    _drop(root, "style")  # matplotlib's rules are for `*`: inside a page they would reach everything
    for element in root.iter():
        _adapt(element.attrib, name)
    for attribute in ("width", "height"):
        del root.attrib[attribute]
    root.set("role", "img")
    root.set("aria-label", alt)
    return Markup(_serialised(root))


def _adapt(attributes: dict[str, str], name: str) -> None:
    if "id" in attributes:
        attributes["id"] = f"{name}-{attributes['id']}"
    for key, value in attributes.items():
        if key == f"{{{XLINK}}}href" and value.startswith("#"):
            attributes[key] = f"#{name}-{value[1:]}"
        elif "url(#" in value:
            attributes[key] = value.replace("url(#", f"url(#{name}-")
    if "style" in attributes:
        attributes["style"] = _recoloured(attributes["style"])


def _recoloured(rules: str, variables: Mapping[str, str] = VARIABLES) -> str:
    rules = re.sub(r"font-family: [^;]*;? ?", "", rules)  # the page sets the typeface
    return re.sub(
        r"#[0-9a-f]{6}",
        lambda found: f"var(--{variables[found[0]]}, {found[0]})" if found[0] in variables else found[0],
        rules,
    )


def _drop(root: ElementTree.Element, tag: str) -> None:
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag.rpartition("}")[2] == tag:
                parent.remove(child)


def _serialised(root: ElementTree.Element) -> str:
    for element in root.iter():
        element.tag = element.tag.removeprefix(f"{{{SVG}}}")
        # HTML knows plain href in SVG; without the prefix no namespace has to be declared.
        if f"{{{XLINK}}}href" in element.attrib:
            element.set("href", element.attrib.pop(f"{{{XLINK}}}href"))
    return ElementTree.tostring(root, encoding="unicode", short_empty_elements=False)
