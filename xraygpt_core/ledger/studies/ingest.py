"""What an ingest worker asks and answers: which object to read, and what it turned out to be."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from uuid import UUID

from xraygpt_core.ledger.jobs.fence import Claim, fenced, fenced_many, lease_lost
from xraygpt_core.ledger.studies.accept import accept_image, close_image, replace_older
from xraygpt_core.ledger.studies.accept_plain import accept_plain
from xraygpt_core.ledger.studies.grouping import lock_group
from xraygpt_core.ledger.studies.register import ObjectRef, register_objects
from xraygpt_core.ledger.studies.rename_pseudonyms import Pair, rename
from xraygpt_core.ledger.studies.settle import reconsider
from xraygpt_core.ledger.transaction import Ledger, Work
from xraygpt_core.states import Flag, Origin, ReasonCode


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
    """What the pixels and the header said. Identifiers are pseudonyms (HMACs) already.

    Attributes:
        patient_id_pseudonym: PatientID without its issuer, where one is named.
        renamed: what its identifiers were called under the key before, while that is replaced.
    """

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
    preview_sha256: str
    expected_images: int | None
    flags: tuple[Flag, ...]
    patient_id_pseudonym: str | None = None
    origin: Origin = Origin.DETECTOR
    renamed: tuple[Pair, ...] = ()


_INPUTS = """
    SELECT image_id, bucket, key, etag, version_id FROM object_keys WHERE image_id = ANY(CAST(:ids AS uuid[]))
"""


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


def ingest_inputs(ledger: Ledger, claims: Sequence[Claim]) -> dict[UUID, IngestInput]:
    """The objects these claims are about, by image; a purged one is missing."""
    with ledger.work() as work:
        rows = work.rows(_INPUTS, {"ids": [claim.subject for claim in claims]})
    return {row["image_id"]: IngestInput(**row) for row in rows}


def complete_ingests(ledger: Ledger, read: Sequence[tuple[Claim, IngestedImage]]) -> set[UUID]:
    """Put read images into their studies and ask for those to be settled, all in one transaction.

    Returns:
        The ids of the jobs that were finished; nothing was written for the others, whose leases were lost.
    """

    def body(work: Work, held: Collection[UUID]) -> None:
        mine = [one for one in read if one[0].job_id in held]
        simple = [one for one in mine if not one[1].renamed]
        plain = accept_plain(ledger, work, simple) if simple else set()
        for claim, image in mine:
            if claim.job_id not in plain:
                rename(work, image.study_pseudonym, image.renamed, claim.subject)
                accept_image(ledger, work, claim, image)

    return fenced_many(ledger, [claim for claim, _ in read], body)


def complete_ingest(ledger: Ledger, claim: Claim, image: IngestedImage) -> None:
    """The same for one image.

    Raises:
        LeaseLost: the job is no longer ours; nothing was written.
    """
    if not complete_ingests(ledger, [(claim, image)]):
        raise lease_lost(claim)


def reject_image(ledger: Ledger, claim: Claim, reason: ReasonCode, detail: str) -> None:
    """End an image that will never be summarised, with the reason a person reads.

    Args:
        detail: our own words, for the timeline: no patient data.

    Raises:
        LeaseLost: the job is no longer ours; nothing was written.
    """

    def body(work: Work) -> None:
        study_id = lock_group(work, claim.subject, None)
        close_image(work, claim, study_id, "rejected", reason, detail)
        for other in replace_older(work, claim.subject):
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
        close_image(work, claim, study_id, "cancelled", ReasonCode.REPLACED)

    fenced(ledger, claim, body)
