"""A study that was stopped with its backlog, and by no person: an image that others send opens it again."""

from collections.abc import Mapping
from uuid import UUID

from xraygpt_core.ledger.transaction import Work

# A step of a person names a key, whatever that is called; it was called 'person' before keys were kept.
BY_PERSON = "(t.who = 'person' OR COALESCE(t.detail, '{}') ? 'key')"

# Of what is cancelled without a reason: a person says so on the timeline, and a purge has a moment of its own.
STOPPED = f"""
    studies.state = 'cancelled' AND studies.reason_code IS NULL AND studies.purged_at IS NULL
    AND (SELECT 1 FROM timeline t
         WHERE t.study_id = studies.id AND t.what = 'cancelled' AND {BY_PERSON} LIMIT 1) IS NULL
"""

# A film of the backlog itself, that was being read when it was cancelled, is over with it. Not if it was asked for
# in a more urgent lane, announced it before the backlog did, or lists it in a backlog that goes on.
_ITS_OWN = """
    EXISTS (SELECT FROM backlogs b JOIN backlog_images n ON n.backlog_id = b.id
            WHERE n.image_id = film.image_id AND b.state = 'cancelled' AND b.lane_rank <= studies.lane_rank)
    AND NOT EXISTS (SELECT FROM backlogs b JOIN backlog_images n ON n.backlog_id = b.id
                    WHERE n.image_id = film.image_id AND b.state IN ('listing', 'listed', 'paused'))
    AND NOT EXISTS (SELECT FROM timeline t WHERE t.image_id = film.image_id AND t.what = 'registered'
                    AND t.who <> 'backlog'
                    AND t.study_id IN (SELECT a.id FROM studies a
                                       WHERE a.id = film.study_id OR a.alias_of = film.study_id))
"""

_REOPEN = """
    WITH film AS (
        SELECT * FROM unnest(CAST(:studies AS uuid[]), CAST(:images AS uuid[])) AS film (study_id, image_id)
    ), again AS (
        UPDATE studies SET state = 'received', finished_at = NULL FROM film
        WHERE studies.id = film.study_id AND {condition} RETURNING film.study_id, film.image_id
    )
    INSERT INTO timeline (study_id, image_id, what, who) SELECT study_id, image_id, 'reopened', 'ledger' FROM again
"""
_FOR_NEW = _REOPEN.format(condition=STOPPED)
_FOR_READ = _REOPEN.format(condition=f"{STOPPED} AND NOT ({_ITS_OWN})")


def reopen_for_new(work: Work, films: Mapping[UUID, UUID]) -> None:
    """Open studies that were stopped with their backlogs, for contents that are registered in them just now.

    Args:
        films: an image, by its study; all images are to be read.
    """
    work.run(_FOR_NEW, {"studies": list(films), "images": list(films.values())})


def reopen_for_read(work: Work, study_id: UUID, image_id: UUID) -> bool:
    """Open a study that was stopped with its backlog for an image that was read and joins it, unless that is a film of
    the backlog's own. The study's row must be locked by the caller.

    Returns:
        Is it open again?
    """
    return work.run(_FOR_READ, {"studies": [study_id], "images": [image_id]}) > 0
