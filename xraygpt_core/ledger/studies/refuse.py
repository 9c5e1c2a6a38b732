"""The GPU worker looked at an image and refuses it: it is no chest. The study goes on without it."""

from collections.abc import Sequence
from uuid import UUID

from xraygpt_core.ledger.jobs.fence import Claim, fenced
from xraygpt_core.ledger.jobs.outcomes import lock_study_of
from xraygpt_core.ledger.jobs.timeline import by_person, note, person
from xraygpt_core.ledger.studies.revise import revise
from xraygpt_core.ledger.studies.summarise import SummariseInput
from xraygpt_core.ledger.transaction import Ledger, Work
from xraygpt_core.states import ReasonCode

# A text of this image that a person has signed proves that it is a chest, whatever a newer bundle finds.
_SIGNED = """
    SELECT id FROM summaries
    WHERE image_id = :image AND superseded_at IS NULL AND review_state IN ('accepted', 'edited') FOR UPDATE
"""

_KEEP = """
    UPDATE studies SET state = 'summarised', finished_at = clock_timestamp()
    WHERE id = :study AND revision = :revision AND state = 'queued'
"""

_REJECT = """
    UPDATE images SET state = 'rejected', reason_code = :reason, finished_at = clock_timestamp()
    WHERE id = :image AND state = 'accepted'
"""

_LOCK = "SELECT id FROM studies WHERE id = ANY(CAST(:ids AS uuid[])) AND state <> 'cancelled' ORDER BY id FOR UPDATE"

_ACCEPT_AGAIN = """
    UPDATE images SET state = 'accepted', reason_code = NULL
    WHERE study_id = ANY(CAST(:ids AS uuid[])) AND state = 'rejected' AND reason_code = 'not_a_chest'
    RETURNING id, study_id
"""


def refuse_image(ledger: Ledger, claim: Claim, given: SummariseInput, reason: ReasonCode, detail: str) -> None:
    """End the summarise job without a text: reject its image, and have the study settled again without it.

    A study that has another frontal film gets a summary of that; one that has none ends. An image whose current text
    a person has signed stays as it is, and so does that text.

    Args:
        detail: our own words, for the timeline: no patient data.

    Raises:
        LeaseLost: the job is no longer ours; nothing was written.
    """

    def body(work: Work) -> None:
        study_id = lock_study_of(work, given.image_id)  # it may have moved since it was chosen
        if study_id is None:
            return
        why = {"reason_code": reason, "detail": detail}
        if work.row(_SIGNED, {"image": given.image_id}) is not None:
            work.run(_KEEP, {"study": study_id, "revision": given.revision})
            note(work, study_id, "signed text kept", who="gpu", image_id=given.image_id, claim=claim, detail=why)
        elif work.run(_REJECT, {"image": given.image_id, "reason": reason}):
            note(work, study_id, "image rejected", who="gpu", image_id=given.image_id, claim=claim, detail=why)
            revise(ledger, work, study_id, wait=False)

    fenced(ledger, claim, body)


def restore_refused(ledger: Ledger, work: Work, study_ids: Sequence[UUID]) -> set[UUID]:
    """A person asks for these studies once more: the served bundle may look at the images that were refused in them.

    Returns:
        The studies that are settled anew for it.
    """
    ids = [row["id"] for row in work.rows(_LOCK, {"ids": list(study_ids)})]
    images = work.rows(_ACCEPT_AGAIN, {"ids": ids})
    for image in images:
        by, key = person(work), by_person(work)
        note(work, image["study_id"], "image looked at again", who=by, image_id=image["id"], detail=key)
    studies: set[UUID] = {image["study_id"] for image in images}
    for study_id in sorted(studies):
        revise(ledger, work, study_id, wait=False)
    return studies
