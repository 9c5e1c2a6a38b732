"""A text of a comparison is kept as it is made, once: what comes a second time changes nothing."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from xraygpt_core.ledger.audit.record import record
from xraygpt_core.ledger.studies.companions import companions
from xraygpt_core.ledger.transaction import Ledger, Work
from xraygpt_core.report.consistency import contradictions
from xraygpt_core.report.sections import split_report
from xraygpt_core.report.text_labels import LABELLER, labels_of, named_by
from xraygpt_core.states import ImageRole, ShadowFailure, ShadowState


@dataclass(frozen=True)
class WrittenText:
    """What a bundle wrote about a film.

    Attributes:
        tokens: the stop sequence included.
        seconds: of the machine, since the text before.
        provenance: what it takes to write it again, beside bundle and film.
    """

    text: str
    tokens: int
    seconds: float
    provenance: dict[str, Any]


@dataclass(frozen=True)
class ShadowDraft:
    """One text of a comparison, or why there is none."""

    study_id: UUID
    bundle: str
    bundle_sha256: str
    state: str
    reason: str | None
    text: str | None
    findings: str | None
    impression: str | None
    asserted: list[str] | None
    uncertain: list[str] | None
    consistency: list[dict[str, str]]
    tokens: int | None
    seconds: float | None
    provenance: dict[str, Any] | None
    at: datetime | None


_KEY = "d.comparison_id = :id AND d.study_id = :study AND d.bundle_sha256 = :sha256"
_LOOK = f"""
    SELECT d.state, d.image_sha256, d.beside, i.view FROM shadow_drafts d LEFT JOIN images i ON i.id = d.image_id
    WHERE {_KEY}
"""
_PRIOR_NOW = f"SELECT {companions([ImageRole.PRIOR])} FROM studies s WHERE s.id = :study"
WORDS = ("clinical_sha256", "request_sha256")  # of what a bundle is shown beside a film
_KEEP = f"""
    UPDATE shadow_drafts d SET state = :state, reason = :reason, text = :text, findings = :findings,
           impression = :impression, asserted = :asserted, uncertain = :uncertain, labeller = :labeller,
           consistency = CAST(:consistency AS jsonb), tokens = :tokens, seconds = :seconds,
           provenance = CAST(:provenance AS jsonb), at = clock_timestamp()
    WHERE {_KEY} AND d.state = 'open'
"""
_NAMES = ("text", "findings", "impression", "asserted", "uncertain", "labeller", "tokens", "seconds", "provenance")
_DRAFTS = """
    SELECT d.study_id, d.bundle, d.bundle_sha256, d.state, d.reason, d.text, d.findings, d.impression, d.asserted,
           d.uncertain, d.consistency, d.tokens, d.seconds, d.provenance, d.at
    FROM shadow_drafts d JOIN comparisons c ON c.id = d.comparison_id
    WHERE d.comparison_id = :id AND (CAST(:study AS uuid) IS NULL OR d.study_id = :study)
      AND (CAST(:after AS uuid) IS NULL OR d.study_id < :after)
    ORDER BY d.study_id DESC, d.bundle_sha256 = c.second_sha256 LIMIT :limit
"""


def keep_text(
    ledger: Ledger, comparison_id: UUID, study_id: UUID, bundle_sha256: str, made: WrittenText | ShadowFailure
) -> bool:
    """Keep a text, or why there is none. Returns whether it was open; if not, what is there stays.

    Raises:
        NotFound: the comparison has no such text, or its study was purged.
    """
    key = {"id": comparison_id, "study": study_id, "sha256": bundle_sha256}
    otherwise = "the comparison has no such text: its study was purged, or was never part of it"
    with ledger.work() as work:
        row = work.found(_LOOK, key, otherwise)
        if "prior" in row["beside"] and not _stands(work, study_id, row["beside"]["prior"]):
            made = ShadowFailure.PICTURE
    values = _row(made, dict(row))
    with ledger.work() as work:
        kept = work.run(_KEEP, key | values) == 1
        if not kept:
            work.found(_LOOK, key, otherwise)
        detail = {"bundle_sha256": bundle_sha256, "state": values["state"], "kept": kept}
        record(work, "shadow draft kept", study=study_id, subject=comparison_id, detail=detail)
    return kept


def _stands(work: Work, study_id: UUID, prior: Mapping[str, str]) -> bool:
    """Is this film still the one before of the same patient?"""
    now = work.row(_PRIOR_NOW, {"study": study_id})
    return now is not None and str(now["prior_id"]) == prior["image_id"]


def seen(row: Mapping[str, Any]) -> dict[str, Any]:
    """What the provenance says that the model was shown, as that of a summary does."""
    beside = row["beside"]
    films = {role: beside[role]["sha256"] for role in (ImageRole.LATERAL, ImageRole.PRIOR) if role in beside}
    words = {name: beside[name] for name in WORDS if name in beside}
    images = {ImageRole.FRONTAL: row["image_sha256"], **films}
    return {"image_sha256": row["image_sha256"], "images": images, **words}


def _row(made: WrittenText | ShadowFailure, row: Mapping[str, Any]) -> dict[str, Any]:
    """The columns. Labels and contradictions are read outside of any transaction: it takes milliseconds."""
    if isinstance(made, ShadowFailure):
        return dict.fromkeys(_NAMES) | {"state": ShadowState.FAILED, "reason": made, "consistency": "[]"}
    sections, named = split_report(made.text), named_by(labels_of(made.text))
    found = contradictions(sections.findings, sections.impression, row["view"], made.text)
    return {
        "state": ShadowState.WRITTEN,
        "reason": None,
        "text": made.text,
        "findings": sections.findings,
        "impression": sections.impression,
        "asserted": list(named.asserted),
        "uncertain": list(named.uncertain),
        "labeller": LABELLER,
        "consistency": json.dumps([one.document() for one in found]),
        "tokens": made.tokens,
        "seconds": made.seconds,
        "provenance": json.dumps(made.provenance | seen(row)),
    }


def shadow_drafts(
    ledger: Ledger,
    comparison_id: UUID,
    *,
    study_id: UUID | None = None,
    after: UUID | None = None,
    limit: int = 100,
) -> Sequence[ShadowDraft]:
    """The texts of a comparison, study by study, the newest first, that of the first bundle first.

    Args:
        study_id: of this one alone. after: of the studies behind this one. limit: how many studies.

    Raises:
        NotFound: there is no such comparison.
    """
    values = {"id": comparison_id, "study": study_id, "after": after, "limit": 2 * limit}
    with ledger.work() as work:
        work.found("SELECT id FROM comparisons WHERE id = :id", values, f"there is no comparison {comparison_id}")
        found = [ShadowDraft(**row) for row in work.rows(_DRAFTS, values)]
        studies = list(dict.fromkeys(one.study_id for one in found))
        record(work, "shadow drafts read", subject=comparison_id, studies=studies)
    return found
