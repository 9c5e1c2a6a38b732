"""Films that were accepted before their headers' facts were kept get them now, in pages, while work goes on.

A film says itself whether it was asked (``images.facts_read``), so a fill that was stopped goes on where it was, and
two at once do each film once.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from xraygpt_core.dicom.types import StatedFacts
from xraygpt_core.ledger.jobs.fence import repeating
from xraygpt_core.ledger.studies.images import IngestInput
from xraygpt_core.ledger.transaction import Ledger, Work

PAGE = 100

_FILMS = """
    SELECT k.image_id, k.bucket, k.key, k.etag, k.version_id, i.rows, i.columns
    FROM images i JOIN object_keys k ON k.image_id = i.id
    WHERE i.id > :after AND i.state = 'accepted' AND NOT i.facts_read ORDER BY i.id LIMIT :limit
"""

# Older versions stored the size of the pixels as they are in the file; now it is that of the film as it is read.
_STORE = """
    UPDATE images SET acquired_on = n.acquired_on, acquired_time = n.acquired_time, laterality = n.laterality,
           spacing_mm = n.spacing_mm, spacing_at = n.spacing_at, facts_read = true,
           rows = CASE WHEN n.exchanged THEN images.columns ELSE images.rows END,
           columns = CASE WHEN n.exchanged THEN images.rows ELSE images.columns END
    FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS n (
        image_id uuid, acquired_on date, acquired_time time, laterality text, spacing_mm real[], spacing_at text,
        exchanged boolean)
    WHERE images.id = n.image_id AND images.state = 'accepted' AND NOT images.facts_read
"""


@dataclass(frozen=True)
class UnaskedFilm:
    """A film whose header was not asked, and the size that is stored of it."""

    given: IngestInput
    rows: int
    columns: int

    @property
    def image_id(self) -> UUID:
        return self.given.image_id


def unasked_films(ledger: Ledger, after: UUID) -> list[UnaskedFilm]:
    """The next films behind this id whose headers are to be read."""
    with ledger.work() as work:
        work.by_index()
        found = [dict(row) for row in work.rows(_FILMS, {"after": after, "limit": PAGE})]
    return [UnaskedFilm(rows=row.pop("rows"), columns=row.pop("columns"), given=IngestInput(**row)) for row in found]


def store_facts(ledger: Ledger, read: Mapping[UnaskedFilm, StatedFacts]) -> int:
    """Keep what these headers say, in one transaction.

    Returns:
        How many films it was kept of; those that were purged, replaced or filled in meanwhile are left alone.
    """
    rows = [
        {
            **stated.of(film.rows, film.columns).__dict__,
            "image_id": str(film.given.image_id),
            "exchanged": stated.exchanged,
        }
        for film, stated in read.items()
    ]
    document = json.dumps(rows, default=lambda moment: moment.isoformat())

    def body(work: Work) -> int:
        return work.run(_STORE, {"rows": document}) if rows else 0

    return repeating(ledger, body)
