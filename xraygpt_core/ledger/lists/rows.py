"""A study as a row of a list shows it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

from xraygpt_core.ledger.card.study_state import STUDY_STATE
from xraygpt_core.ledger.transaction import Work
from xraygpt_core.states import TERMINAL_STUDY_STATES, Flag, Lane

# Characters of the impression that a list shows.
_OPENING = 240
_IMPRESSION = r"'(?i)\yimpression:\s*(.*)$'"  # of a correction, which is stored whole


@dataclass(frozen=True)
class WorklistRow:
    """A study as a list shows it; what its summary says is None without one.

    Attributes:
        modality, acquired_on: of the image that is summarised. The day is for readers and leads alone.
        images: how many were accepted.
        flags: of the film and of the text, but for the one below.
        opening: how the impression begins, or the text where there is none.
        supersedes_reviewed: a newer draft beside a reviewed summary.
        asserted, uncertain: findings that the text as it stands names, none of a rejected one; None before its labels.
        assigned_to, assigned_key: whose study it is; a session that no key opened has no key.
        read_by, read_key: who has it on the desk now.
        withdrawn_by: who did the last act on the text as it stands: it is news for the ``withdrawn_keys``, whose
            signatures it took back or overturned. None where there are none.
        withdrawn_keys: with which they had signed in their own names.
        picture: whether there is one to show.
    """

    study_id: UUID
    lane: str
    state: str
    reason_code: str | None
    view: str | None
    modality: str | None
    images: int
    acquired_on: date | None
    flags: list[str]
    received_at: datetime
    summary_id: UUID | None
    summarised_at: datetime | None
    review_state: str | None
    reviewed_by: str | None
    reviewed_at: datetime | None
    bundle: str | None
    opening: str | None
    supersedes_reviewed: bool
    asserted: list[str] | None
    uncertain: list[str] | None
    assigned_to: str | None
    assigned_key: UUID | None
    read_by: str | None
    read_key: UUID | None
    withdrawn_by: str | None
    withdrawn_keys: list[UUID]
    picture: bool


_ROWS = f"""
    SELECT s.id AS study_id, s.lane_rank, {STUDY_STATE} AS state, s.reason_code, s.view, i.modality, n.images,
           i.acquired_on, s.flags || COALESCE(m.flags, '{{}}') AS flags, s.received_at, m.id AS summary_id,
           m.summarised_at, m.review_state, m.reviewed_by, m.reviewed_at, m.bundle,
           left(btrim(COALESCE(substring(m.edited_summary from {_IMPRESSION}), m.edited_summary, m.impression,
                               m.summary)), {_OPENING}) AS opening,
           COALESCE('{Flag.SUPERSEDES_REVIEWED}' = ANY(m.flags), false) AS supersedes_reviewed,
           m.asserted, m.uncertain, a.name AS assigned_to, a.key_id AS assigned_key,
           c.name AS read_by, c.key_id AS read_key,
           CASE WHEN cardinality(w.withdrawn_keys) > 0 THEN w.withdrawn_by END AS withdrawn_by,
           COALESCE(w.withdrawn_keys, '{{}}') AS withdrawn_keys, n.picture
    FROM unnest(CAST(:ids AS uuid[])) WITH ORDINALITY r (study_id, place)
    CROSS JOIN LATERAL (SELECT * FROM studies WHERE id = r.study_id LIMIT 1) s
    LEFT JOIN LATERAL (SELECT * FROM summaries WHERE study_id = s.id AND superseded_at IS NULL LIMIT 1) m ON true
    LEFT JOIN LATERAL (SELECT modality, acquired_on FROM images WHERE id = s.chosen_image LIMIT 1) i ON true
    LEFT JOIN LATERAL (SELECT name, key_id FROM assignments WHERE study_id = s.id LIMIT 1) a ON true
    LEFT JOIN LATERAL (SELECT name, key_id FROM reading_claims
                       WHERE study_id = s.id AND until > clock_timestamp() LIMIT 1) c ON true
    LEFT JOIN LATERAL (
        SELECT b.reviewer AS withdrawn_by, ARRAY(
            SELECT DISTINCT v.key_id FROM reviews v WHERE v.summary_id = m.id AND v.key_id IS DISTINCT FROM b.key_id
            AND v.key_name = v.reviewer AND v.action NOT IN ('draft', 'undone')
            AND (b.action IN ('draft', 'edited') OR (v.action = 'rejected') <> (b.action = 'rejected'))
        ) AS withdrawn_keys
        FROM (SELECT * FROM reviews WHERE summary_id = m.id ORDER BY position DESC LIMIT 1) b
        WHERE b.action <> 'undone') w ON true
    CROSS JOIN LATERAL (
        SELECT count(*) AS images, count(preview_key) > 0 AS picture FROM images
        WHERE study_id = s.id AND state = 'accepted' AND duplicate_of IS NULL) n
    WHERE s.alias_of IS NULL AND s.purged_at IS NULL ORDER BY r.place
"""


def rows_of(work: Work, study_ids: Sequence[UUID]) -> list[WorklistRow]:
    """These studies as they stand now, in this order; one that was purged meanwhile is left out."""
    return [_row(dict(row)) for row in work.rows(_ROWS, {"ids": list(study_ids)})] if study_ids else []


def _row(row: dict[str, Any]) -> WorklistRow:
    # The one flag with a column of its own stands there alone, as it always did.
    row["flags"] = [flag for flag in dict.fromkeys(row["flags"]) if flag != Flag.SUPERSEDES_REVIEWED]
    if row["state"] not in TERMINAL_STUDY_STATES:
        row["reason_code"] = None
    lane = Lane.of_rank(row.pop("lane_rank"))
    return WorklistRow(**row, lane=lane)
