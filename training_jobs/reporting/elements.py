"""Elements of a page. Whatever is put into one as text or attribute is escaped when the page is written."""

from collections.abc import Mapping, Sequence
from typing import Any
from xml.etree.ElementTree import Element, tostring

from xraygpt_core.plain_text import plain_text

Child = Element | str
_MOST = 20_000  # letters of one text


def element(name: str, attributes: Mapping[str, Any] | None, *children: Child) -> Element:
    """An element with its children; letters that act are marked (:mod:`xraygpt_core.plain_text`)."""
    made = Element(name, {key: str(value) for key, value in (attributes or {}).items()})
    for child in children:
        if isinstance(child, Element):
            made.append(child)
        elif len(made):
            made[-1].tail = (made[-1].tail or "") + _written(child)
        else:
            made.text = (made.text or "") + _written(child)
    return made


def paragraph(*children: Child) -> Element:
    """``<p>``."""
    return element("p", None, *children)


def section(title: str, *children: Child) -> Element:
    """A part of the page under a heading."""
    return element("section", None, element("h2", None, title), *children)


def table(head: Sequence[str], rows: Sequence[Sequence[Child]]) -> Element:
    """A table with one line of headings; the first cell of each row is its heading."""
    top = element("tr", None, *(element("th", {"scope": "col"}, name) for name in head))
    body = [
        element("tr", None, element("th", {"scope": "row"}, row[0]), *(element("td", None, cell) for cell in row[1:]))
        for row in rows
    ]
    return element("table", None, element("thead", None, top), element("tbody", None, *body))


def page_bytes(root: Element) -> bytes:
    """The page as UTF-8."""
    html = tostring(root, encoding="unicode", method="html")
    return f"<!DOCTYPE html>\n{html}\n".encode()


def _written(text: str) -> str:
    cut = text if len(text) <= _MOST else f"{text[:_MOST]} … ({len(text)} letters)"
    return plain_text(cut)
