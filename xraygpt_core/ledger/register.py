"""An object of the bucket becomes an image, a study and an ingest job: once, however often it is announced."""

from collections.abc import Callable, Sequence
from itertools import islice
from typing import TypeVar
from uuid import UUID

from xraygpt_core.ids import new_id
from xraygpt_core.ledger.core import Ledger, Work
from xraygpt_core.ledger.fence import repeating
from xraygpt_core.ledger.known import SEEN_AT, find_known, raise_lane
from xraygpt_core.ledger.objects import Identity, ObjectRef, Registered, columns
from xraygpt_core.queue import Ring
from xraygpt_core.states import JobKind, Lane

__all__ = ["ObjectRef", "Registered", "note_deleted", "register_in", "register_objects", "registering"]

T = TypeVar("T")

_SIBLINGS = """
    SELECT DISTINCT ON (k.bucket, k.key) k.bucket, k.key, COALESCE(s.alias_of, s.id) AS study_id
    FROM unnest(CAST(:buckets AS text[]), CAST(:keys AS text[])) AS o (bucket, key)
    JOIN object_keys k USING (bucket, key)
    JOIN images i ON i.id = k.image_id JOIN studies s ON s.id = i.study_id
    ORDER BY k.bucket, k.key, k.seen_at DESC
"""

# Keeps a study from being purged, or from becoming an alias, until the new image is in it.
_HOLD = """
    SELECT id, alias_of FROM studies WHERE id = ANY(CAST(:ids AS uuid[])) AND purged_at IS NULL
    ORDER BY id FOR KEY SHARE
"""

_INSERT = f"""
    WITH n AS (
        SELECT * FROM unnest(
            CAST(:image_ids AS uuid[]), CAST(:image_studies AS uuid[]), CAST(:job_ids AS uuid[]),
            CAST(:buckets AS text[]), CAST(:keys AS text[]), CAST(:etags AS text[]), CAST(:version_ids AS text[]),
            CAST(:sequencers AS text[]), CAST(:sizes AS bigint[])
        ) AS n (image_id, study_id, job_id, bucket, key, etag, version_id, sequencer, size)
    ), fresh AS (
        INSERT INTO studies (id, lane_rank, state)
        SELECT id, :lane_rank, 'received' FROM unnest(CAST(:study_ids AS uuid[])) AS id
    ), pictures AS (
        INSERT INTO images (id, study_id, state) SELECT image_id, study_id, 'received' FROM n
    ), work AS (
        INSERT INTO jobs (id, kind, subject, key, lane_rank, max_attempts)
        SELECT job_id, 'ingest', image_id, image_id::text, :lane_rank, :max_attempts FROM n
    ), story AS (
        INSERT INTO timeline (study_id, image_id, job_id, what, who)
        SELECT study_id, image_id, job_id, 'registered', :actor FROM n
    )
    INSERT INTO object_keys (image_id, bucket, key, etag, version_id, sequencer, size, seen_at)
    SELECT image_id, bucket, key, etag, version_id, sequencer, size, {SEEN_AT} FROM n AS o
    ON CONFLICT (bucket, key, etag) DO NOTHING
"""

_NOTE_DELETED = """
    WITH gone AS (
        UPDATE object_keys SET deleted_at = clock_timestamp(), sequencer = COALESCE(CAST(:sequencer AS text), sequencer)
        WHERE bucket = :bucket AND key = :key AND deleted_at IS NULL
          AND NOT COALESCE(rpad(sequencer, 1024, '0') COLLATE "C"
                           > rpad(CAST(:sequencer AS text), 1024, '0') COLLATE "C", false)
        RETURNING image_id
    )
    INSERT INTO timeline (study_id, image_id, what, who)
    SELECT i.study_id, i.id, 'object deleted', 'event' FROM gone JOIN images i ON i.id = gone.image_id
"""


class _Raced(Exception):
    """Another process changed what this registration has just read: roll back and look again."""


def register_objects(ledger: Ledger, objects: Sequence[ObjectRef], lane: Lane, *, actor: str) -> list[Registered]:
    """Write images, provisional studies and ingest jobs for these objects in one transaction, then ring.

    Known objects are found again, and their open work is raised to this lane if it is more urgent; never lowered.
    A content that comes back after it was overwritten (A, B, A) is read again. Purged objects stay purged.

    Args:
        actor: who announced them, for the timeline: ``gateway``, ``event``, ``sweep``, ``backlog``.

    Returns:
        One row per object, in the order given.
    """

    def register_all(calls: Sequence[Sequence[ObjectRef]]) -> list[list[Registered]]:
        refs = [ref for call in calls for ref in call]
        found = iter(registering(ledger, lambda work: register_in(ledger, work, refs, lane, actor=actor)))
        return [list(islice(found, len(call))) for call in calls]

    return ledger.meeting(("register", lane, actor), register_all)(objects)


def registering(ledger: Ledger, body: Callable[[Work], T]) -> T:
    """Run ``body``, which calls :func:`register_in`, in one transaction, and again if others interfered."""
    while True:
        try:
            return repeating(ledger, body)
        except _Raced:
            continue


def register_in(
    ledger: Ledger, work: Work, objects: Sequence[ObjectRef], lane: Lane, *, actor: str
) -> list[Registered]:
    """The same inside a transaction of :func:`registering`."""
    unique = list({ref.identity: ref for ref in objects}.values())
    found = find_known(work, unique)
    raise_lane(work, found, lane)
    found |= _add(ledger, work, [ref for ref in unique if ref.identity not in found], lane, actor)
    return [found[ref.identity] for ref in objects]


def note_deleted(ledger: Ledger, bucket: str, key: str, sequencer: str | None = None) -> None:
    """Note on the timeline that an object was deleted from the bucket. Its summary stays.

    Args:
        sequencer: of the event; contents that came later, as far as sequencers tell, are still there.
    """
    with ledger.work() as work:
        work.run(_NOTE_DELETED, {"bucket": bucket, "key": key, "sequencer": sequencer})


def _add(ledger: Ledger, work: Work, refs: Sequence[ObjectRef], lane: Lane, actor: str) -> dict[Identity, Registered]:
    """Insert what is new.

    Raises:
        _Raced: somebody else registered one of them meanwhile.
    """
    if not refs:
        return {}
    studies, fresh = _studies_for(work, refs)
    values = columns(refs) | {
        "image_ids": [new_id() for _ in refs],
        "image_studies": studies,
        "study_ids": fresh,
        "job_ids": [new_id() for _ in refs],
        "lane_rank": lane.rank,
        "max_attempts": ledger.settings.max_attempts,
        "actor": actor,
    }
    if work.run(_INSERT, values) < len(refs):
        raise _Raced
    if lane is not Lane.BACKLOG:
        work.rings.append(Ring(JobKind.INGEST, lane, len(refs)))
    return {
        ref.identity: Registered(image_id, study_id, ref.uri, new=True)
        for ref, image_id, study_id in zip(refs, values["image_ids"], studies, strict=True)
    }


def _studies_for(work: Work, refs: Sequence[ObjectRef]) -> tuple[list[UUID], list[UUID]]:
    """A study for each object, and which of them are to be made: another content of a known key joins its study.

    Raises:
        _Raced: the known study turned out to be another one while we waited for it.
    """
    of_key: dict[tuple[str, str], UUID] = {
        (row["bucket"], row["key"]): row["study_id"] for row in work.rows(_SIBLINGS, columns(refs))
    }
    if of_key:
        held = work.rows(_HOLD, {"ids": list(of_key.values())})
        if any(row["alias_of"] is not None for row in held):
            raise _Raced
        alive = {row["id"] for row in held}
        of_key = {name: study_id for name, study_id in of_key.items() if study_id in alive}
    fresh: list[UUID] = []
    studies = []
    for ref in refs:
        if (ref.bucket, ref.key) not in of_key:
            of_key[ref.bucket, ref.key] = new_id()
            fresh.append(of_key[ref.bucket, ref.key])
        studies.append(of_key[ref.bucket, ref.key])
    return studies, fresh
