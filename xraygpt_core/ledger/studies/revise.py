"""A new revision of a study: an image came, went or was replaced, so the study is to be settled again."""

from uuid import UUID

from xraygpt_core.ledger.jobs.claims import add_job
from xraygpt_core.ledger.transaction import Ledger, Work
from xraygpt_core.states import JobKind, Lane

# What a person or a backlog stopped stays so; a study without an image, because its object was replaced, goes on.
_REVISE = """
    UPDATE studies SET revision = revision + 1, state = 'waiting', reason_code = NULL, finished_at = NULL
    WHERE id = :id AND (state <> 'cancelled' OR reason_code = 'replaced')
    RETURNING revision, lane_rank, place, expected_images,
              (SELECT count(*) FROM images WHERE study_id = :id AND state = 'accepted' AND duplicate_of IS NULL) AS read
"""


def revise(ledger: Ledger, work: Work, study_id: UUID, *, wait: bool) -> bool:
    """Give the study its next revision, and a job that settles it. The caller has locked the study's row.

    Args:
        wait: settle after ``settle_seconds``, so that the rest of the study can come, unless the count of images in
            the header says that it is complete. A bare picture has no rest.

    Returns:
        False if the study was cancelled: there is nothing to settle.
    """
    study = work.row(_REVISE, {"id": study_id})
    if study is None:
        return False
    complete = study["expected_images"] is not None and study["read"] >= study["expected_images"]
    add_job(
        work,
        JobKind.SETTLE,
        study_id,
        Lane.of_rank(study["lane_rank"]),
        revision=study["revision"],
        max_attempts=ledger.settings.max_attempts,
        place=study["place"],
        delay=ledger.settings.settle_seconds if wait and not complete else None,
    )
    return True
