"""A report of Open-i (Demner-Fushman et al. 2016): XML with ``uId``, labelled ``AbstractText``, ``parentImage`` ids."""

from dataclasses import dataclass
from xml.etree import ElementTree

_DECLARATIONS = (b"<!DOCTYPE", b"<!ENTITY")
_WIDE = (b"\xff\xfe", b"\xfe\xff")


class NoReport(ValueError):
    """This is no report of Open-i: not whole, in a wide encoding, or with declarations, which a report never needs.

    Attributes:
        line: where the XML breaks; None if it was not parsed.
        declares: whether it has a document type declaration.
    """

    def __init__(self, why: str, line: int | None = None, *, declares: bool = False) -> None:
        super().__init__(why)
        self.line, self.declares = line, declares


@dataclass(frozen=True)
class OpenIReport:
    """One report; white space is folded, and what it does not have is empty.

    Attributes:
        films: ids as published, ``CXR3_IM-1384-1001``.
        tags: MeSH tags that people gave it, ``Opacity/lung/base/left``.
    """

    uid: str
    findings: str
    impression: str
    indication: str
    films: tuple[str, ...]
    tags: tuple[str, ...] = ()


def open_i_report(xml: bytes) -> OpenIReport:
    """Parse one file.

    Raises:
        NoReport: says why in words that quote nothing of it.
    """
    if any(word in xml.replace(b"\0", b"") for word in _DECLARATIONS):  # as a wide encoding would hide it
        raise NoReport("a report with a document type declaration is not read", declares=True)
    if xml[:2] in _WIDE or b"\0" in xml[:200]:
        raise NoReport("the file is neither UTF-8 nor Latin-1")
    try:
        root = ElementTree.fromstring(xml)  # noqa: S314  (no entities, checked above)
    except ElementTree.ParseError as error:
        raise NoReport("this is no whole XML", error.position[0]) from error
    except (ValueError, LookupError, RecursionError) as error:
        raise NoReport("this is no whole XML") from error
    texts: dict[str, str] = {}
    for item in root.iter("AbstractText"):
        label = item.get("Label", "").upper()
        texts[label] = " ".join([*texts.get(label, "").split(), *"".join(item.itertext()).split()])
    identifier = root.find("uId")
    uid = identifier.get("id", "") if identifier is not None else ""
    films = tuple(film.get("id", "") for film in root.iter("parentImage"))
    findings, impression, indication = (texts.get(name, "") for name in ("FINDINGS", "IMPRESSION", "INDICATION"))
    tags = tuple(" ".join("".join(tag.itertext()).split()) for tag in root.iter("major"))
    return OpenIReport(uid, findings, impression, indication, films, tags)
