"""What a comparison found: figures, and no word of any text."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from statistics import fmean
from typing import Any
from uuid import UUID

from sqlalchemy.engine import RowMapping

from xraygpt_core.ledger.comparisons.begin import NamedBundle
from xraygpt_core.ledger.comparisons.drafts import WORDS
from xraygpt_core.ledger.transaction import Ledger, Values
from xraygpt_core.report.side_by_side import Case, Reading, names_of, side_by_side
from xraygpt_core.report.text_labels import LABELLER, Named, labels_of, named_by
from xraygpt_core.states import ShadowState


@dataclass(frozen=True)
class Comparison:
    """A comparison, and how far it is: ``studies`` and what of their two texts each is open or failed."""

    comparison_id: UUID
    first: NamedBundle
    second: NamedBundle
    chosen: dict[str, Any]
    begun_by: str
    begun_at: datetime
    studies: int
    open: int
    failed: int


@dataclass(frozen=True)
class Result:
    """A comparison and its figures.

    Attributes:
        bundles: ``first`` and ``second``: how many texts were written, taken, failed and why, how many had which part
            beside the film, tokens and seconds a
            text, texts a second, on which devices.
        signed_from: how many of the signed texts began as a draft of ``first``, ``second`` or ``another`` bundle. Who
            corrects a draft keeps much of it, so these favour its bundle.
        figures: of :func:`xraygpt_core.report.side_by_side.side_by_side`.
    """

    comparison: Comparison
    bundles: dict[str, dict[str, Any]]
    signed_from: dict[str, int]
    figures: dict[str, Any]


_COMPARISONS = """
    SELECT c.id, c.first_bundle, c.first_sha256, c.second_bundle, c.second_sha256, c.chosen, c.begun_by, c.begun_at,
           n.studies, n.open, n.failed
    FROM (SELECT * FROM comparisons WHERE {which}) c
    CROSS JOIN LATERAL (
        SELECT count(DISTINCT study_id) AS studies, count(*) FILTER (WHERE state = 'open') AS open,
               count(*) FILTER (WHERE state = 'failed') AS failed
        FROM shadow_drafts WHERE comparison_id = c.id
    ) n
    ORDER BY c.begun_at DESC
"""
_ONE = _COMPARISONS.format(which="id = :id")
_NEWEST = _COMPARISONS.format(which="true ORDER BY begun_at DESC LIMIT :limit")

_TEXTS = """
    SELECT study_id, bundle_sha256, state, reason, beside, text, asserted, uncertain, labeller, tokens, seconds,
           jsonb_array_length(consistency) AS doubts,
           CAST(provenance ->> 'generate_seconds' AS double precision) AS writing,
           provenance -> 'software' ->> 'device' AS device
    FROM shadow_drafts WHERE comparison_id = :id
"""
_PARTS = {"lateral": ("lateral",), "prior": ("prior",), "words": WORDS}
# The last signature under a text about the film that both models saw.
_SIGNED = """
    SELECT d.study_id, s.patient_pseudonym, COALESCE(i.view, s.view) AS view, m.text, m.bundle_sha256
    FROM (SELECT DISTINCT study_id, image_id FROM shadow_drafts WHERE comparison_id = :id) d
    JOIN studies s ON s.id = d.study_id
    LEFT JOIN images i ON i.id = d.image_id
    LEFT JOIN LATERAL (
        SELECT COALESCE(edited_summary, summary) AS text, bundle_sha256 FROM summaries
        WHERE study_id = d.study_id AND image_id = d.image_id AND review_state IN ('accepted', 'edited')
        ORDER BY reviewed_at DESC, id DESC LIMIT 1
    ) m ON true
    ORDER BY d.study_id DESC
"""


def comparisons(ledger: Ledger, *, limit: int = 100) -> list[Comparison]:
    """The last of them, the newest first."""
    with ledger.work() as work:
        return [_comparison(row) for row in work.rows(_NEWEST, {"limit": limit})]


def comparison_result(ledger: Ledger, comparison_id: UUID) -> Result:
    """The figures of a comparison, as far as it is, with what is signed today.

    Raises:
        NotFound: there is no such comparison.
    """
    values: Values = {"id": comparison_id}
    with ledger.work() as work:
        found = _comparison(work.found(_ONE, values, f"there is no comparison {comparison_id}"))
        texts, signed = work.rows(_TEXTS, values), work.rows(_SIGNED, values)
    sides = {"first": found.first.sha256, "second": found.second.sha256}
    rows = {side: [row for row in texts if row["bundle_sha256"] == sha256] for side, sha256 in sides.items()}
    return Result(
        comparison=found,
        bundles={side: _pace(of) for side, of in rows.items()},
        signed_from=_origins([row["bundle_sha256"] for row in signed if row["text"] is not None], sides),
        figures=side_by_side(_cases(rows["first"], rows["second"], signed)),
    )


def _comparison(row: RowMapping) -> Comparison:
    return Comparison(
        comparison_id=row["id"],
        first=NamedBundle(row["first_bundle"], row["first_sha256"]),
        second=NamedBundle(row["second_bundle"], row["second_sha256"]),
        **{name: row[name] for name in ("chosen", "begun_by", "begun_at", "studies", "open", "failed")},
    )


def _cases(first: Sequence[RowMapping], second: Sequence[RowMapping], signed: Sequence[RowMapping]) -> list[Case]:
    """The films that both have a text about. A study without a patient is a patient of its own."""
    ones, others = ({row["study_id"]: _reading(row) for row in of if row["text"] is not None} for of in (first, second))
    return [
        Case(
            row["patient_pseudonym"] or str(row["study_id"]),
            row["view"],
            ones[row["study_id"]],
            others[row["study_id"]],
            row["text"],
        )
        for row in signed
        if row["study_id"] in ones and row["study_id"] in others
    ]


def _reading(row: RowMapping) -> Reading:
    """A text as today's labeller reads it."""
    stale = row["labeller"] != LABELLER
    named = named_by(labels_of(row["text"])) if stale else Named(tuple(row["asserted"]), tuple(row["uncertain"]))
    return Reading(names_of(named), len(row["text"].split()), row["doubts"])


def _pace(rows: Sequence[RowMapping]) -> dict[str, Any]:
    """How many texts there are, and how fast those that were written for this were."""
    written = [row for row in rows if row["state"] == ShadowState.WRITTEN]
    seconds = sum(row["seconds"] for row in written)
    reasons = [row["reason"] for row in rows if row["reason"] is not None]
    writing = [row["writing"] for row in written if row["writing"] is not None]
    return {
        **{state.value: sum(row["state"] == state for row in rows) for state in ShadowState},
        "reasons": {reason: reasons.count(reason) for reason in sorted(set(reasons))},
        "beside": {part: sum(_is_beside(row, names) for row in rows) for part, names in _PARTS.items()},
        "tokens": _mean([row["tokens"] for row in rows if row["tokens"] is not None]),
        "seconds_a_text": _mean(writing),
        "texts_a_second": len(written) / seconds if seconds else None,
        "devices": sorted({row["device"] for row in written if row["device"] is not None}),
    }


def _is_beside(row: RowMapping, names: Collection[str]) -> bool:
    return row["text"] is not None and any(name in row["beside"] for name in names)


def _mean(values: Sequence[float]) -> float | None:
    return float(fmean(values)) if values else None


def _origins(of_signed: Sequence[str], sides: Mapping[str, str]) -> dict[str, int]:
    counts = {side: of_signed.count(sha256) for side, sha256 in sides.items()}
    return counts | {"another": len(of_signed) - sum(counts.values())}
