"""The sections of a MIMIC-CXR report, as the data set's own parser has them (MIT-LCP/mimic-cxr, ``section_parser.py``).

A header is a run of capitals at a line's beginning, after one space, with a colon behind it. Names are normalised by
:data:`ALIASES`; the last section of a name wins.
"""

import re
from dataclasses import dataclass

_HEADER = re.compile(r"\n ([A-Z ()/,-]+):\s")
_BLANK_LINE = "\n \n"

ALIASES: dict[str, str] = {
    **dict.fromkeys(
        (
            "impression",
            "impressions",
            "impresson",
            "impressoin",
            "imprssion",
            "impressiom",
            "impresion",
            "conclusion",
            "conclusions",
            "conclusion/findings",
            "impression and plan",
            "impression and findings",
            "findings and impression",
            "findings/impression",
            "opinion",
            "summary",
            "final impression",
        ),
        "impression",
    ),
    **dict.fromkeys(
        (
            "findings",
            "finding",
            "finidings",
            "findins",
            "fndings",
            "findgins",
            "observations",
            "chest findings",
            "report",
        ),
        "findings",
    ),
    **dict.fromkeys(
        (
            "comparison",
            "comparisons",
            "comparision",
            "comparison study",
            "reference exam",
            "references",
            "prior studies",
        ),
        "comparison",
    ),
    **dict.fromkeys(
        (
            "indication",
            "indications",
            "indication for examination",
            "reason for exam",
            "reason for examination",
            "reason for the exam",
            "reason for the study",
            "reason for study",
            "reason",
            "clinical indication",
            "study indication",
        ),
        "indication",
    ),
    **dict.fromkeys(
        (
            "history",
            "clinical history",
            "clinical information",
            "clinical data",
            "patient history",
            "history/indication",
            "pfi",
            "past medical history",
        ),
        "history",
    ),
    **dict.fromkeys(("technique", "techniques", "procedure", "study", "type of examination", "exam type"), "technique"),
    **dict.fromkeys(("examination", "exam", "exams", "examinations"), "examination"),
    **dict.fromkeys(("wet read", "wetread", "wet read version", "preliminary read"), "wet read"),
    **dict.fromkeys(("recommendation", "recommendations"), "recommendations"),
    **dict.fromkeys(("notification", "notifications", "communication"), "notification"),
    **dict.fromkeys(("addendum", "addenda", "final addendum"), "addendum"),
    "final report": "final report",
}
_PARTS_OF_NAMES = ("impression", "findings", "history", "comparison", "addendum")
# A header that only names what was filmed stands above findings.
_FILMS = re.compile(
    r"(?:(?:single|one|two|three|four|portable|upright|supine|bedside|semi|ap|pa|frontal|lateral|and|or|view|views|of|the|"
    r"chest|radiographs?|films?|x-ray|x ray|cxr|rib|ribs|abdomen|left|right|bilateral|decubitus|a|with|comparison|only|"
    r"thoracic|spine|sternum|[0-9]+)[\s,/()-]*)+"
)


@dataclass(frozen=True)
class MimicSections:
    """What the released ``mimic_cxr_sectioned.csv`` has of a study, and the indication; "" where there is none."""

    findings: str = ""
    impression: str = ""
    last_paragraph: str = ""
    comparison: str = ""
    indication: str = ""


def normal_name(header: str) -> str:
    """A header's name as it counts: an alias, a part of one, ``findings`` for the name of a film, or itself."""
    name = " ".join(header.lower().split())
    if name in ALIASES:
        return ALIASES[name]
    for part in _PARTS_OF_NAMES:
        if part in name:
            return part
    return "findings" if _FILMS.fullmatch(name) else name


def sections(report: str) -> list[tuple[str, str]]:
    """(name, text) in the order of the report: ``preamble`` before the first header, ``full report`` without one."""
    report = report.replace("\r\n", "\n")
    found: list[tuple[str, str]] = []
    match = _HEADER.search(report)
    if match is None:
        return [("full report", report)]
    found.append(("preamble", report[: match.start()]))
    while match is not None:
        line_end = report.find("\n", match.end() - 1)
        following = _HEADER.search(report, line_end) if line_end >= 0 else None
        end = following.start() if following else len(report)
        found.append((normal_name(match[1]), report[match.end() : end]))
        match = following
    return [(name, text) for name, text in found if text.strip() or name not in ("findings", "impression")]


def mimic_sections(report: str) -> MimicSections:
    """The sections that count; the last of a name wins, and white space is folded.

    The text after the first blank line of the last section is the ``last_paragraph`` of a report with neither findings
    nor impression.
    """
    found = sections(report)
    by_name = dict(found)  # the last of a name
    last = ""
    if not {"findings", "impression"} & set(by_name):
        text = found[-1][1]
        cut = text.find(_BLANK_LINE)
        last = text[cut + len(_BLANK_LINE) :] if cut >= 0 else ""
    names = ("findings", "impression", "comparison", "indication")
    folded = {name: " ".join(by_name.get(name, "").split()) for name in names}
    return MimicSections(last_paragraph=" ".join(last.split()), **folded)
