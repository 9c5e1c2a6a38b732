"""The findings that texts name are kept as rows, written in the transaction that keeps the text.

A text is labelled once: a summary, a correction and an answer never change. What a summary asserts *now* follows from
the text that stands, the model's or the last signed correction, and is repeated in ``summaries`` for the lists. A text
that a person rejected asserts nothing until the rejection is taken back.
"""

import json
from collections.abc import Mapping, Sequence
from enum import StrEnum
from uuid import UUID

from xraygpt_core.ledger.transaction import Work
from xraygpt_core.report.text_labels import LABELLER, TextLabel

Labels = Sequence[TextLabel]


class Source(StrEnum):
    """Whose words a label is about; the id beside it is that of the row which holds the text."""

    DRAFT = "draft"  # a summary, as the model wrote it
    REVIEW = "review"  # a review's correction
    ANSWER = "answer"  # an answer of the chat


_STORE = """
    WITH texts AS (
        INSERT INTO labelled_texts (source, source_id, labeller)
        SELECT :source, id, :labeller FROM unnest(CAST(:ids AS uuid[])) AS id
    )
    INSERT INTO finding_labels (source, source_id, position, finding, side, zone, status, words_from, words_to)
    SELECT :source, source_id, position, finding, side, zone, status, words_from, words_to
    FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS n (
        source_id uuid, position smallint, finding text, side text, zone text, status text, words_from int,
        words_to int)
"""

_FORGET = "DELETE FROM labelled_texts WHERE source = :source AND source_id = ANY(CAST(:ids AS uuid[]))"

# The correction that stands is the text of its newest review; equal texts have equal labels. A rejected text keeps its
# labels, for what the reader looks at, and none of them counts.
_FOLLOW = """
    WITH standing AS (
        SELECT m.id, CASE WHEN m.edited_summary IS NULL THEN 'draft' ELSE 'review' END AS source,
               CASE WHEN m.edited_summary IS NULL THEN m.id ELSE (
                   SELECT r.id FROM reviews r WHERE r.summary_id = m.id AND r.text = m.edited_summary
                   ORDER BY r.position DESC LIMIT 1) END AS source_id, m.review_state <> 'rejected' AS counts
        FROM summaries m WHERE m.id = ANY(CAST(:ids AS uuid[]))
    ), named AS (
        SELECT s.id, count(t.source_id) > 0 AS labelled,
               array_agg(DISTINCT l.finding ORDER BY l.finding) FILTER (
                   WHERE s.counts AND l.status = 'present') AS present,
               array_agg(DISTINCT l.finding ORDER BY l.finding) FILTER (
                   WHERE s.counts AND l.status = 'uncertain') AS perhaps
        FROM standing s LEFT JOIN labelled_texts t USING (source, source_id)
        LEFT JOIN finding_labels l USING (source, source_id) GROUP BY s.id
    )
    UPDATE summaries SET asserted = CASE WHEN labelled THEN COALESCE(present, '{}') END,
           uncertain = CASE WHEN labelled THEN ARRAY(
               SELECT one FROM unnest(perhaps) AS one WHERE one <> ALL (COALESCE(present, '{}')) ORDER BY one) END
    FROM named WHERE summaries.id = named.id
"""

# A turn that is labelled at this moment is waited for; afterwards none is found to be labelled.
_LOCK_TURNS = "SELECT id FROM chat_turns WHERE study_id = :id ORDER BY id FOR UPDATE"
_FORGET_ANSWERS = """
    DELETE FROM labelled_texts
    WHERE source = 'answer' AND source_id IN (SELECT id FROM chat_turns WHERE study_id = :id)
"""
_FORGET_DRAFTS = """
    DELETE FROM labelled_texts WHERE source = 'draft' AND source_id IN (SELECT id FROM summaries WHERE study_id = :id)
"""
_FORGET_REVIEWS = """
    DELETE FROM labelled_texts
    WHERE source = 'review' AND source_id IN (
        SELECT r.id FROM summaries m JOIN reviews r ON r.summary_id = m.id WHERE m.study_id = :id)
"""
# For a purge, in this order: it deletes the turns after the first two, and reviews and summaries, which it has locked,
# after the others.
FORGET_LABELS_OF_TURNS = (_LOCK_TURNS, _FORGET_ANSWERS)
FORGET_LABELS_OF_SUMMARIES = (_FORGET_DRAFTS, _FORGET_REVIEWS)


def store_labels(work: Work, source: Source, texts: Mapping[UUID, Labels]) -> None:
    """Keep the labels of new texts, by the ids of the rows that hold them."""
    if not texts:
        return
    rows = [_row(text_id, position, one) for text_id, labels in texts.items() for position, one in enumerate(labels)]
    values = {"source": source, "labeller": LABELLER, "ids": list(texts), "rows": json.dumps(rows)}
    work.run(_STORE, values)


def replace_labels(work: Work, source: Source, texts: Mapping[UUID, Labels]) -> None:
    """The same for texts that may have labels of another version. The caller has locked what holds the texts."""
    if texts:
        work.run(_FORGET, {"source": source, "ids": list(texts)})
        store_labels(work, source, texts)


def follow_standing_text(work: Work, summary_ids: Sequence[UUID]) -> None:
    """Write into these summaries what the text asserts that stands now: nothing if it was rejected, null if it has no
    labels yet.

    The caller has locked them, or made them.
    """
    if summary_ids:
        work.run(_FOLLOW, {"ids": list(summary_ids)})


def _row(text_id: UUID, position: int, label: TextLabel) -> dict[str, object]:
    return {
        "source_id": str(text_id),
        "position": position,
        "finding": label.finding,
        "side": label.side,
        "zone": label.zone,
        "status": label.status,
        "words_from": label.start,
        "words_to": label.end,
    }
