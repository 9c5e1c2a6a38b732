"""Objects that were announced before are found again, and read again if a replaced content came back; a deleted one is
noted on its timeline.
"""

from collections.abc import Collection, Sequence
from uuid import UUID

from sqlalchemy.engine import RowMapping

from xraygpt_core.ledger.audit.record import record
from xraygpt_core.ledger.studies.objects import Identity, ObjectRef, Registered, as_json, digest, later
from xraygpt_core.ledger.studies.open_work import lock_open_jobs
from xraygpt_core.ledger.transaction import Ledger, Work
from xraygpt_core.states import ReasonCode

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

_LOCK_STUDIES = "SELECT id FROM studies WHERE id = ANY(CAST(:studies AS uuid[])) ORDER BY id FOR UPDATE"


def find_known(work: Work, refs: Sequence[ObjectRef]) -> tuple[dict[Identity, Registered], dict[tuple[str, str], UUID]]:
    """The objects that are known, or purged. A replaced content that is announced anew is to be read again.

    Returns:
        Those that are registered, or purged; and by (bucket, key) the study that the key's last content is in: another
        content joins it.
    """
    rows = _contents(work, refs)
    anew = _announced_anew(rows, refs)
    if anew:
        # A content that follows may be in the middle of being accepted: then this one is replaced once we may look.
        _hold(work, rows, {(ref.bucket, ref.key) for ref in anew.values()})
        rows = _contents(work, refs)
        anew = _announced_anew(rows, refs)
    if anew:
        work.run(_ANNOUNCE, {"names": as_json(list(anew.values()))})
    if replaced := [row["image_id"] for row in rows if row["image_id"] in anew and _is_replaced(row)]:
        work.run(_REVIVE, {"images": replaced})
    announced = {ref.identity: ref for ref in refs}
    found: dict[Identity, Registered] = {}
    studies: dict[tuple[str, str], UUID] = {}
    for row in rows:
        studies.setdefault((row["bucket"], row["key"]), row["study_id"])
        if ref := announced.get((row["bucket"], row["key"], row["etag"])):
            found[ref.identity] = Registered(row["image_id"], row["study_id"], ref.uri, new=False)
    return found | _purged(work, [ref for ref in refs if ref.identity not in found]), studies


def find_images(ledger: Ledger, refs: Sequence[ObjectRef]) -> list[UUID | None]:
    """The image of each object with exactly this content, in the order given; None where it is not registered."""
    with ledger.work() as work:
        found = {(row["bucket"], row["key"], row["etag"]): row["image_id"] for row in _contents(work, refs)}
        purged = _purged(work, [ref for ref in refs if ref.identity not in found])
    found |= {identity: gone.image_id for identity, gone in purged.items()}
    return [found.get(ref.identity) for ref in refs]


def note_deleted(ledger: Ledger, bucket: str, key: str, sequencer: str | None = None) -> None:
    """Note on the timeline that an object was deleted from the bucket.

    Args:
        sequencer: of the event; contents that came later, as far as sequencers tell, are still there.
    """
    with ledger.work() as work:
        gone = work.run(_NOTE_DELETED, {"bucket": bucket, "key": key, "sequencer": sequencer})
        record(work, "deletion announced", detail={"images": gone})


def _contents(work: Work, refs: Sequence[ObjectRef]) -> Sequence[RowMapping]:
    if len(refs) >= _PAGE and len({ref.bucket for ref in refs}) == 1:
        keys = {"bucket": refs[0].bucket, "keys": [ref.key for ref in refs]}
        if work.row(_ANY_IN_RANGE, keys) is None:
            return []
    return work.rows(_CONTENTS, {"names": as_json(refs)})


def _announced_anew(rows: Sequence[RowMapping], refs: Sequence[ObjectRef]) -> dict[UUID, ObjectRef]:
    """Contents that are in the bucket now whatever was known of them, by image."""
    announced = {ref.identity: ref for ref in refs}
    anew = {}
    for row in rows:
        ref = announced.get((row["bucket"], row["key"], row["etag"]))
        if ref is None or not _is_new_event(ref, row["sequencer"]):
            continue
        if _is_replaced(row) or row["deleted_at"] or ref.sequencer:
            anew[row["image_id"]] = ref
    return anew


def _hold(work: Work, rows: Sequence[RowMapping], keys: Collection[tuple[str, str]]) -> None:
    """Lock the open work of these keys, then their studies, as a worker that accepts an image of them does."""
    of_keys = [row for row in rows if (row["bucket"], row["key"]) in keys]
    ids = {"studies": [row["study_id"] for row in of_keys], "images": [row["image_id"] for row in of_keys]}
    lock_open_jobs(work, **ids)
    work.rows(_LOCK_STUDIES, {"studies": ids["studies"]})


def _is_replaced(row: RowMapping) -> bool:
    return bool(row["reason_code"] == ReasonCode.REPLACED)


def _is_new_event(ref: ObjectRef, known: str | None) -> bool:
    """Is this a new event, or a late copy of one that was seen? Without sequencers it counts as new."""
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
