"""Are the stored labels those of the texts as they stand?"""

from uuid import UUID

from tests.support.ledger_tools import rows
from xraygpt_core.ledger.transaction import Ledger
from xraygpt_core.report.text_labels import LABELLER, TextLabel, labels_of, named_by
from xraygpt_core.states import ReviewState

TEXTS = """
    SELECT 'draft' AS source, id, summary AS text FROM summaries
    UNION ALL SELECT 'review', id, text FROM reviews WHERE text IS NOT NULL
    UNION ALL SELECT 'answer', id, answer FROM chat_turns WHERE state = 'done'
"""
STANDING = "SELECT id, COALESCE(edited_summary, summary) AS text, asserted, uncertain, review_state FROM summaries"
LABELS = """
    SELECT finding, side, zone, status, words_from AS start, words_to AS end FROM finding_labels
    WHERE source = :source AND source_id = :id ORDER BY position
"""


def stored_labels(ledger: Ledger, source: str, text_id: UUID) -> tuple[TextLabel, ...]:
    return tuple(TextLabel(**row) for row in rows(ledger, LABELS, source=source, id=text_id))


def check_labels(ledger: Ledger) -> None:
    """Assert that each text there is has its labels, no other text has any, and each summary asserts what it says, or
    nothing where it is rejected.
    """
    texts = {(row["source"], row["id"]): row["text"] for row in rows(ledger, TEXTS)}
    read = rows(ledger, "SELECT source, source_id, labeller FROM labelled_texts")
    assert {(row["source"], row["source_id"]) for row in read} == set(texts)
    assert {row["labeller"] for row in read} <= {LABELLER}
    for (source, text_id), text in texts.items():
        assert stored_labels(ledger, source, text_id) == labels_of(text), text
    for row in rows(ledger, STANDING):
        named = named_by(() if row["review_state"] == ReviewState.REJECTED else labels_of(row["text"]))
        assert (tuple(row["asserted"]), tuple(row["uncertain"])) == (named.asserted, named.uncertain), row["text"]
