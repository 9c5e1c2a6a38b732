"""Objects that were announced before: found again, read again if their content came back, raised to a better lane."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy.engine import RowMapping

from xraygpt_core.ledger.jobs.lane_places import Share
from xraygpt_core.ledger.studies.objects import Identity, ObjectRef, Registered, digest, later, names
from xraygpt_core.ledger.studies.worklist import raise_drafts
from xraygpt_core.ledger.transaction import Ledger, Work
from xraygpt_core.queue import Ring
from xraygpt_core.states import JobKind, Lane, ReasonCode

# When a content counts as announced: now, unless a content of the same key with a later sequencer is known already.
# Needs a row ``o`` with bucket, key and sequencer.
SEEN_AT = """
    COALESCE((SELECT min(k.seen_at) - interval '1 microsecond' FROM object_keys k
              WHERE k.bucket = o.bucket AND k.key = o.key AND k.etag <> o.etag
                AND rpad(k.sequencer, 1024, '0') COLLATE "C" > rpad(o.sequencer, 1024, '0') COLLATE "C"),
             clock_timestamp())
"""

# A page of a listing is a range of keys: where nothing of it is known, one look into the index says so.
_PAGE = 100
_ANY_IN_RANGE = """
    SELECT 1 FROM object_keys WHERE bucket = :bucket
       AND key >= (SELECT min(key) FROM unnest(CAST(:keys AS text[])) AS key)
       AND key <= (SELECT max(key) FROM unnest(CAST(:keys AS text[])) AS key) LIMIT 1
"""

# Everything these keys ever held, the content announced last first.
_CONTENTS = """
    SELECT k.bucket, k.key, k.etag, k.sequencer, k.deleted_at, i.id AS image_id, i.reason_code,
           COALESCE(s.alias_of, s.id) AS study_id
    FROM (SELECT DISTINCT bucket, key FROM jsonb_to_recordset(CAST(:names AS jsonb)) AS o (bucket text, key text)) AS o
    JOIN object_keys k USING (bucket, key)
    JOIN images i ON i.id = k.image_id JOIN studies s ON s.id = i.study_id
    ORDER BY k.seen_at DESC
"""

_ANY_TOMBSTONE = "SELECT (SELECT tombstone_salt FROM installation) AS salt WHERE EXISTS (SELECT FROM tombstones)"

_TOMBSTONES = """
    SELECT digest, image_id, study_id FROM tombstones WHERE digest = ANY(CAST(:digests AS text[]))
"""

_ANNOUNCE = f"""
    UPDATE object_keys SET deleted_at = NULL, sequencer = COALESCE(o.sequencer, object_keys.sequencer),
           seen_at = {SEEN_AT}
    FROM jsonb_to_recordset(CAST(:names AS jsonb)) AS o (bucket text, key text, etag text, sequencer text)
    WHERE object_keys.bucket = o.bucket AND object_keys.key = o.key AND object_keys.etag = o.etag
"""

_REVIVE = """
    WITH images_again AS (
        UPDATE images SET state = 'received', reason_code = NULL, finished_at = NULL
        WHERE id = ANY(CAST(:images AS uuid[])) AND state = 'cancelled' AND reason_code = 'replaced' RETURNING id
    )
    UPDATE jobs SET state = 'queued', attempts = 0, not_before = NULL, finished_at = NULL
    WHERE kind = 'ingest' AND subject IN (SELECT id FROM images_again) AND state IN ('done', 'cancelled', 'dead')
"""

_RAISE_STUDIES = """
    UPDATE studies SET lane_rank = :lane_rank, place = :place + array_position(CAST(:studies AS uuid[]), id) - 1
    WHERE id = ANY(CAST(:studies AS uuid[])) AND lane_rank > :lane_rank
    RETURNING id
"""

_RAISABLE = """
    SELECT 1 FROM studies WHERE id = ANY(CAST(:studies AS uuid[])) AND lane_rank > :lane_rank
    UNION ALL
    SELECT 1 FROM jobs WHERE subject = ANY(CAST(:studies AS uuid[]) || CAST(:images AS uuid[])) AND state = 'queued'
        AND lane_rank > :lane_rank AND kind IN ('ingest', 'settle', 'summarise')
    LIMIT 1
"""

# Whoever is waiting beside the patient does not wait for a paused backlog ('infinity').
_RAISE_JOBS = """
    UPDATE jobs SET lane_rank = :lane_rank, not_before = NULLIF(not_before, 'infinity'),
           place = :place - 1 + COALESCE(array_position(CAST(:studies AS uuid[]), subject),
                                         array_position(CAST(:images AS uuid[]), subject))
    WHERE (subject = ANY(CAST(:studies AS uuid[])) OR subject = ANY(CAST(:images AS uuid[])))
      AND state = 'queued' AND lane_rank > :lane_rank AND kind IN ('ingest', 'settle', 'summarise')
    RETURNING kind, not_before > clock_timestamp() AS later
"""

# Locked before anything is decided: a backlog that lists the same and is just being paused or cancelled leaves these
# jobs alone, or has stopped them for us to see.
_LOCK_JOBS = """
    SELECT id FROM jobs
    WHERE (subject = ANY(CAST(:studies AS uuid[])) OR subject = ANY(CAST(:images AS uuid[])))
      AND state = 'queued' AND kind IN ('ingest', 'settle', 'summarise') ORDER BY id FOR UPDATE
"""
_LOCK_STUDIES = "SELECT id FROM studies WHERE id = ANY(CAST(:studies AS uuid[])) ORDER BY id FOR UPDATE"
_WAKE = """
    UPDATE jobs SET not_before = NULL
    WHERE id = ANY(CAST(:jobs AS uuid[])) AND state = 'queued' AND not_before = 'infinity'
"""


@dataclass(frozen=True)
class KnownObject:
    """What is known about some objects.

    Attributes:
        found: those that are registered, or purged.
        studies: by (bucket, key), where the key's last content is: another content joins it.
    """

    found: dict[Identity, Registered]
    studies: dict[tuple[str, str], UUID]


def find_known(work: Work, refs: Sequence[ObjectRef]) -> KnownObject:
    """The objects that are known, or purged. A replaced content that is announced anew is to be read again."""
    rows = _contents(work, refs)
    anew = _announced_anew(rows, refs)
    if anew:
        # A content that follows may be in the middle of being accepted: then this one is replaced once we may look.
        _hold(work, rows, {(ref.bucket, ref.key) for ref in anew.values()})
        rows = _contents(work, refs)
        anew = _announced_anew(rows, refs)
    if anew:
        work.run(_ANNOUNCE, {"names": names(list(anew.values()))})
    if replaced := [row["image_id"] for row in rows if row["image_id"] in anew and _is_replaced(row)]:
        work.run(_REVIVE, {"images": replaced})
    announced = {ref.identity: ref for ref in refs}
    found: dict[Identity, Registered] = {}
    studies: dict[tuple[str, str], UUID] = {}
    for row in rows:
        studies.setdefault((row["bucket"], row["key"]), row["study_id"])
        if ref := announced.get((row["bucket"], row["key"], row["etag"])):
            found[ref.identity] = Registered(row["image_id"], row["study_id"], ref.uri, new=False)
    return KnownObject(found | _purged(work, [ref for ref in refs if ref.identity not in found]), studies)


def find_images(ledger: Ledger, refs: Sequence[ObjectRef]) -> list[UUID | None]:
    """The image of each object with exactly this content, in the order given; None where nobody registered it."""
    with ledger.work() as work:
        found = {(row["bucket"], row["key"], row["etag"]): row["image_id"] for row in _contents(work, refs)}
        purged = _purged(work, [ref for ref in refs if ref.identity not in found])
    found |= {identity: gone.image_id for identity, gone in purged.items()}
    return [found.get(ref.identity) for ref in refs]


def raise_lane(work: Work, found: dict[Identity, Registered], lane: Lane, share: Share) -> None:
    """Move the open work of these objects to a more urgent lane, and ring; never to a less urgent one.

    There they stand in the sender's next places: what they had in a former lane says nothing about this one.
    """
    if not found or lane is Lane.BACKLOG:
        return
    ids: dict[str, Any] = {
        "studies": [known.study_id for known in found.values()],
        "images": [known.image_id for known in found.values()],
        "lane_rank": lane.rank,
    }
    if not work.rows(_RAISABLE, ids):
        return
    ids["place"] = share.take(len(found))
    work.rings += [Ring(JobKind(row["kind"]), lane) for row in work.rows(_RAISE_JOBS, ids) if not row["later"]]
    if raised := [row["id"] for row in work.rows(_RAISE_STUDIES, ids)]:
        raise_drafts(work, raised, lane.rank)


def wake(work: Work, found: dict[Identity, Registered]) -> None:
    """Let the open work of these objects go on that a paused backlog holds: another backlog lists them, too."""
    if not found:
        return
    subjects = {
        "studies": [known.study_id for known in found.values()],
        "images": [known.image_id for known in found.values()],
    }
    if jobs := [row["id"] for row in work.rows(_LOCK_JOBS, subjects)]:
        work.run(_WAKE, {"jobs": jobs})


def _contents(work: Work, refs: Sequence[ObjectRef]) -> Sequence[RowMapping]:
    if len(refs) >= _PAGE and len({ref.bucket for ref in refs}) == 1:
        keys = {"bucket": refs[0].bucket, "keys": [ref.key for ref in refs]}
        if work.row(_ANY_IN_RANGE, keys) is None:
            return []
    return work.rows(_CONTENTS, {"names": names(refs)})


def _announced_anew(rows: Sequence[RowMapping], refs: Sequence[ObjectRef]) -> dict[UUID, ObjectRef]:
    """Contents that are in the bucket now whatever was known of them, by image."""
    announced = {ref.identity: ref for ref in refs}
    anew = {}
    for row in rows:
        ref = announced.get((row["bucket"], row["key"], row["etag"]))
        if ref is None or not _again(ref, row["sequencer"]):
            continue
        if _is_replaced(row) or row["deleted_at"] or ref.sequencer:
            anew[row["image_id"]] = ref
    return anew


def _hold(work: Work, rows: Sequence[RowMapping], keys: Collection[tuple[str, str]]) -> None:
    """Lock the open work of these keys, then their studies, as whoever accepts an image of them does."""
    of_keys = [row for row in rows if (row["bucket"], row["key"]) in keys]
    ids = {"studies": [row["study_id"] for row in of_keys], "images": [row["image_id"] for row in of_keys]}
    work.rows(_LOCK_JOBS, ids)
    work.rows(_LOCK_STUDIES, {"studies": ids["studies"]})


def _is_replaced(row: RowMapping) -> bool:
    return bool(row["reason_code"] == ReasonCode.REPLACED)


def _again(ref: ObjectRef, known: str | None) -> bool:
    """Is this a new event, or a late copy of one that was seen? Without sequencers nobody can tell: it is new."""
    return ref.sequencer is None or known is None or later(ref.sequencer, known)


def _purged(work: Work, refs: Sequence[ObjectRef]) -> dict[Identity, Registered]:
    if not refs:
        return {}
    some = work.row(_ANY_TOMBSTONE)
    if some is None:
        return {}
    digests = {digest(some["salt"] or "", *ref.identity): ref for ref in refs}
    found = {}
    for row in work.rows(_TOMBSTONES, {"digests": list(digests)}):
        ref = digests[row["digest"]]
        found[ref.identity] = Registered(row["image_id"], row["study_id"], ref.uri, new=False)
    return found
