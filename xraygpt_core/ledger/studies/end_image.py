"""Images that end without being accepted: rejected, or replaced by another content of their object."""

from uuid import UUID

from xraygpt_core.ledger.jobs.fence import Claim, fenced
from xraygpt_core.ledger.jobs.outcomes import close_if_nothing_is_left
from xraygpt_core.ledger.jobs.timeline import note
from xraygpt_core.ledger.studies.grouping import lock_group
from xraygpt_core.ledger.studies.header_names import RejectedHeader, keep_rejected
from xraygpt_core.ledger.studies.objects import ObjectRef
from xraygpt_core.ledger.studies.register import register_objects
from xraygpt_core.ledger.studies.revise import revise
from xraygpt_core.ledger.transaction import Ledger, Work
from xraygpt_core.states import ReasonCode

_END_IMAGE = """
    UPDATE images SET state = :state, reason_code = :reason, finished_at = clock_timestamp()
    WHERE id = :image_id AND state = 'received'
"""

_REPLACE_OLDER = """
    UPDATE images SET state = 'cancelled', reason_code = 'replaced', finished_at = clock_timestamp()
    FROM object_keys mine, object_keys other
    WHERE mine.image_id = :image_id AND other.bucket = mine.bucket AND other.key = mine.key
      AND other.seen_at < mine.seen_at AND images.id = other.image_id
      AND images.state IN ('accepted', 'rejected', 'dead')
    RETURNING images.id, images.study_id
"""

# Replaying the ingest of a content that was replaced would bring it back.
_FORGET_DEAD = """
    UPDATE jobs SET state = 'cancelled', finished_at = clock_timestamp()
    WHERE kind = 'ingest' AND subject = ANY(CAST(:images AS uuid[])) AND state = 'dead'
"""

_NEWER = """
    SELECT FROM object_keys mine JOIN object_keys other USING (bucket, key) JOIN images i ON i.id = other.image_id
    WHERE mine.image_id = :image_id AND other.seen_at > mine.seen_at AND i.state IN ('accepted', 'rejected') LIMIT 1
"""


def reject_image(
    ledger: Ledger, claim: Claim, reason: ReasonCode, detail: str, header: RejectedHeader | None = None
) -> None:
    """End an image that will never be summarised, with the reason a person reads.

    Args:
        detail: our own words, for the timeline: no patient data.
        header: what is kept of its header, where that could be read: the film is found by its numbers.

    Raises:
        LeaseLost: the job is no longer ours; nothing was written.
    """

    def body(work: Work) -> None:
        study_id = lock_group(work, claim.subject, None)
        end_image(work, claim, study_id, "rejected", reason, detail)
        if header is not None:
            keep_rejected(work, claim.subject, header)
        for other in sorted({*replace_older(work, claim.subject).values()}):
            revise(ledger, work, other, wait=False)

    fenced(ledger, claim, body)


def replace_image(ledger: Ledger, claim: Claim, now: ObjectRef | None) -> None:
    """The object is no longer what was registered: cancel this image, and register what is there now.

    Args:
        now: the object as it is, or None if it is gone from the bucket.

    Raises:
        LeaseLost: the job is no longer ours; nothing was written.
    """
    if now is not None:
        # Registered first: if the process dies in between, both are known and this job is simply run again.
        register_objects(ledger, [now], claim.lane, actor="ingest")

    def body(work: Work) -> None:
        study_id = lock_group(work, claim.subject, None)
        end_image(work, claim, study_id, "cancelled", ReasonCode.REPLACED)

    fenced(ledger, claim, body)


def end_image(
    work: Work, claim: Claim, study_id: UUID, state: str, reason: ReasonCode, detail: str | None = None
) -> None:
    """End an image that is still to be read, and its study with it if no other image keeps that open."""
    work.run(_END_IMAGE, {"image_id": claim.subject, "state": state, "reason": reason})
    why = {"reason_code": reason} | ({"detail": detail} if detail else {})
    note(work, study_id, f"image {state}", who="ingest", image_id=claim.subject, claim=claim, detail=why)
    close_if_nothing_is_left(work, study_id)


def newer_was_read(work: Work, image_id: UUID) -> bool:
    """Was a content of the same object read that was announced after this one?"""
    return work.row(_NEWER, {"image_id": image_id}) is not None


def replace_older(work: Work, image_id: UUID) -> dict[UUID, UUID]:
    """Cancel what this object held before; the images that were replaced, and their studies."""
    replaced = {row["id"]: row["study_id"] for row in work.rows(_REPLACE_OLDER, {"image_id": image_id})}
    if replaced:
        work.run(_FORGET_DEAD, {"images": list(replaced)})
    return replaced
