"""Texts without labels, or with those of another version of the labeller, are labelled anew: in pages, beside all work.

A text says itself which version read it (``labelled_texts.labeller``), so a run that was stopped goes on where it was,
and two at once write the same.
"""

from collections.abc import Mapping
from uuid import UUID

from xraygpt_core.ledger.card.labels import Labels, Source, follow_standing_text, replace_labels
from xraygpt_core.ledger.jobs.fence import repeating
from xraygpt_core.ledger.transaction import Ledger, Work
from xraygpt_core.report.text_labels import LABELLER

PAGE = 200

_PAGES = {
    Source.DRAFT: """
        SELECT t.id, t.summary AS text FROM summaries t
        LEFT JOIN labelled_texts l ON l.source = 'draft' AND l.source_id = t.id
        WHERE t.id > :after AND l.labeller IS DISTINCT FROM :labeller ORDER BY t.id LIMIT :limit
    """,
    Source.REVIEW: """
        SELECT t.id, t.text FROM reviews t
        LEFT JOIN labelled_texts l ON l.source = 'review' AND l.source_id = t.id
        WHERE t.id > :after AND t.text IS NOT NULL AND l.labeller IS DISTINCT FROM :labeller ORDER BY t.id LIMIT :limit
    """,
    Source.ANSWER: """
        SELECT t.id, t.answer AS text FROM chat_turns t
        LEFT JOIN labelled_texts l ON l.source = 'answer' AND l.source_id = t.id
        WHERE t.id > :after AND t.state = 'done' AND t.answered_by = 'model' AND l.labeller IS DISTINCT FROM :labeller
        ORDER BY t.id LIMIT :limit
    """,
}

# What holds the texts, and which summaries stand otherwise afterwards. A purge locks the same rows in the same order.
_LOCK = {
    Source.DRAFT: """
        SELECT id, id AS summary_id FROM summaries WHERE id = ANY(CAST(:ids AS uuid[])) ORDER BY id FOR UPDATE
    """,
    Source.REVIEW: """
        SELECT r.id, m.id AS summary_id FROM reviews r JOIN summaries m ON m.id = r.summary_id
        WHERE r.id = ANY(CAST(:ids AS uuid[])) ORDER BY m.id FOR UPDATE OF m
    """,
    Source.ANSWER: """
        SELECT id, NULL AS summary_id FROM chat_turns WHERE id = ANY(CAST(:ids AS uuid[])) ORDER BY id FOR UPDATE
    """,
}


def texts_to_label(ledger: Ledger, source: Source, after: UUID) -> dict[UUID, str]:
    """The next texts of this kind behind this id that this version of the labeller has not read, in order."""
    values = {"after": after, "labeller": LABELLER, "limit": PAGE}
    with ledger.work() as work:
        work.by_index()
        return {row["id"]: row["text"] for row in work.rows(_PAGES[source], values)}


def store_anew(ledger: Ledger, source: Source, texts: Mapping[UUID, Labels]) -> int:
    """Keep these labels in place of any others, in one transaction.

    Returns:
        Of how many texts; those that were purged meanwhile are left out.
    """

    def body(work: Work) -> int:
        there = work.rows(_LOCK[source], {"ids": list(texts)})
        replace_labels(work, source, {row["id"]: texts[row["id"]] for row in there})
        follow_standing_text(work, sorted({row["summary_id"] for row in there if row["summary_id"] is not None}))
        return len(there)

    return repeating(ledger, body)
