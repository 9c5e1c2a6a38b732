"""A new revision of a study: an image came, went or was replaced, so the study is to be settled again."""

from uuid import UUID

from sqlalchemy.engine import RowMapping

from xraygpt_core.ledger.jobs.claims import add_job
from xraygpt_core.ledger.studies.choose_image import SURELY_FRONTAL
from xraygpt_core.ledger.transaction import Ledger, Work
from xraygpt_core.states import JobKind, Lane

# What a person or a backlog stopped stays so; a study without an image, because its object was replaced, goes on.
_REVISE = f"""
    UPDATE studies SET revision = revision + 1, state = 'waiting', reason_code = NULL, finished_at = NULL
    WHERE id = :id AND (state <> 'cancelled' OR reason_code = 'replaced')
    RETURNING revision, lane_rank, place, expected_images, chosen_image IS NOT NULL AS chosen,
              EXISTS (SELECT FROM images i WHERE i.study_id = :id AND i.state = 'accepted'
                      AND {SURELY_FRONTAL.format(image="i")}) AS frontal,
              (SELECT count(*) FROM images WHERE study_id = :id AND state = 'accepted' AND duplicate_of IS NULL) AS read
"""


def revise(ledger: Ledger, work: Work, study_id: UUID, *, wait: bool) -> bool:
    """Give the study its next revision, and a job that settles it. The caller has locked the study's row.

    Args:
        wait: settle after a quiet time, so that the rest of the study can come, unless the count of images in the
            header says that it is complete. A bare picture has no rest.

    Returns:
        False if the study was cancelled: there is nothing to settle.
    """
    study = work.row(_REVISE, {"id": study_id})
    if study is None:
        return False
    add_job(
        work,
        JobKind.SETTLE,
        study_id,
        Lane.of_rank(study["lane_rank"]),
        revision=study["revision"],
        max_attempts=ledger.settings.max_attempts,
        place=study["place"],
        delay=_quiet_seconds(ledger, study) if wait else None,
    )
    return True


def _quiet_seconds(ledger: Ledger, study: RowMapping) -> float | None:
    """How long a study waits for its rest. In lane stat the first frontal film waits for nothing; what comes after it
    is looked at together, so that a study that arrives in one go makes no summary per image.
    """
    settings = ledger.settings
    if study["expected_images"] is not None and study["read"] >= study["expected_images"]:
        return None
    if Lane.of_rank(study["lane_rank"]) is not Lane.STAT or not study["frontal"]:
        return settings.settle_seconds
    return min(settings.stat_quiet_seconds, settings.settle_seconds) if study["chosen"] else None
