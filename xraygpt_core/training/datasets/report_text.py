"""The text to learn from a whole radiology report: its findings and its impression."""

import re

_HEADER = re.compile(r"^[ \t]*([A-Z][A-Z ()/,-]*):", re.MULTILINE)


def summary_text(report: str) -> str:
    """Findings and impression of a report whose sections have headings in capitals; empty if it has neither."""
    found = _sections(report)
    return joined(found.get("findings", ""), found.get("impression", ""))


def indication_text(report: str) -> str | None:
    """Why the film was made, where a section says so."""
    return _sections(report).get("indication")


def joined(findings: str, impression: str) -> str:
    """Both sections with their headings, as the system writes them; what is empty is left out."""
    named = (("Findings", findings), ("Impression", impression))
    return " ".join(f"{name}: {flat(text)}" for name, text in named if flat(text))


def flat(text: str) -> str:
    """A text on one line."""
    return " ".join(text.split())


def _sections(report: str) -> dict[str, str]:
    """Section texts; the last of a name wins, as in MIMIC-CXR's own parser."""
    heads = list(_HEADER.finditer(report))
    ends = [head.start() for head in heads[1:]] + [len(report)]
    found = {}
    for head, end in zip(heads, ends, strict=True):
        for name in ("findings", "impression", "indication"):
            if name in head[1].lower() and (text := flat(report[head.end() : end])):
                found[name] = text
    return found
