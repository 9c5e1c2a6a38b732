"""What a clinician says about a summary: accepted, corrected, rejected, or a draft again."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from xraygpt_core.errors import Conflict, InvalidRequest
from xraygpt_core.ledger.core import Ledger
from xraygpt_core.ledger.read import Summary, summary
from xraygpt_core.ledger.timeline import note
from xraygpt_core.states import ReviewState


@dataclass(frozen=True)
class Seen:
    """How the summary stood when its reader looked at it."""

    review_state: ReviewState
    reviewed_at: datetime | None
    superseded_at: datetime | None


_REVIEW = """
    UPDATE summaries SET review_state = :state, reviewed_by = :who, reviewed_at = clock_timestamp(),
           edited_summary = CASE WHEN :state IN ('accepted', 'rejected') THEN edited_summary ELSE :text END
    WHERE id = :id AND (NOT :guarded OR review_state = :was AND reviewed_at IS NOT DISTINCT FROM :reviewed_at
                        AND superseded_at IS NOT DISTINCT FROM :superseded_at)
    RETURNING study_id
"""


def review_summary(
    ledger: Ledger, summary_id: UUID, state: ReviewState, reviewer: str, text: str | None, seen: Seen | None = None
) -> None:
    """Keep what a clinician said about a summary. The model's own text stays as it was.

    Who accepts or rejects a corrected summary speaks of the correction, so that stays too; ``draft`` takes it back.

    Args:
        text: the corrected text; given if and only if the state is ``edited``.
        seen: change it only if it still stands like this. None changes it however it stands.

    Raises:
        InvalidRequest: text and state do not fit.
        NotFound: no such summary.
        Conflict: somebody reviewed it meanwhile, or a newer summary took its place; nothing was written.
    """
    if (state is ReviewState.EDITED) != bool(text and text.strip()):
        raise InvalidRequest("give the corrected text with the state 'edited', and only then")
    if "\0" in (text or "") + reviewer:
        raise InvalidRequest("a text holds no NUL")
    values = {"id": summary_id, "state": state, "who": reviewer, "text": text} | _guard(seen)
    with ledger.work() as work:
        row = work.row(_REVIEW, values)
        if row is not None:
            note(work, row["study_id"], f"summary {state}", who="person")
    if row is None:
        raise Conflict(_otherwise(summary(ledger, summary_id)))


def _guard(seen: Seen | None) -> dict[str, Any]:
    return {
        "guarded": seen is not None,
        "was": seen.review_state if seen else None,
        "reviewed_at": seen.reviewed_at if seen else None,
        "superseded_at": seen.superseded_at if seen else None,
    }


def _otherwise(now: Summary) -> str:
    """What happened since it was looked at, without a name: this text may be logged by whoever asked."""
    if now.superseded_at is not None:
        return "a newer summary has taken the place of this one: read that before you sign"
    return f"somebody reviewed the summary meanwhile, it is {now.review_state!r} now: read it again before you sign"
