"""The GPU worker looked at an image and refuses it: it is no chest. The study goes on without it."""

from xraygpt_core.ledger.core import Ledger, Work
from xraygpt_core.ledger.fallout import lock_study_of
from xraygpt_core.ledger.fence import Claim, fenced
from xraygpt_core.ledger.settle import reconsider
from xraygpt_core.ledger.summarise import SummariseInput
from xraygpt_core.ledger.timeline import note
from xraygpt_core.states import ReasonCode

# A text of this image that a person has signed or judged says what it is: no head of a newer bundle takes that away.
_VOUCHED = """
    SELECT id FROM summaries
    WHERE image_id = :image AND superseded_at IS NULL AND review_state IN ('accepted', 'edited')
"""

_KEEP = """
    UPDATE studies SET state = 'summarised', finished_at = clock_timestamp()
    WHERE id = :study AND revision = :revision AND state = 'queued'
"""

_REJECT = """
    UPDATE images SET state = 'rejected', reason_code = :reason, finished_at = clock_timestamp()
    WHERE id = :image AND state = 'accepted'
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
        said = {"reason_code": reason, "detail": detail}
        if work.row(_VOUCHED, {"image": given.image_id}) is not None:
            work.run(_KEEP, {"study": study_id, "revision": given.revision})
            note(work, study_id, "signed text kept", who="gpu", image_id=given.image_id, claim=claim, detail=said)
        elif work.run(_REJECT, {"image": given.image_id, "reason": reason}):
            note(work, study_id, "image rejected", who="gpu", image_id=given.image_id, claim=claim, detail=said)
            reconsider(ledger, work, study_id, quiet=False)

    fenced(ledger, claim, body)
