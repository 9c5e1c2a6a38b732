"""What an ingest worker asks and answers: which object to read, and what it turned out to be."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from xraygpt_core.errors import LeaseLost
from xraygpt_core.ledger.core import Ledger, Work
from xraygpt_core.ledger.fallout import close_if_nothing_is_left
from xraygpt_core.ledger.fence import Claim, fenced
from xraygpt_core.ledger.grouping import attach, belongs_to, lock_group
from xraygpt_core.ledger.register import ObjectRef, register_objects
from xraygpt_core.ledger.settle import reconsider
from xraygpt_core.ledger.timeline import note
from xraygpt_core.states import Flag, ReasonCode


@dataclass(frozen=True)
class IngestInput:
    """The object to read, exactly as it was registered."""

    image_id: UUID
    bucket: str
    key: str
    etag: str
    version_id: str | None


@dataclass(frozen=True)
class IngestedImage:
    """What the pixels and the header said. Identifiers are pseudonyms (HMACs) already."""

    study_pseudonym: str | None
    patient_pseudonym: str | None
    accession_pseudonym: str | None
    sop_pseudonym: str | None
    view: str | None
    modality: str | None
    kind: str
    rows: int
    columns: int
    pixel_sha256: str
    normalised_key: str
    normalised_sha256: str
    preview_key: str
    expected_images: int | None
    flags: tuple[Flag, ...]


_ACCEPT = """
    UPDATE images SET state = 'accepted', study_id = :study_id, view = :view, modality = :modality, kind = :kind,
           rows = :rows, columns = :columns, sop_pseudonym = :sop_pseudonym, pixel_sha256 = :pixel_sha256,
           normalised_key = :normalised_key, normalised_sha256 = :normalised_sha256, preview_key = :preview_key,
           duplicate_of = NULL, flags = :flags, finished_at = clock_timestamp()
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


def ingest_input(ledger: Ledger, claim: Claim) -> IngestInput:
    """The object this claim is about.

    Raises:
        LeaseLost: the object was purged meanwhile.
    """
    with ledger.work() as work:
        row = work.row(
            "SELECT image_id, bucket, key, etag, version_id FROM object_keys WHERE image_id = :id",
            {"id": claim.subject},
        )
    if row is None:
        raise LeaseLost(f"image {claim.subject} was purged")
    return IngestInput(**row)


def left_behind(ledger: Ledger, claim: Claim, keys: Sequence[str]) -> list[str]:
    """Which of these derived keys nobody will ever look for: the image was purged while it was read.

    Derived objects are named by content, so what another study has too is not among them.
    """
    with ledger.work() as work:
        rows = work.rows(
            "SELECT key FROM unnest(CAST(:keys AS text[])) AS key "
            "WHERE NOT EXISTS (SELECT FROM object_keys WHERE image_id = :image_id) "
            "AND NOT EXISTS (SELECT FROM images WHERE normalised_key = key OR preview_key = key)",
            {"keys": list(keys), "image_id": claim.subject},
        )
    return [row["key"] for row in rows]


def complete_ingest(ledger: Ledger, claim: Claim, image: IngestedImage) -> None:
    """Put a read image into its study and ask for the study to be settled, in one transaction.

    Raises:
        LeaseLost: the job is no longer ours; nothing was written.
    """

    def body(work: Work) -> None:
        provisional = lock_group(work, claim.subject, image.study_pseudonym)
        newer = work.row(_NEWER, {"image_id": claim.subject})
        if newer is not None and newer["newer"]:
            _close(work, claim, provisional, "cancelled", ReasonCode.REPLACED)
            return
        study_id = belongs_to(work, provisional, image)
        values: dict[str, Any] = {**image.__dict__, "flags": [str(flag) for flag in image.flags]}
        work.run(_ACCEPT, values | {"image_id": claim.subject, "study_id": study_id})
        replaced = _replace_older(work, claim.subject)
        attach(work, study_id, claim.subject, image)
        note(work, study_id, "image accepted", who="ingest", image_id=claim.subject, claim=claim)
        reconsider(ledger, work, study_id, quiet=image.kind == "dicom")
        for other in replaced - {study_id}:
            reconsider(ledger, work, other, quiet=False)

    fenced(ledger, claim, body)


def reject_image(ledger: Ledger, claim: Claim, reason: ReasonCode, detail: str) -> None:
    """End an image that will never be summarised, with the reason a person reads.

    Args:
        detail: our own words, for the timeline: no patient data.

    Raises:
        LeaseLost: the job is no longer ours; nothing was written.
    """

    def body(work: Work) -> None:
        study_id = lock_group(work, claim.subject, None)
        _close(work, claim, study_id, "rejected", reason, detail)
        for other in _replace_older(work, claim.subject):
            reconsider(ledger, work, other, quiet=False)

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
        _close(work, claim, study_id, "cancelled", ReasonCode.REPLACED)

    fenced(ledger, claim, body)


def _replace_older(work: Work, image_id: UUID) -> set[UUID]:
    """Cancel what this key held before; the studies that lost an image."""
    replaced = work.rows(_REPLACE_OLDER, {"image_id": image_id})
    if replaced:
        work.run(_FORGET_DEAD, {"images": [row["id"] for row in replaced]})
    return {row["study_id"] for row in replaced}


def _close(work: Work, claim: Claim, study_id: UUID, state: str, reason: ReasonCode, detail: str | None = None) -> None:
    work.run(_CLOSE_IMAGE, {"image_id": claim.subject, "state": state, "reason": reason})
    said = {"reason_code": reason} | ({"detail": detail} if detail else {})
    note(work, study_id, f"image {state}", who="ingest", image_id=claim.subject, claim=claim, detail=said)
    close_if_nothing_is_left(work, study_id)
