"""One fluent summary of findings and impression by rules, saying nothing twice."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from training_jobs.curation.cleaning import Removed, clean_section
from training_jobs.curation.records import Record
from xraygpt_core.report.observations import ACUTE, ANYTHING, Observation, observations

_LEAD = "Overall, "
_STARTS_WITH_NAME = re.compile(r"^(?:[A-Z]{2}|[A-Z][a-z]*-[A-Z])")
_WORDS = re.compile(r"[a-z]{3,}")
_SMALL = frozenset(
    ("the", "and", "are", "with", "there", "was", "were", "has", "have", "seen", "noted", "this", "that", "evidence")
)


@dataclass(frozen=True)
class RuleSummary:
    """The two sections cleaned, both as one summary, and what was taken out."""

    findings: str
    impression: str
    text: str
    removed: tuple[Removed, ...]


def summarise_by_rules(record: Record) -> RuleSummary:
    """Clean both sections and merge them."""
    findings, impression = clean_section(record.findings), clean_section(record.impression)
    text = merge(findings.sentences, impression.sentences)
    return RuleSummary(findings.text, impression.text, text, findings.removed + impression.removed)


def merge(findings: Sequence[str], impression: Sequence[str]) -> str:
    """The findings, each once, then what the impression says beyond them."""
    told: list[str] = []
    for sentence in findings:
        if not any(_same_words(sentence, one) for one in told):
            told.append(sentence)
    known = {_content(one) for sentence in told for one in observations(sentence)}
    beyond: list[str] = []
    for sentence in impression:
        said = {_content(one) for one in observations(sentence)}
        if any(_same_words(sentence, one) for one in [*told, *beyond]) or (
            said and said <= known and not _general(said)
        ):
            continue
        beyond.append(sentence)
    if beyond and told:
        beyond[0] = _LEAD + _lower(beyond[0])
    return " ".join([*told, *beyond])


def _content(one: Observation) -> tuple[str, str, frozenset[str]]:
    return one.kind, one.status.value, one.sides


def _general(said: set[tuple[str, str, frozenset[str]]]) -> bool:
    """ "No acute disease" says more than each finding that is denied."""
    return any(kind in (ACUTE, ANYTHING, "abnormal film") for kind, _, _ in said)


def _same_words(one: str, other: str) -> bool:
    first, second = (frozenset(_WORDS.findall(text.lower())) - _SMALL for text in (one, other))
    return bool(first) and first == second


def _lower(sentence: str) -> str:
    return sentence if _STARTS_WITH_NAME.match(sentence) else sentence[:1].lower() + sentence[1:]
