"""One report on its way: kept with a text to learn from, or dropped with a reason."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from training_jobs.curation.answers import no_summary, tidy_answer
from training_jobs.curation.cleaning import without_marks
from training_jobs.curation.prompts import Prompts
from training_jobs.curation.records import Record
from training_jobs.curation.rewriters import Answer, Model, Request, Unanswered
from training_jobs.curation.rules import VERSION, reason_to_drop
from training_jobs.curation.summary import RuleSummary, summarise_by_rules
from xraygpt_core.report.faithful import objections
from xraygpt_core.report.observations import never_ends

MOST_LETTERS = 20_000  # of a report; the longest real ones have 4,000
_SHOWN_OBJECTIONS = 10
Ask = Callable[[int, str, str], Answer]  # of a report's number, a key that is the request's, and a prompt


@dataclass(frozen=True)
class Way:
    """How reports are rewritten: by nothing (``as-is``), by rules, or by a model with rules behind it."""

    name: str  # as-is, rules, endpoint, bundle
    reader: str
    model: Model | None = None
    prompts: Prompts | None = None


class Curator:
    """Curates one report after the other, or several at once: it keeps nothing between them.

    Args:
        ask: answers a prompt once for all: see :class:`training_jobs.curation.journal.Journal`.
    """

    def __init__(self, way: Way, ask: Ask) -> None:
        self._way, self._ask = way, ask

    def curate(self, number: int, record: Record) -> dict[str, Any]:
        """The row of a report; ``dropped`` says why, where it is."""
        if record.broken is not None:
            return _dropped(record, "unreadable", record.broken)
        if len(record.findings) + len(record.impression) > MOST_LETTERS:
            return _dropped(record, "too_long")
        if reason := reason_to_drop(record.findings, record.impression):
            return _dropped(record, reason)
        if self._way.name == "as-is":
            text = f"Findings: {record.findings} Impression: {record.impression}"
            return self._kept(record, record.findings, record.impression, text, {})
        if never_ends(record.findings) or never_ends(record.impression):
            return _dropped(record, "too_long")
        source = f"{without_marks(record.findings)}\n{without_marks(record.impression)}"
        if self._way.model is not None and self._way.prompts is not None:
            summary, told = self._by_model(number, record, source, self._way.model, self._way.prompts)
            if summary is not None:
                return self._kept(record, record.findings, record.impression, summary, told)
            return self._by_rules(record, source, told)
        return self._by_rules(record, source, {})

    def _by_rules(self, record: Record, source: str, told: dict[str, Any]) -> dict[str, Any]:
        made = summarise_by_rules(record)
        if reason := reason_to_drop(made.findings, made.impression, after="_after_cleaning"):
            return _dropped(record, reason, **told)
        if found := objections(source, made.text):
            words = [one.words for one in found[:_SHOWN_OBJECTIONS]]
            return _dropped(record, "unfaithful_after_cleaning", **told | {"objections": words})
        removed = _removed(made)
        return self._kept(
            record, made.findings, made.impression, made.text, told | ({"removed": removed} if removed else {})
        )

    def _by_model(
        self, number: int, record: Record, source: str, model: Model, prompts: Prompts
    ) -> tuple[str | None, dict[str, Any]]:
        """The model's text, asked a second time with the objections; None where it must not be used, and why."""
        told: dict[str, Any] = {"model": model.name, "prompts_sha256": prompts.sha256}
        request = Request(record.findings, record.impression)
        for attempt in (1, 2):
            try:
                prompt = request.prompt(prompts)
                answer = self._ask(number, _key(model.name, prompts, prompt), prompt)
            except Unanswered as error:
                return None, told | {"fell_back": "unanswered", "objections": [str(error)]}
            text = tidy_answer(answer.text)
            told["calls"] = attempt
            found = _objections(source, text)
            if not found:
                return text, told
            told.setdefault("first_objections", found[:_SHOWN_OBJECTIONS])
            request = Request(record.findings, record.impression, text, found[:_SHOWN_OBJECTIONS])
        return None, told | {"fell_back": "unfaithful", "objections": found[:_SHOWN_OBJECTIONS]}

    def _kept(self, record: Record, findings: str, impression: str, text: str, told: dict[str, Any]) -> dict[str, Any]:
        provenance = {"reader": self._way.reader, "way": self._way.name, "rules": VERSION, "where": record.where} | told
        row: dict[str, Any] = {"uid": record.uid, "findings": findings, "impression": impression, "text": text}
        extra = {"patient": record.patient, "indication": record.indication, "images": list(record.images)}
        return row | {key: value for key, value in extra.items() if value} | {"provenance": provenance}


def _objections(source: str, text: str) -> list[str]:
    if why := no_summary(text):
        return [why]
    return [one.words for one in objections(source, text)]


def _key(model: str, prompts: Prompts, prompt: str) -> str:
    return hashlib.sha256("\0".join((model, prompts.sha256, prompt)).encode("utf-8", "surrogatepass")).hexdigest()


def _removed(made: RuleSummary) -> list[dict[str, str]]:
    return [{"why": one.why, "sentence": one.sentence} for one in made.removed]


def _dropped(record: Record, reason: str, detail: str | None = None, **told: Any) -> dict[str, Any]:
    row: dict[str, Any] = {"uid": record.uid, "dropped": reason, "where": record.where}
    return row | ({"detail": detail} if detail else {}) | told


def duplicate(record: Record) -> dict[str, Any]:
    """The row of a report whose id stands in its source already."""
    return _dropped(record, "duplicate_id")
