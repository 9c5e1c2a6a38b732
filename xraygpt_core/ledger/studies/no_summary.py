"""A settled study none of whose images can be summarised."""

from typing import Any

from xraygpt_core.ledger.jobs.fence import Claim
from xraygpt_core.ledger.jobs.outcomes import close_if_nothing_is_left
from xraygpt_core.ledger.jobs.timeline import note
from xraygpt_core.ledger.transaction import Work
from xraygpt_core.states import ReasonCode, StudyState

_SUPERSEDE = """
    UPDATE summaries SET superseded_at = clock_timestamp() WHERE study_id = :id AND superseded_at IS NULL
"""

_CHOOSE_NONE = """
    UPDATE studies SET chosen_image = NULL, view = :view, flags = '{}', state = :state, reason_code = :reason,
           finished_at = CASE WHEN :ended THEN clock_timestamp() END
    WHERE id = :id
"""


def settle_without_summary(work: Work, claim: Claim, views: set[str]) -> None:
    """Reject a study that has lateral and oblique images only; one without any waits for those still to be read.

    A summary of an image that was replaced is no longer current.

    Args:
        views: of the images of the study.
    """
    study_id = claim.subject
    work.run(_SUPERSEDE, {"id": study_id})
    if views:
        reason = ReasonCode.NO_FRONTAL_VIEW
        rejected = {"view": min(views), "state": StudyState.REJECTED, "reason": reason, "ended": True}
        work.run(_CHOOSE_NONE, rejected | {"id": study_id})
        note(work, study_id, "study rejected", who="settle", claim=claim, detail={"reason_code": reason})
    else:
        received: dict[str, Any] = {"view": None, "state": StudyState.RECEIVED, "reason": None, "ended": False}
        work.run(_CHOOSE_NONE, received | {"id": study_id})
        close_if_nothing_is_left(work, study_id)
