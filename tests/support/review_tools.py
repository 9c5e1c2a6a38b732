"""What a reader says of a summary, for tests."""

from uuid import UUID

from xraygpt_core.ledger.studies import read
from xraygpt_core.ledger.studies.review import Said, Seen, Signer, review_summary
from xraygpt_core.ledger.transaction import Ledger
from xraygpt_core.states import ReviewState

ACCEPTED, REJECTED, TAKEN_BACK = Said(ReviewState.ACCEPTED), Said(ReviewState.REJECTED), Said(ReviewState.DRAFT)
UNDO = Said(ReviewState.DRAFT, undo=True)


def seen(ledger: Ledger, summary_id: UUID) -> Seen:
    now = read.summary(ledger, summary_id)
    return Seen(ReviewState(now.review_state), now.reviewed_at, now.superseded_at)


def say(ledger: Ledger, summary_id: UUID, who: Signer, said: Said) -> None:
    """Look and sign."""
    review_summary(ledger, summary_id, said, who, seen(ledger, summary_id))


def edited(text: str) -> Said:
    return Said(ReviewState.EDITED, text)


def acts(ledger: Ledger, summary_id: UUID) -> list[tuple[str, str | None, str]]:
    return [(one.action, one.text, one.reviewer) for one in read.reviews(ledger, summary_id)[1]]
