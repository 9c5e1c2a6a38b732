"""What a reader says of a summary, for tests."""

from uuid import UUID

from xraygpt_core.ledger.studies import read
from xraygpt_core.ledger.studies.review import Seen, Signer, Verdict, review_summary
from xraygpt_core.ledger.transaction import Ledger
from xraygpt_core.states import ReviewState

ACCEPTED, REJECTED = Verdict(ReviewState.ACCEPTED), Verdict(ReviewState.REJECTED)
TAKEN_BACK = Verdict(ReviewState.DRAFT)
UNDO = Verdict(ReviewState.DRAFT, undo=True)


def seen(ledger: Ledger, summary_id: UUID) -> Seen:
    now = read.summary(ledger, summary_id)
    return Seen(ReviewState(now.review_state), now.reviewed_at, now.superseded_at)


def say(ledger: Ledger, summary_id: UUID, who: Signer, said: Verdict) -> None:
    """Look and sign."""
    review_summary(ledger, summary_id, said, who, seen(ledger, summary_id))


def edited(text: str) -> Verdict:
    return Verdict(ReviewState.EDITED, text)


def acts(ledger: Ledger, summary_id: UUID) -> list[tuple[str, str | None, str]]:
    return [(one.action, one.text, one.reviewer) for one in read.reviews(ledger, summary_id)[1]]
