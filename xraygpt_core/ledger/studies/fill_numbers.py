"""Films that came before numbers were kept get theirs sealed now, in pages, while work goes on.

A row in ``sealed_numbers`` says that a film was done, so a fill that was stopped goes on where it was, and two at once
do each film once. A film whose header is known to name nobody and nothing is not asked.
"""

from collections.abc import Mapping
from uuid import UUID

from xraygpt_core.errors import ConfigurationError
from xraygpt_core.ledger.audit.record import record
from xraygpt_core.ledger.jobs.fence import repeating
from xraygpt_core.ledger.studies.images import IngestInput
from xraygpt_core.ledger.transaction import Ledger, Work
from xraygpt_core.sealing import SealedNumbers

PAGE = 100

# Of rejected films those whose headers could be read, as ingest seals them.
_FILMS = """
    SELECT k.image_id, k.bucket, k.key, k.etag, k.version_id FROM images i JOIN object_keys k ON k.image_id = i.id
    WHERE i.id > :after
      AND (i.state = 'accepted' AND i.kind IS DISTINCT FROM 'picture' AND NOT (
               i.names_read AND i.patient_pseudonym IS NULL AND i.accession_pseudonym IS NULL)
           OR i.state = 'rejected' AND EXISTS (SELECT FROM rejected_names n WHERE n.image_id = i.id))
      AND NOT EXISTS (SELECT FROM sealed_numbers n WHERE n.image_id = i.id)
    ORDER BY i.id LIMIT :limit
"""

# The key stays as it is until the boxes are there: who replaces it finds them.
_KEY = "SELECT sealing_fingerprint FROM installation WHERE id = 1 FOR SHARE"

# A purge takes a film's address first, and its numbers afterwards: it waits for this, or is waited for.
_STORE = """
    INSERT INTO sealed_numbers (image_id, sealed, key_fingerprint)
    SELECT n.image_id, n.sealed, :key
    FROM unnest(CAST(:images AS uuid[]), CAST(:boxes AS text[])) AS n (image_id, sealed)
    JOIN (SELECT image_id FROM object_keys WHERE image_id = ANY(CAST(:images AS uuid[])) ORDER BY image_id
          FOR KEY SHARE) AS k ON k.image_id = n.image_id
    ON CONFLICT DO NOTHING
"""


def unsealed_films(ledger: Ledger, after: UUID) -> list[IngestInput]:
    """The next films behind this id whose numbers are to be sealed."""
    with ledger.work() as work:
        work.by_index()
        return [IngestInput(**row) for row in work.rows(_FILMS, {"after": after, "limit": PAGE})]


def store_numbers(ledger: Ledger, fingerprint: str, sealed: Mapping[UUID, SealedNumbers]) -> int:
    """Keep these boxes, in one transaction.

    Args:
        fingerprint: of the key that opens them.

    Returns:
        How many were kept; films that were purged or sealed meanwhile are left alone.

    Raises:
        ConfigurationError: another key seals numbers now.
    """
    values = {"key": fingerprint, "images": list(sealed), "boxes": [one.box for one in sealed.values()]}

    def body(work: Work) -> int:
        row = work.row(_KEY)
        if row is None or row["sealing_fingerprint"] != fingerprint:
            raise ConfigurationError(
                "the sealing key was replaced meanwhile: run this again with the new one (what was sealed is kept)"
            )
        return work.run(_STORE, values)

    return repeating(ledger, body) if sealed else 0


def numbers_filled_in(ledger: Ledger, filled: int, left: int) -> None:
    """The audit says that numbers were sealed without a film arriving."""
    with ledger.work() as work:
        record(work, "numbers filled in", detail={"sealed": filled, "left": left})
