"""Curating radiology reports as the paper does (section 4, README-DATASET): first by rules.

A report is kept if it has both sections, at least ten words of findings and two of impression. With ``rules_only``
that is all; otherwise sentences that compare with earlier studies, the view statement and the de-identification marks
are also taken out, and a report that falls below the limits by that is dropped as well.
"""

import json
import re
import tarfile
import xml.etree.ElementTree as ElementTree
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from xraygpt_core.errors import TrainingError

_MIN_FINDINGS, _MIN_IMPRESSION = 10, 2
_MAX_XML_BYTES = 2**20
_MARKS = re.compile(r"\bX{4,}\b|_{3,}")
_COMPARISON = re.compile(
    r"\b(compar\w+|prior|previous\w*|interval|unchanged|again|stable|since|new(ly)?|worsen\w+|improv\w+|increas\w+|decreas\w+|"
    r"persist\w+|no longer|earlier|remain\w*)\b",
    re.IGNORECASE,
)
_VIEW = re.compile(
    r"\b(pa|ap|frontal|lateral)\b.*\b(views?|radiographs?|projections?|images?)\b"
    r"|\b(views?|projections?) of the chest\b",
    re.I,
)
_SENTENCE = re.compile(r"(?<=[.!?])\s+")


@dataclass(frozen=True)
class RawReport:
    """One report as published."""

    uid: str
    findings: str
    impression: str


def curate(source: Path, out: Path | None, *, rules_only: bool) -> dict[str, Any]:
    """Read a ``.tgz`` of Open-i XML files; write the kept reports as JSON lines to ``out``, if given.

    Returns ``{"read", "kept", "dropped": {reason: n}}``. Raises TrainingError if the archive cannot be read.
    """
    dropped: Counter[str] = Counter()
    kept = []
    read = 0
    for report in read_open_i(source):
        read += 1
        cleaned = report if rules_only else clean(report)
        reason = reason_to_drop(report) or reason_to_drop(cleaned, after="_after_cleaning")
        if reason is None:
            kept.append(asdict(cleaned))
        else:
            dropped[reason] += 1
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text("".join(json.dumps(row) + "\n" for row in kept))
    return {"read": read, "kept": len(kept), "dropped": dict(sorted(dropped.items()))}


def reason_to_drop(report: RawReport, after: str = "") -> str | None:
    """Why the paper's rules drop a report; None keeps it."""
    if not report.findings:
        return f"no_findings{after}"
    if not report.impression:
        return f"no_impression{after}"
    if len(report.findings.split()) < _MIN_FINDINGS:
        return f"short_findings{after}"
    if len(report.impression.split()) < _MIN_IMPRESSION:
        return f"short_impression{after}"
    return None


def clean(report: RawReport) -> RawReport:
    """Without comparisons, view statements and de-identification marks."""
    return RawReport(report.uid, _clean(report.findings), _clean(report.impression))


def _clean(text: str) -> str:
    sentences = [s for s in _SENTENCE.split(text) if not _COMPARISON.search(s) and not _VIEW.search(s)]
    joined = " ".join(_MARKS.sub("", sentence) for sentence in sentences)
    return re.sub(r"\s+([.,;])", r"\1", re.sub(r"\s{2,}", " ", joined)).strip()


def read_open_i(source: Path) -> Iterator[RawReport]:
    """The reports of an Open-i archive, in its order.

    Raises:
        TrainingError: the archive or one of its files cannot be read.
    """
    try:
        with tarfile.open(source) as archive:
            for member in archive:
                file = archive.extractfile(member) if member.isfile() and member.name.endswith(".xml") else None
                if file is not None:
                    yield parse_open_i(file.read(_MAX_XML_BYTES))
    except (OSError, tarfile.TarError, ElementTree.ParseError) as error:
        raise TrainingError(f"{source} is not a readable archive of Open-i reports: {error}") from error


def parse_open_i(xml: bytes) -> RawReport:
    """One Open-i XML file (Demner-Fushman et al. 2016): uId and the labelled abstract texts.

    Raises:
        TrainingError: the file declares entities, which a report never needs.
    """
    if b"<!DOCTYPE" in xml or b"<!ENTITY" in xml:
        raise TrainingError("a report with a document type declaration is not read")
    root = ElementTree.fromstring(xml)  # noqa: S314  (no entities, checked above)
    texts = {item.get("Label", ""): " ".join((item.text or "").split()) for item in root.iter("AbstractText")}
    identifier = root.find("uId")
    uid = identifier.get("id", "") if identifier is not None else ""
    return RawReport(uid, texts.get("FINDINGS", ""), texts.get("IMPRESSION", ""))
