"""Studies whose model was shown a film of another study as their patient's prior, when that film changes.

A worker that writes a draft locks the study of its prior film, and then looks whether that still stands
(:mod:`.current_draft`). Here the film's study is locked, too, before a change of it is followed up. So of a draft and a
change at the same moment one sees the other.
"""

from collections.abc import Collection, Sequence
from uuid import UUID

from xraygpt_core.ledger.studies.revise import revise
from xraygpt_core.ledger.transaction import Ledger, Work

# SQL, of a study and an image: the study that the image is in, if it may stand beside the first one as its patient's
# prior; else NULL. The films that settle chooses do (:mod:`.companions`).
STANDING_PRIOR = "standing_prior({study}, {film})"

_LOCK_HOMES = """
    SELECT id FROM studies WHERE id = ANY (ARRAY(SELECT study_id FROM images WHERE id = ANY(CAST(:images AS uuid[]))))
    ORDER BY id FOR UPDATE
"""

_COMPARED = """
    SELECT id FROM studies
    WHERE id = ANY (ARRAY(
        SELECT id FROM studies WHERE chosen_prior = ANY(CAST(:images AS uuid[]))
        UNION SELECT study_id FROM summaries WHERE prior_image = ANY(CAST(:images AS uuid[]))))
      AND alias_of IS NULL AND purged_at IS NULL
    ORDER BY id FOR UPDATE
"""

# A text that was made with another patient's film beside it counts no more, and leads to that film no more.
_PART = (
    """
    UPDATE studies SET chosen_prior = NULL
    WHERE id = ANY(CAST(:ids AS uuid[])) AND chosen_prior = ANY(CAST(:images AS uuid[]))
    """,
    """
    UPDATE summaries SET superseded_at = COALESCE(superseded_at, clock_timestamp()),
           lateral_image = CASE WHEN lateral_image <> ALL(CAST(:images AS uuid[])) THEN lateral_image END,
           prior_image = CASE WHEN prior_image <> ALL(CAST(:images AS uuid[])) THEN prior_image END
    WHERE study_id = ANY(CAST(:ids AS uuid[])) AND image_id <> ALL(CAST(:images AS uuid[]))
      AND (lateral_image = ANY(CAST(:images AS uuid[])) OR prior_image = ANY(CAST(:images AS uuid[])))
    """,
)

_FILMS = "SELECT id FROM images WHERE study_id = :id ORDER BY id"


def part(work: Work, image_ids: Collection[UUID], study_id: UUID | None = None) -> set[UUID]:
    """These films are another patient's: the texts of other studies that were made with them are not current any more,
    nor are those of ``study_id``, which they leave. Signed ones stay visible. Every study is locked.

    Returns:
        The other studies, which are to be settled anew.
    """
    images = list(image_ids)
    compared = _compared(work, images) - {study_id}
    ids = [*compared, *([study_id] if study_id else [])]
    for sql in _PART if ids else ():
        work.run(sql, {"ids": ids, "images": images})
    return compared


def part_and_revise(ledger: Ledger, work: Work, image_ids: Collection[UUID]) -> None:
    """The same of films whose objects hold something else now."""
    for study_id in sorted(part(work, image_ids)) if image_ids else ():
        revise(ledger, work, study_id, wait=False)


def reconsider(ledger: Ledger, work: Work, image_ids: Collection[UUID]) -> None:
    """These films may stand beside other studies no more: those are settled anew, and keep their drafts until then."""
    for study_id in sorted(_compared(work, list(image_ids))) if image_ids else ():
        revise(ledger, work, study_id, wait=False)


def reconsider_all_of(ledger: Ledger, work: Work, study_id: UUID) -> None:
    """The same of every film of a study, whose patient is called something else from now on."""
    reconsider(ledger, work, [row["id"] for row in work.rows(_FILMS, {"id": study_id})])


def _compared(work: Work, images: Sequence[UUID]) -> set[UUID]:
    work.rows(_LOCK_HOMES, {"images": images})
    return {row["id"] for row in work.rows(_COMPARED, {"images": images})}
