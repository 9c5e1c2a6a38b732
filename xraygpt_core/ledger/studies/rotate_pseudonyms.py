"""A new pseudonymisation key takes the place of the old one, while images arrive and numbers are looked up.

A pseudonym cannot be turned from one key to another: that takes the number, which stands in the image's header alone.
So every header is read once more. It gives pairs, each a pseudonym under the old key and under the new one, and a pair
is applied to every row that bears the old one. That is exact (equal numbers give equal pairs) and may happen twice. It
needs no mark on the rows: images are read in the order of their ids, and the last id says how far the rotation is. An
image that arrives meanwhile brings its own pairs, and applies them before it looks for its study, so it finds the one
it belongs to. Look-ups ask for both pseudonyms.

Every process that pseudonymises must know both keys until the rotation ends. None that knows the old key alone may be
at work when it begins, for it would not find studies of the new key. Images whose objects are gone stay under the old
key; the rotation does not end before an operator gives them up.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from xraygpt_core.errors import ConfigurationError
from xraygpt_core.ledger.audit.record import record
from xraygpt_core.ledger.jobs.fence import repeating
from xraygpt_core.ledger.studies.images import IngestInput, PseudonymPair
from xraygpt_core.ledger.studies.rename_pseudonyms import rename
from xraygpt_core.ledger.transaction import Ledger, Work
from xraygpt_core.logins import role_of

PAGE = 100

_FILMS = """
    SELECT k.image_id, k.bucket, k.key, k.etag, k.version_id FROM images i JOIN object_keys k ON k.image_id = i.id
    WHERE i.id > :after
      AND (i.state = 'accepted' OR EXISTS (SELECT FROM rejected_names n WHERE n.image_id = i.id))
    ORDER BY i.id LIMIT :limit
"""

_LEFT = """
    SELECT k.image_id, k.bucket, k.key, k.etag, k.version_id FROM unrotated_images u JOIN object_keys k USING (image_id)
    ORDER BY k.image_id
"""

# The processes that pseudonymise, in this database.
_AT_WORK = """
    SELECT usename FROM pg_stat_activity
    WHERE datname = current_database() AND usename = ANY(CAST(:roles AS text[])) LIMIT 1
"""


@dataclass(frozen=True)
class PseudonymRotation:
    """A key that is being replaced.

    Attributes:
        after: the last image whose header was read again.
    """

    old_fingerprint: str
    fingerprint: str
    after: UUID


def rotation(ledger: Ledger) -> PseudonymRotation | None:
    """The one that is under way, if any."""
    with ledger.work() as work:
        row = work.row("SELECT hmac_fingerprint, hmac_old_fingerprint, hmac_rotated_until FROM installation")
    if row is None or row["hmac_old_fingerprint"] is None:
        return None
    return PseudonymRotation(
        row["hmac_old_fingerprint"], row["hmac_fingerprint"], row["hmac_rotated_until"] or UUID(int=0)
    )


def begin(ledger: Ledger, old_fingerprint: str, fingerprint: str) -> None:
    """From now on the new key is the one; nothing happens if it is so already.

    Raises:
        ConfigurationError: the old key is not this database's, or a process that knows it alone is still at work.
    """

    def body(work: Work) -> None:
        row = work.row("SELECT hmac_fingerprint, hmac_old_fingerprint FROM installation FOR UPDATE")
        known = (row["hmac_old_fingerprint"], row["hmac_fingerprint"]) if row else (None, None)
        if known[1] == fingerprint and known[0] in (old_fingerprint, None):  # it began, or is over, already
            return
        if known != (None, old_fingerprint):
            raise ConfigurationError(
                "the key before is not the one this database was filled with, or a rotation is open"
            )
        if work.row(_AT_WORK, {"roles": [role_of("gateway"), role_of("ingest")]}):
            raise ConfigurationError("stop every gateway and ingest worker first: they know the old key alone")
        work.run(
            "UPDATE installation SET hmac_old_fingerprint = :old, hmac_fingerprint = :new, hmac_rotated_until = NULL",
            {"old": old_fingerprint, "new": fingerprint},
        )
        record(work, "pseudonymisation key replaced")

    repeating(ledger, body)


def films(ledger: Ledger, after: UUID) -> list[IngestInput]:
    """The next images whose headers are to be read, by id."""
    with ledger.work() as work:
        work.by_index()
        return [IngestInput(**row) for row in work.rows(_FILMS, {"after": after, "limit": PAGE})]


def films_left(ledger: Ledger) -> list[IngestInput]:
    """Those that could not be read so far."""
    with ledger.work() as work:
        return [IngestInput(**row) for row in work.rows(_LEFT)]


def rename_film(ledger: Ledger, image_id: UUID, uid: str | None, pairs: Sequence[PseudonymPair]) -> None:
    """Apply what an image's header says, in a transaction of its own."""

    def body(work: Work) -> None:
        rename(work, uid, pairs, image_id)
        work.run("DELETE FROM unrotated_images WHERE image_id = :id", {"id": image_id})

    repeating(ledger, body)


def leave_film(ledger: Ledger, image_id: UUID) -> None:
    """Its header cannot be read now."""
    with ledger.work() as work:
        work.run("INSERT INTO unrotated_images (image_id) VALUES (:id) ON CONFLICT DO NOTHING", {"id": image_id})


def reached(ledger: Ledger, image_id: UUID) -> None:
    """Every image up to this one was read, or left."""
    with ledger.work() as work:
        work.run("UPDATE installation SET hmac_rotated_until = :id", {"id": image_id})


def end(ledger: Ledger, *, give_up: bool) -> bool:
    """The old key is needed no more; False where images are left that only it knows, unless they may be lost."""

    def body(work: Work) -> bool:
        if not give_up and work.row("SELECT image_id FROM unrotated_images LIMIT 1"):
            return False
        left = work.run("DELETE FROM unrotated_images")
        work.run("UPDATE installation SET hmac_old_fingerprint = NULL, hmac_rotated_until = NULL")
        record(work, "former pseudonymisation key ended", detail={"left": left})
        return True

    return repeating(ledger, body)
