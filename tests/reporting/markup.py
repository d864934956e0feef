"""A page as a tree of elements."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser

VOID = {"meta", "link", "img", "br", "hr", "input"}


@dataclass
class Element:
    """An element of a parsed page."""

    tag: str
    attributes: dict[str, str] = field(default_factory=dict)
    children: "list[Element | str]" = field(default_factory=list)

    @property
    def elements(self) -> "list[Element]":
        """Its children that are elements."""
        return [child for child in self.children if isinstance(child, Element)]

    def all(self, tag: str = "", **attributes: str) -> "Iterator[Element]":
        """Yield the descendants with a tag and attributes, in the page's order."""
        for child in self.elements:
            if tag in ("", child.tag) and attributes.items() <= child.attributes.items():
                yield child
            yield from child.all(tag, **attributes)

    @property
    def text(self) -> str:
        """What can be read, each element's text apart from its neighbours'."""
        parts = (child if isinstance(child, str) else child.text for child in self.children)
        return " ".join(" ".join(parts).split())


class Reader(HTMLParser):
    """Builds the tree; an element that is not closed where it must be is an error."""

    def __init__(self) -> None:
        super().__init__()
        self.open = [Element("")]

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        element = Element(tag, {key: value or "" for key, value in attributes})
        self.open[-1].children.append(element)
        if tag not in VOID:
            self.open.append(element)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop().tag == tag

    def handle_data(self, data: str) -> None:
        self.open[-1].children.append(data)


def parse(page: str) -> Element:
    """Return the tree of a page."""
    reader = Reader()
    reader.feed(page)
    assert len(reader.open) == 1
    return reader.open[0]
