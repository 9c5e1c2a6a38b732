"""What the end of a job means for the image, study, turn or run it was for. Called inside the ending transaction."""

from uuid import UUID

from xraygpt_core.ledger.jobs.kinds import KINDS, Subject, statements, subjects_sql
from xraygpt_core.ledger.jobs.timeline import job_steps
from xraygpt_core.ledger.transaction import Work
from xraygpt_core.states import JobKind, ReasonCode, StudyState

_ERROR = "jsonb_build_object('error', c.last_error)"
_BURY = f"""
    WITH dead AS (
        UPDATE jobs SET state = 'dead', lease_until = NULL, finished_at = clock_timestamp(), last_error = :error
        WHERE id = :id RETURNING id, kind, subject, revision, attempts, lease_epoch, claimed_by, last_error
    ), story AS (
        {job_steps("dead", "dead", who="COALESCE(CAST(:who AS text), c.claimed_by)", detail=_ERROR)}
    )
    SELECT kind, subject, revision FROM dead
"""

_OPEN_IMAGES = """
    SELECT count(*) FILTER (WHERE state = 'received') AS received,
           count(*) FILTER (WHERE state = 'accepted') AS accepted,
           count(*) FILTER (WHERE state = 'dead') AS dead,
           count(*) FILTER (WHERE state = 'rejected') AS rejected,
           (array_agg(reason_code ORDER BY id) FILTER (WHERE state = 'rejected'))[1] AS reason
    FROM images WHERE study_id = :study
"""

# A study whose only object is gone or was replaced is over, until a new content comes. A study that a person cancelled
# stays cancelled.
_CLOSE = """
    UPDATE studies SET state = :state, reason_code = :reason, finished_at = clock_timestamp()
    WHERE id = :study AND (state <> 'cancelled' OR reason_code = 'replaced')
"""

# The subjects are worked out once, as an array: of "this id or one of those" the planner would make a walk through all
# jobs there are.
_CANCEL = f"""
    WITH cancelled AS (
        UPDATE jobs SET state = 'cancelled', lease_until = NULL, finished_at = clock_timestamp()
        WHERE state IN ('queued', 'running', 'dead') AND subject = ANY (ARRAY({subjects_sql(":id")}))
        RETURNING kind, subject, revision
    ){statements(lambda kind: kind.cancels)}
    SELECT count(*) FROM cancelled
"""

_LOCK = "SELECT s.id, s.alias_of FROM images i JOIN studies s ON s.id = i.study_id WHERE i.id = :id FOR UPDATE OF s"


def bury(work: Work, job_id: UUID, error: str, *, who: str | None = None) -> None:
    """End a job for good as dead, and with it what it was for.

    Args:
        who: ends it; None is the worker that had it.
    """
    row = work.row(_BURY, {"id": job_id, "error": printable(error), "who": who})
    if row is None:
        return
    kind = KINDS[JobKind(row["kind"])]
    study_id = lock_study_of(work, row["subject"]) if kind.subject is Subject.IMAGE else None
    work.run(kind.dies, {"subject": row["subject"], "revision": row["revision"]})
    if study_id is not None:
        close_if_nothing_is_left(work, study_id)


def cancel_jobs(work: Work, study_id: UUID) -> None:
    """Cancel what is open or dead of a study's jobs, the questions about it included. The caller ends the study."""
    work.run(_CANCEL, {"id": study_id})


def printable(error: str) -> str:
    """An error as PostgreSQL can keep it: no NUL, no half of a letter (a surrogate), at most 2000 characters."""
    return error.replace("\0", "")[:2000].encode(errors="replace").decode()


def lock_study_of(work: Work, image_id: UUID) -> UUID | None:
    """Lock the study that an image is in. None: the image was purged.

    While we wait for a provisional study, its images may move to the study they belong to: then we look again.
    """
    row = work.row(_LOCK, {"id": image_id})
    if row is not None and row["alias_of"] is not None:
        row = work.row(_LOCK, {"id": image_id})
    return row["id"] if row is not None else None


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
