"""An object of the bucket becomes an image, a study and an ingest job: once, however often it is announced."""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any
from uuid import UUID

from xraygpt_core.ids import new_id
from xraygpt_core.ledger.core import Ledger, Work
from xraygpt_core.queue import Ring
from xraygpt_core.states import JobKind, Lane

# Messages one registration may send at once; the dispatcher sends the rest as room comes up.
RING_LIMIT = 64


@dataclass(frozen=True)
class ObjectRef:
    """One content of one object: the identity of an image is (bucket, key, etag)."""

    bucket: str
    key: str
    etag: str
    version_id: str | None = None
    size: int | None = None
    sequencer: str | None = None

    @property
    def uri(self) -> str:
        """``s3://bucket/key``; patient data, so it goes back to whoever sent it and nowhere else."""
        return f"s3://{self.bucket}/{self.key}"


@dataclass(frozen=True)
class Registered:
    """What an object became. ``new`` is False if it was known."""

    image_id: UUID
    study_id: UUID
    uri: str
    new: bool


_KNOWN = """
    SELECT k.bucket, k.key, k.etag, i.id AS image_id, COALESCE(s.alias_of, s.id) AS study_id, i.state, i.reason_code
    FROM unnest(CAST(:buckets AS text[]), CAST(:keys AS text[]), CAST(:etags AS text[])) AS o (bucket, key, etag)
    JOIN object_keys k USING (bucket, key, etag)
    JOIN images i ON i.id = k.image_id JOIN studies s ON s.id = i.study_id
"""

_SIBLINGS = """
    SELECT DISTINCT ON (k.bucket, k.key) k.bucket, k.key, COALESCE(s.alias_of, s.id) AS study_id
    FROM unnest(CAST(:buckets AS text[]), CAST(:keys AS text[])) AS o (bucket, key)
    JOIN object_keys k USING (bucket, key)
    JOIN images i ON i.id = k.image_id JOIN studies s ON s.id = i.study_id
    ORDER BY k.bucket, k.key, k.seen_at DESC
"""

_TOMBSTONES = """
    SELECT digest, image_id, study_id FROM tombstones WHERE digest = ANY(CAST(:digests AS text[]))
"""

_INSERT_STUDIES = """
    INSERT INTO studies (id, lane_rank, state)
    SELECT id, :lane_rank, 'received' FROM unnest(CAST(:study_ids AS uuid[])) AS id
"""

_INSERT_IMAGES = """
    INSERT INTO images (id, study_id, state)
    SELECT image_id, study_id, 'received'
    FROM unnest(CAST(:image_ids AS uuid[]), CAST(:image_studies AS uuid[])) AS n (image_id, study_id)
"""

_INSERT_KEYS = """
    INSERT INTO object_keys (image_id, bucket, key, etag, version_id, sequencer, size)
    SELECT * FROM unnest(CAST(:image_ids AS uuid[]), CAST(:buckets AS text[]), CAST(:keys AS text[]),
        CAST(:etags AS text[]), CAST(:version_ids AS text[]), CAST(:sequencers AS text[]), CAST(:sizes AS bigint[]))
    ON CONFLICT (bucket, key, etag) DO NOTHING RETURNING image_id
"""

_INSERT_JOBS = """
    INSERT INTO jobs (id, kind, subject, key, lane_rank, max_attempts, rung_at)
    SELECT job_id, 'ingest', image_id, image_id::text, :lane_rank, :max_attempts,
           CASE WHEN place <= :ring_limit THEN clock_timestamp() END
    FROM unnest(CAST(:job_ids AS uuid[]), CAST(:image_ids AS uuid[])) WITH ORDINALITY AS n (job_id, image_id, place)
"""

_INSERT_NOTES = """
    INSERT INTO timeline (study_id, image_id, job_id, what, who)
    SELECT study_id, image_id, job_id, 'registered', :actor
    FROM unnest(CAST(:image_studies AS uuid[]), CAST(:image_ids AS uuid[]), CAST(:job_ids AS uuid[]))
        AS n (study_id, image_id, job_id)
"""

_RAISE_STUDIES = """
    UPDATE studies SET lane_rank = :lane_rank WHERE id = ANY(CAST(:studies AS uuid[])) AND lane_rank > :lane_rank
"""

_RAISE_JOBS = """
    UPDATE jobs SET lane_rank = :lane_rank, rung_at = clock_timestamp()
    WHERE (subject = ANY(CAST(:studies AS uuid[])) OR subject = ANY(CAST(:images AS uuid[])))
      AND state = 'queued' AND lane_rank > :lane_rank AND kind IN ('ingest', 'settle', 'summarise')
    RETURNING id, kind, not_before > clock_timestamp() AS later
"""


class _Raced(Exception):
    """Another process registered the same object at the same moment: roll back and look again."""


def register_objects(ledger: Ledger, objects: Sequence[ObjectRef], lane: Lane, *, actor: str) -> list[Registered]:
    """Write images, provisional studies and ingest jobs for these objects in one transaction, then ring.

    Known objects are found again, and their open work is raised to this lane if it is more urgent; never lowered.
    A content that comes back after it was overwritten (A, B, A) is read again. Purged objects stay purged.

    Args:
        actor: who announced them, for the timeline: ``gateway``, ``event``, ``sweep``, ``backlog``.

    Returns:
        One row per object, in the order given.
    """
    unique = list({(ref.bucket, ref.key, ref.etag): ref for ref in objects}.values())
    while True:
        try:
            with ledger.work() as work:
                found = _find(work, unique)
                _raise_lane(work, found, lane)
                found |= _add(ledger, work, [ref for ref in unique if _identity(ref) not in found], lane, actor)
        except _Raced:
            continue
        return [found[_identity(ref)] for ref in objects]


def note_deleted(ledger: Ledger, bucket: str, key: str) -> None:
    """Note on the timeline that an object was deleted from the bucket. Its summary stays."""
    with ledger.work() as work:
        work.run(
            "WITH gone AS (UPDATE object_keys SET deleted_at = clock_timestamp() "
            "  WHERE bucket = :bucket AND key = :key AND deleted_at IS NULL RETURNING image_id) "
            "INSERT INTO timeline (study_id, image_id, what, who) "
            "SELECT i.study_id, i.id, 'object deleted', 'event' FROM gone JOIN images i ON i.id = gone.image_id",
            {"bucket": bucket, "key": key},
        )


def digest(salt: str, bucket: str, key: str, etag: str) -> str:
    """What a tombstone remembers of a purged object: enough to know it again, not enough to read it."""
    return sha256("\0".join((salt, bucket, key, etag)).encode()).hexdigest()


def _identity(ref: ObjectRef) -> tuple[str, str, str]:
    return (ref.bucket, ref.key, ref.etag)


def _columns(refs: Sequence[ObjectRef]) -> dict[str, Any]:
    return {
        "buckets": [ref.bucket for ref in refs],
        "keys": [ref.key for ref in refs],
        "etags": [ref.etag for ref in refs],
        "version_ids": [ref.version_id for ref in refs],
        "sequencers": [ref.sequencer for ref in refs],
        "sizes": [ref.size for ref in refs],
    }


def _find(work: Work, refs: Sequence[ObjectRef]) -> dict[tuple[str, str, str], Registered]:
    """The objects that are known, or purged."""
    found = {}
    overwritten = []
    for row in work.rows(_KNOWN, _columns(refs)):
        ref = ObjectRef(row["bucket"], row["key"], row["etag"])
        found[_identity(ref)] = Registered(row["image_id"], row["study_id"], ref.uri, new=False)
        if row["reason_code"] == "replaced":
            overwritten.append(row["image_id"])
    if overwritten:
        _revive(work, overwritten)
    salt = work.row("SELECT tombstone_salt FROM installation")
    digests = {digest(salt["tombstone_salt"] if salt else "", *_identity(ref)): ref for ref in refs}
    for row in work.rows(_TOMBSTONES, {"digests": list(digests)}):
        ref = digests[row["digest"]]
        found[_identity(ref)] = Registered(row["image_id"], row["study_id"], ref.uri, new=False)
    return found


def _revive(work: Work, image_ids: list[UUID]) -> None:
    ids = {"images": image_ids}
    work.run(
        "UPDATE images SET state = 'received', reason_code = NULL, finished_at = NULL "
        "WHERE id = ANY(CAST(:images AS uuid[]))",
        ids,
    )
    work.run("UPDATE object_keys SET seen_at = clock_timestamp() WHERE image_id = ANY(CAST(:images AS uuid[]))", ids)
    work.run(
        "UPDATE jobs SET state = 'queued', attempts = 0, rung_at = NULL, not_before = NULL, finished_at = NULL "
        "WHERE kind = 'ingest' AND subject = ANY(CAST(:images AS uuid[])) AND state IN ('done', 'cancelled')",
        ids,
    )


def _raise_lane(work: Work, found: dict[tuple[str, str, str], Registered], lane: Lane) -> None:
    if not found or lane is Lane.BACKLOG:
        return
    ids = {
        "studies": [known.study_id for known in found.values()],
        "images": [known.image_id for known in found.values()],
        "lane_rank": lane.rank,
    }
    for row in work.rows(_RAISE_JOBS, ids):
        if not row["later"] and len(work.rings) < RING_LIMIT:
            work.rings.append(Ring(row["id"], JobKind(row["kind"]), lane))
    work.run(_RAISE_STUDIES, ids)


def _add(
    ledger: Ledger, work: Work, refs: Sequence[ObjectRef], lane: Lane, actor: str
) -> dict[tuple[str, str, str], Registered]:
    """Insert what is new.

    Raises:
        _Raced: somebody else registered one of them meanwhile.
    """
    if not refs:
        return {}
    columns = _columns(refs)
    siblings = {(row["bucket"], row["key"]): row["study_id"] for row in work.rows(_SIBLINGS, columns)}
    studies = [siblings.get((ref.bucket, ref.key)) or new_id() for ref in refs]
    values = columns | {
        "image_ids": [new_id() for _ in refs],
        "image_studies": studies,
        "study_ids": [study for ref, study in zip(refs, studies, strict=True) if (ref.bucket, ref.key) not in siblings],
        "job_ids": [new_id() for _ in refs],
        "lane_rank": lane.rank,
        "max_attempts": ledger.settings.max_attempts,
        "ring_limit": 0 if lane is Lane.BACKLOG else RING_LIMIT,
        "actor": actor,
    }
    work.run(_INSERT_STUDIES, values)
    work.run(_INSERT_IMAGES, values)
    if len(work.rows(_INSERT_KEYS, values)) < len(refs):
        raise _Raced
    work.run(_INSERT_JOBS, values)
    work.run(_INSERT_NOTES, values)
    _reopen(work, list(siblings.values()))
    due = values["job_ids"][: values["ring_limit"]]
    work.rings.extend(Ring(job_id, JobKind.INGEST, lane) for job_id in due)
    return {
        _identity(ref): Registered(image_id, study_id, ref.uri, new=True)
        for ref, image_id, study_id in zip(refs, values["image_ids"], studies, strict=True)
    }


def _reopen(work: Work, study_ids: list[UUID]) -> None:
    """A study whose object was overwritten is open again until the new content is read."""
    if study_ids:
        work.run(
            "UPDATE studies SET state = 'received', finished_at = NULL "
            "WHERE id = ANY(CAST(:ids AS uuid[])) AND state IN ('rejected', 'dead')",
            {"ids": study_ids},
        )
