"""One read image finds its place: in its study, or nowhere, because a newer content of its key was read before."""

from typing import TYPE_CHECKING, Any
from uuid import UUID

from xraygpt_core.ledger.jobs.fence import Claim
from xraygpt_core.ledger.jobs.outcomes import close_if_nothing_is_left
from xraygpt_core.ledger.jobs.timeline import note
from xraygpt_core.ledger.studies.grouping import attach, belongs_to, lock_group, tell_shared
from xraygpt_core.ledger.studies.reopen import reopen_for_read
from xraygpt_core.ledger.studies.settle import reconsider
from xraygpt_core.ledger.transaction import Ledger, Work
from xraygpt_core.states import ReasonCode

if TYPE_CHECKING:
    from xraygpt_core.ledger.studies.ingest import IngestedImage

_ACCEPT = """
    UPDATE images SET state = 'accepted', study_id = :study_id, view = :view, modality = :modality, kind = :kind,
           rows = :rows, columns = :columns, sop_pseudonym = :sop_pseudonym, pixel_sha256 = :pixel_sha256,
           patient_pseudonym = :patient_pseudonym, patient_id_pseudonym = :patient_id_pseudonym,
           accession_pseudonym = :accession_pseudonym, names_read = true,
           normalised_key = :normalised_key, normalised_sha256 = :normalised_sha256, preview_key = :preview_key,
           preview_sha256 = :preview_sha256, duplicate_of = NULL, flags = :flags, origin = :origin,
           finished_at = clock_timestamp()
    WHERE id = :image_id
"""

_CLOSE_IMAGE = """
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
    SELECT EXISTS (
        SELECT FROM object_keys mine JOIN object_keys other USING (bucket, key) JOIN images i ON i.id = other.image_id
        WHERE mine.image_id = :image_id AND other.seen_at > mine.seen_at AND i.state IN ('accepted', 'rejected')
    ) AS newer
"""


def accept_image(ledger: Ledger, work: Work, claim: Claim, image: "IngestedImage") -> None:
    """Put a read image into its study and ask for that to be settled, inside the transaction that finishes the job."""
    provisional = lock_group(work, claim.subject, image.study_pseudonym)
    newer = work.row(_NEWER, {"image_id": claim.subject})
    if newer is not None and newer["newer"]:
        close_image(work, claim, provisional, "cancelled", ReasonCode.REPLACED)
        return
    home = belongs_to(work, provisional, image)
    study_id = home.study_id
    values: dict[str, Any] = {**image.__dict__, "flags": [str(flag) for flag in image.flags]}
    work.run(_ACCEPT, values | {"image_id": claim.subject, "study_id": study_id})
    replaced = replace_older(work, claim.subject)
    attach(work, study_id, claim.subject, image)
    tell_shared(work, home, claim)
    note(work, study_id, "image accepted", who="ingest", image_id=claim.subject, claim=claim)
    quiet = image.kind == "dicom"
    if not reconsider(ledger, work, study_id, quiet=quiet) and reopen_for_read(work, study_id, claim.subject):
        reconsider(ledger, work, study_id, quiet=quiet)
    for other in replaced - {study_id}:
        reconsider(ledger, work, other, quiet=False)


def replace_older(work: Work, image_id: UUID) -> set[UUID]:
    """Cancel what this key held before; the studies that lost an image."""
    replaced = work.rows(_REPLACE_OLDER, {"image_id": image_id})
    if replaced:
        work.run(_FORGET_DEAD, {"images": [row["id"] for row in replaced]})
    return {row["study_id"] for row in replaced}


def close_image(
    work: Work, claim: Claim, study_id: UUID, state: str, reason: ReasonCode, detail: str | None = None
) -> None:
    """End an image that will not be summarised, and its study with it if nothing else is in it."""
    work.run(_CLOSE_IMAGE, {"image_id": claim.subject, "state": state, "reason": reason})
    said = {"reason_code": reason} | ({"detail": detail} if detail else {})
    note(work, study_id, f"image {state}", who="ingest", image_id=claim.subject, claim=claim, detail=said)
    close_if_nothing_is_left(work, study_id)
