"""Take a report apart into its sections."""

import re
from typing import NamedTuple

_HEADING = re.compile(
    r"(?:^|(?<=[\s.;:!?>])|(?<=\*\*))(?:\*\*|#+\s*)?"
    r"(?P<name>findings?|impressions?|conclusions?|opinion|summary|indications?|history|"
    r"clinical (?:history|information|details)|reason for exam(?:ination)?|comparisons?|techniques?|"
    r"procedure|exam(?:ination)?|recommendations?)"
    r"(?:\*\*)?\s*:(?:\*\*)?",
    re.IGNORECASE,
)
_IMPRESSION = ("impression", "conclusion", "opinion", "summary")


class Sections(NamedTuple):
    """The two parts a summary stores; None where the report has no such part."""

    findings: str | None
    impression: str | None


def _spans(text: str) -> list[tuple[str, int, int]]:
    """Heading in lower case, and [start, end) of its body, in the order of the text; "" for what stands before any."""
    matches = list(_HEADING.finditer(text))
    starts = [match.end() for match in matches]
    ends = [match.start() for match in matches[1:]] + [len(text)][: len(matches)]
    spans = [("", 0, matches[0].start() if matches else len(text))]
    bodies = zip(matches, starts, ends, strict=True)
    spans += [(match["name"].lower(), start, end) for match, start, end in bodies]
    return spans


def _pieces(text: str) -> list[tuple[str, str]]:
    """(heading, body) of each of them."""
    return [(name, " ".join(text[start:end].replace("**", " ").split())) for name, start, end in _spans(text)]


def _joined(bodies: list[str]) -> str | None:
    return " ".join(body for body in bodies if body) or None


def split_report(text: str) -> Sections:
    """Findings and impression of a report written with headings ("Findings: …", "IMPRESSION: …", "**Findings**: …").

    A heading that appears twice is joined. Text without any heading has neither part.
    """
    pieces = _pieces(text)
    findings = [body for name, body in pieces if name.startswith("finding")]
    impression = [body for name, body in pieces if name.startswith(_IMPRESSION)]
    return Sections(_joined(findings), _joined(impression))


def described_part(text: str) -> str:
    """What the reader saw in this film: findings and impression, or all text without indication, history, technique …

    Text before the first heading belongs to it ("AP chest radiograph. Findings: …").
    """
    seen = [body for name, body in _pieces(text) if _describes(name)]
    return "\n".join(body for body in seen if body)


def described_spans(text: str) -> list[tuple[int, int]]:
    """[start, end) of each body that :func:`described_part` joins, as it was written."""
    return [(start, end) for name, start, end in _spans(text) if _describes(name)]


def _describes(name: str) -> bool:
    return name == "" or name.startswith(("finding", *_IMPRESSION))
