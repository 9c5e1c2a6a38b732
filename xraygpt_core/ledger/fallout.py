"""What the end of a job means for the study, turn or run it was for. Called inside the ending transaction."""

from uuid import UUID

from xraygpt_core.ledger.core import Work
from xraygpt_core.states import JobKind, ReasonCode, StudyState

_OPEN_IMAGES = """
    SELECT count(*) FILTER (WHERE state = 'received') AS received,
           count(*) FILTER (WHERE state = 'accepted') AS accepted,
           count(*) FILTER (WHERE state = 'dead') AS dead,
           count(*) FILTER (WHERE state = 'rejected') AS rejected,
           (array_agg(reason_code ORDER BY id) FILTER (WHERE state = 'rejected'))[1] AS reason
    FROM images WHERE study_id = :study
"""

_CLOSE = """
    UPDATE studies SET state = :state, reason_code = :reason, finished_at = clock_timestamp()
    WHERE id = :study AND state <> 'cancelled'
"""


def bury(work: Work, job_id: UUID, error: str) -> None:
    """End a job for good as dead, and tell its subject."""
    row = work.row(
        "UPDATE jobs SET state = 'dead', lease_until = NULL, rung_at = NULL, finished_at = clock_timestamp(), "
        "last_error = :error WHERE id = :id RETURNING kind, subject, lease_epoch",
        {"id": job_id, "error": error[:2000]},
    )
    if row is None:
        return
    subject = row["subject"]
    match JobKind(row["kind"]):
        case JobKind.INGEST:
            image = work.row(
                "UPDATE images SET state = 'dead', finished_at = clock_timestamp() "
                "WHERE id = :id AND state = 'received' RETURNING study_id",
                {"id": subject},
            )
            if image is not None:
                close_if_nothing_is_left(work, image["study_id"])
        case JobKind.SETTLE | JobKind.SUMMARISE:
            work.run(_CLOSE, {"study": subject, "state": StudyState.DEAD, "reason": None})
        case JobKind.CHAT:
            work.run("UPDATE chat_turns SET state = 'dead' WHERE id = :id", {"id": subject})
        case JobKind.TRAIN:
            work.run(
                "UPDATE training_runs SET state = 'dead', finished_at = clock_timestamp() WHERE id = :id",
                {"id": subject},
            )


def close_if_nothing_is_left(work: Work, study_id: UUID) -> None:
    """A study none of whose images can be summarised any more is over: rejected, dead or cancelled.

    The study's row must be locked by the caller.
    """
    count = work.row(_OPEN_IMAGES, {"study": study_id})
    if count is None or count["received"] or count["accepted"]:
        return
    reason: str | None = None
    if count["dead"]:
        state = StudyState.DEAD
    elif count["rejected"]:
        state, reason = StudyState.REJECTED, count["reason"]
    else:
        state, reason = StudyState.CANCELLED, ReasonCode.REPLACED
    work.run(_CLOSE, {"study": study_id, "state": state, "reason": reason})
