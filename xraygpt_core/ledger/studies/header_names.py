"""What a film's header leaves beside its study: the names of one that was rejected, and numbers under seal.

Both hang on the image and follow it wherever it goes; a purge removes them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from xraygpt_core.ledger.audit.record import record
from xraygpt_core.ledger.studies.read import resolve
from xraygpt_core.ledger.transaction import Ledger, Work
from xraygpt_core.sealing import SealedNumbers

_NAME = """
    INSERT INTO rejected_names (pseudonym, image_id)
    SELECT name, :image FROM unnest(CAST(:names AS text[])) AS name ON CONFLICT DO NOTHING
"""

# Not by ON CONFLICT DO UPDATE: that needs the right to read what was sealed, which ingest does not have.
_SEAL = """
    WITH n AS (
        SELECT * FROM unnest(CAST(:images AS uuid[]), CAST(:boxes AS text[]), CAST(:keys AS text[]))
            AS n (image_id, sealed, key_fingerprint)
    ), again AS (
        UPDATE sealed_numbers SET sealed = n.sealed, key_fingerprint = n.key_fingerprint FROM n
        WHERE sealed_numbers.image_id = n.image_id RETURNING sealed_numbers.image_id
    )
    INSERT INTO sealed_numbers (image_id, sealed, key_fingerprint)
    SELECT image_id, sealed, key_fingerprint FROM n WHERE image_id NOT IN (SELECT image_id FROM again)
"""

_OF_STUDY = """
    SELECT i.id, n.sealed, n.key_fingerprint FROM images i LEFT JOIN sealed_numbers n ON n.image_id = i.id
    WHERE i.study_id = :id ORDER BY i.id
"""

_FORGET = (
    "DELETE FROM rejected_names WHERE image_id = ANY (ARRAY(SELECT id FROM images WHERE study_id = :id))",
    "DELETE FROM request_words WHERE image_id = ANY (ARRAY(SELECT id FROM images WHERE study_id = :id))",
    "DELETE FROM sealed_numbers WHERE image_id = ANY (ARRAY(SELECT id FROM images WHERE study_id = :id))",
)


@dataclass(frozen=True)
class RejectedHeader:
    """What is kept of the header of a rejected film.

    Attributes:
        names: pseudonyms of its study, patient and accession number.
    """

    names: tuple[str, ...] = ()
    sealed: SealedNumbers | None = None


def keep_rejected(work: Work, image_id: UUID, header: RejectedHeader) -> None:
    """Keep what a rejected film's header says."""
    if header.names:
        work.run(_NAME, {"image": image_id, "names": list(header.names)})
    if header.sealed:
        keep_sealed(work, {image_id: header.sealed})


def keep_sealed(work: Work, sealed: Mapping[UUID, SealedNumbers]) -> None:
    """Keep the sealed numbers of images; they take the place of earlier ones."""
    if sealed:
        boxes, keys = zip(*sealed.values(), strict=True)
        work.run(_SEAL, {"images": list(sealed), "boxes": list(boxes), "keys": list(keys)})


def numbers_of_study(ledger: Ledger, study_id: UUID) -> Sequence[tuple[UUID, SealedNumbers | None]]:
    """The sealed numbers of each image of a study. The audit says that they were opened before they leave.

    Raises:
        NotFound: no such study.
    """
    with ledger.work() as work:
        home = resolve(work, study_id)
        rows = work.rows(_OF_STUDY, {"id": home})
        found = [
            (row["id"], SealedNumbers(row["sealed"], row["key_fingerprint"]) if row["sealed"] else None) for row in rows
        ]
        record(work, "numbers opened", study=home, detail={"images": sum(sealed is not None for _, sealed in found)})
    return found


def forget_headers(work: Work, study_id: UUID) -> None:
    """The study is purged: what its films' headers left goes."""
    for sql in _FORGET:
        work.run(sql, {"id": study_id})
