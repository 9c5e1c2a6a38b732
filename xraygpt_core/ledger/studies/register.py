"""An object of the bucket becomes an image, a study and an ingest job: once, however often it is announced."""

import json
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any, Protocol, TypeVar
from uuid import UUID

from xraygpt_core.ids import new_ids
from xraygpt_core.ledger.actor import Actor
from xraygpt_core.ledger.audit.record import record
from xraygpt_core.ledger.fair_share import sender_of
from xraygpt_core.ledger.jobs.claims import insert_jobs
from xraygpt_core.ledger.jobs.fence import repeating
from xraygpt_core.ledger.jobs.lane_places import Share
from xraygpt_core.ledger.studies.known_objects import SEEN_AT, find_known, raise_lane, wake
from xraygpt_core.ledger.studies.objects import Identity, ObjectRef, Registered
from xraygpt_core.ledger.studies.reopen import reopen_for_new
from xraygpt_core.ledger.transaction import Ledger, Work
from xraygpt_core.queue import Ring
from xraygpt_core.states import JobKind, Lane

__all__ = ["ObjectRef", "Registered", "note_deleted", "register_in", "register_objects", "registering"]

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

# Keeps a study from being purged, or from becoming an alias, until the new image is in it.
_HOLD = """
    SELECT id, alias_of FROM studies WHERE id = ANY(CAST(:ids AS uuid[])) AND purged_at IS NULL
    ORDER BY id FOR KEY SHARE
"""

_ROWS = """
    n AS (
        SELECT * FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS n (
            image_id uuid, study_id uuid, job_id uuid, fresh boolean, bucket text, key text, etag text,
            version_id text, sequencer text, size bigint, place bigint))
"""

# {seen_at} is a query per row, for the rows whose key held something else before.
_KEYS = """
    INSERT INTO object_keys (image_id, bucket, key, etag, version_id, sequencer, size, seen_at)
    SELECT image_id, bucket, key, etag, version_id, sequencer, size, {seen_at} FROM n AS o
    ON CONFLICT (bucket, key, etag) DO NOTHING
"""

_WORK = f"""
    provisional AS (
        INSERT INTO studies (id, lane_rank, place, state)
        SELECT study_id, CAST(:lane_rank AS smallint), min(place), 'received' FROM {{mine}} WHERE fresh
        GROUP BY study_id
    ), pictures AS (
        INSERT INTO images (id, study_id, state) SELECT image_id, study_id, 'received' FROM {{mine}}
    ), work AS (
        {insert_jobs("{mine}", "'ingest'", subject="image_id", lane_rank=":lane_rank")}
    ), story AS (
        INSERT INTO timeline (study_id, image_id, job_id, what, who)
        SELECT study_id, image_id, job_id, 'registered', :actor FROM {{mine}})
"""

_INSERT = f"WITH {_ROWS}, {_WORK.format(mine='n')} {_KEYS}"

# A quarter slower: what somebody else registers at this moment is waited for, and left out.
_INSERT_MINE = f"""
    WITH {_ROWS}, won AS ({_KEYS} RETURNING image_id), mine AS (SELECT n.* FROM n JOIN won USING (image_id)),
    {_WORK.format(mine="mine")} SELECT image_id FROM won
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

    def register_all(calls: Sequence[_Call]) -> list[list[Registered]]:
        refs = [ref for call in calls for ref in call.objects]

        def register(work: Work, *, careful: bool) -> list[list[Registered]]:
            found = iter(register_in(ledger, work, refs, lane, actor=actor, careful=careful, sender=sender))
            answers = [list(islice(found, len(call.objects))) for call in calls]
            _record(work, calls, answers, lane, actor)
            return answers

        return registering(ledger, register)

    sender = sender_of(ledger.actor, actor)  # whose share of the lane it is, is one answer: several do not meet
    return ledger.meeting(("register", lane, actor, sender), register_all)(_Call(objects, ledger.actor))


@dataclass(frozen=True)
class _Call:
    """One of those whose objects are registered together: whose act is it?"""

    objects: Sequence[ObjectRef]
    who: Actor | None


def _record(
    work: Work, calls: Sequence[_Call], answers: Sequence[Sequence[Registered]], lane: Lane, actor: str
) -> None:
    """A submission is an act of its own. What a bucket announces is one act a transaction: a busy one pays once."""
    submitted = actor == "gateway"
    acts: dict[tuple[Actor | None, int], list[Registered]] = {}
    for place, (call, answer) in enumerate(zip(calls, answers, strict=True)):
        acts.setdefault((call.who, place if submitted else 0), []).extend(answer)
    for (who, _), found in acts.items():
        studies = list(dict.fromkeys(one.study_id for one in found))
        detail = {"images": len(found), "new": sum(one.new for one in found), "lane": lane}
        what = "images submitted" if submitted else "images announced"
        record(work.by(who), what, studies=studies, detail=detail)


class Registering(Protocol[T_co]):
    """What is done in a registration's transaction."""

    def __call__(self, work: Work, *, careful: bool) -> T_co:
        """``careful``: as :func:`register_in`."""


def registering(ledger: Ledger, body: Registering[T]) -> T:
    """Run ``body``, which calls :func:`register_in`, in one transaction; carefully, if others interfere."""
    with suppress(_Raced):
        return repeating(ledger, partial(body, careful=False))
    while True:
        with suppress(_Raced):
            return repeating(ledger, partial(body, careful=True))


def register_in(
    ledger: Ledger,
    work: Work,
    objects: Sequence[ObjectRef],
    lane: Lane,
    *,
    actor: str,
    careful: bool,
    sender: str | None = None,
) -> list[Registered]:
    """The same inside a transaction of :func:`registering`.

    Args:
        sender: whose share of the lane these take; None: the actor's of this ledger.
        careful: a page goes on without the objects that somebody else is registering, instead of beginning again.
    """
    found: dict[Identity, Registered] = {}
    share = Share(ledger.shares, work, lane, sender or sender_of(ledger.actor, actor))
    left = list({ref.identity: ref for ref in objects}.values())
    while left:  # what others registered meanwhile is known at the next look
        known = find_known(work, left)
        if actor == "backlog":
            wake(work, known.found)
        raise_lane(work, known.found, lane, share)
        new = [ref for ref in left if ref.identity not in known.found]
        of_key = {(ref.bucket, ref.key): known.studies.get((ref.bucket, ref.key)) for ref in new}
        held = _held(work, {name: study_id for name, study_id in of_key.items() if study_id is not None})
        found |= known.found | _add(ledger, work, new, held, share, actor, careful=careful)
        left = [ref for ref in new if ref.identity not in found]
    return [found[ref.identity] for ref in objects]


def note_deleted(ledger: Ledger, bucket: str, key: str, sequencer: str | None = None) -> None:
    """Note on the timeline that an object was deleted from the bucket. Its summary stays.

    Args:
        sequencer: of the event; contents that came later, as far as sequencers tell, are still there.
    """
    with ledger.work() as work:
        gone = work.run(_NOTE_DELETED, {"bucket": bucket, "key": key, "sequencer": sequencer})
        record(work, "deletion announced", detail={"images": gone})


def _held(work: Work, of_key: Mapping[tuple[str, str], UUID]) -> dict[tuple[str, str], UUID]:
    """Those of these studies that a new content can join, kept as they are until the commit.

    Raises:
        _Raced: the known study turned out to be another one while we waited for it.
    """
    if not of_key:
        return {}
    held = work.rows(_HOLD, {"ids": list(of_key.values())})
    if any(row["alias_of"] is not None for row in held):
        raise _Raced
    alive = {row["id"] for row in held}
    return {name: study_id for name, study_id in of_key.items() if study_id in alive}


def _add(
    ledger: Ledger,
    work: Work,
    refs: Sequence[ObjectRef],
    of_key: Mapping[tuple[str, str], UUID],
    share: Share,
    actor: str,
    *,
    careful: bool,
) -> dict[Identity, Registered]:
    """Insert what is new, into the studies of their keys where there are such.

    Returns:
        What was inserted; not what somebody else registered meanwhile.

    Raises:
        _Raced: somebody else registered one of them meanwhile; with ``careful`` only another content of its key.
    """
    if not refs:
        return {}
    lane, rows = share.lane, _rows(refs, of_key, share.take(len(refs)))
    values = {"rows": json.dumps(rows), "lane_rank": lane.rank, "max_attempts": ledger.settings.max_attempts}
    values["actor"] = actor
    insert = (_INSERT_MINE if careful else _INSERT).format(seen_at=SEEN_AT if of_key else "clock_timestamp()")
    added = {
        ref.identity: Registered(UUID(row["image_id"]), UUID(row["study_id"]), ref.uri, new=True)
        for ref, row in zip(refs, rows, strict=True)
    }
    if careful:
        added = _won(added, {row["image_id"] for row in work.rows(insert, values)})
    elif work.run(insert, values) < len(refs):
        raise _Raced
    if of_key and added:
        known = set(of_key.values())
        reopen_for_new(work, {one.study_id: one.image_id for one in added.values() if one.study_id in known})
    if lane is not Lane.BACKLOG and added:
        work.rings.append(Ring(JobKind.INGEST, lane, len(added)))
    return added


def _won(tried: dict[Identity, Registered], images: Collection[UUID]) -> dict[Identity, Registered]:
    """Those whose images were inserted.

    Raises:
        _Raced: two contents of a key, one of them now in a study we have not seen: the other belongs there, too.
    """
    won = {identity: one for identity, one in tried.items() if one.image_id in images}
    lost = {(bucket, key) for bucket, key, _etag in tried.keys() - won.keys()}
    if any((bucket, key) in lost for bucket, key, _etag in won):
        raise _Raced
    return won


def _rows(refs: Sequence[ObjectRef], of_key: Mapping[tuple[str, str], UUID], first_place: int) -> list[dict[str, Any]]:
    """What is inserted for each object; contents of a key that is not known share a ``fresh`` study."""
    studies = {name: str(study_id) for name, study_id in of_key.items()}
    count = len(refs)
    ids = new_ids(3 * count)  # in the order of the list within each table
    rows = []
    places = range(first_place, first_place + count)
    for ref, image_id, job_id, study_id, place in zip(refs, ids, ids[count:], ids[2 * count :], places, strict=False):
        name = (ref.bucket, ref.key)
        new = {
            "image_id": image_id,
            "job_id": job_id,
            "fresh": name not in of_key,
            "study_id": studies.setdefault(name, study_id),
            "place": place,
        }
        rows.append(ref.__dict__ | new)
    return rows
