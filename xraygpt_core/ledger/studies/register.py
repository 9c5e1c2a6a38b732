"""An object of the bucket becomes an image, a study and an ingest job: once, however often it is announced."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any
from uuid import UUID

from xraygpt_core.ids import new_ids
from xraygpt_core.ledger.actor import Actor
from xraygpt_core.ledger.audit.record import record
from xraygpt_core.ledger.fair_share import sender_of
from xraygpt_core.ledger.jobs.claims import insert_jobs
from xraygpt_core.ledger.studies.known_objects import SEEN_AT, find_known
from xraygpt_core.ledger.studies.objects import Identity, ObjectRef, Registered
from xraygpt_core.ledger.studies.open_work import Share, raise_lane, resume_paused, take_submitted
from xraygpt_core.ledger.studies.register_races import RacedError, inserted_first, lock_joined, registering
from xraygpt_core.ledger.studies.reopen import reopen_for_new
from xraygpt_core.ledger.studies.request_words import Seal, keep_words
from xraygpt_core.ledger.transaction import Ledger, Work
from xraygpt_core.queue import Ring
from xraygpt_core.states import JobKind, Lane

__all__ = ["ObjectRef", "Registered", "register_in", "register_objects"]

_ROWS = """
    SELECT * FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS n (
        image_id uuid, study_id uuid, job_id uuid, fresh boolean, bucket text, key text, etag text,
        version_id text, sequencer text, size bigint, place bigint)
"""

# {seen_at} is a query per row, for the rows whose key held something else before.
_KEYS = """
    INSERT INTO object_keys (image_id, bucket, key, etag, version_id, sequencer, size, seen_at)
    SELECT image_id, bucket, key, etag, version_id, sequencer, size, {{seen_at}} FROM {rows} AS o
    ON CONFLICT (bucket, key, etag) DO NOTHING
"""

_LATER = "clock_timestamp() + make_interval(secs => CAST(:wait AS float8))"
_WORK = f"""
    provisional AS (
        INSERT INTO studies (id, lane_rank, place, state)
        SELECT study_id, CAST(:lane_rank AS smallint), min(place), 'received' FROM n WHERE fresh GROUP BY study_id
    ), pictures AS (
        INSERT INTO images (id, study_id, state) SELECT image_id, study_id, 'received' FROM n
    ), work AS (
        {insert_jobs("n", "'ingest'", subject="image_id", lane_rank=":lane_rank", not_before=_LATER)}
    ), story AS (
        INSERT INTO timeline (study_id, image_id, job_id, what, who)
        SELECT study_id, image_id, job_id, 'registered', :actor FROM n
    )
"""

_INSERT = f"WITH n AS ({_ROWS}), {_WORK} {_KEYS.format(rows='n')}"

# A quarter slower: it waits for objects that others register at this moment, and leaves them out.
_INSERT_CAREFULLY = f"""
    WITH offered AS ({_ROWS}), mine AS ({_KEYS.format(rows="offered")} RETURNING image_id),
    n AS (SELECT offered.* FROM offered JOIN mine USING (image_id)), {_WORK} SELECT image_id FROM mine
"""


def register_objects(
    ledger: Ledger,
    objects: Sequence[ObjectRef],
    lane: Lane,
    *,
    actor: str,
    words: Seal | None = None,
    wait: float | None = None,
) -> list[Registered]:
    """Write images, provisional studies and ingest jobs for these objects in one transaction, then ring.

    Known objects are found again, and their open work is raised to this lane if it is more urgent; never lowered.
    A content that comes back after it was overwritten (A, B, A) is read again. Purged objects stay purged.
    Threads that come at the same moment share a transaction; each gets its own answer.

    Args:
        actor: what announced them, for the timeline: ``gateway``, ``event``, ``sweep``, ``backlog``.
        words: seals what the request says of an image, by its id; None: it says nothing.
        wait: seconds in which no worker takes a new one, unless a client submits it (``gateway``) before they are over.

    Returns:
        One row per object, in the order given.
    """

    def register_all(calls: Sequence[_Call]) -> list[list[Registered]]:
        refs = [ref for call in calls for ref in call.objects]

        def register(work: Work, *, careful: bool) -> list[list[Registered]]:
            found = iter(register_in(ledger, work, refs, lane, actor=actor, careful=careful, sender=sender, wait=wait))
            answers = [list(islice(found, len(call.objects))) for call in calls]
            for call, answer in zip(calls, answers, strict=True):
                if call.words is not None:
                    keep_words(ledger, work, {one.image_id for one in answer}, call.words)
            _record(work, calls, answers, lane, actor)
            return answers

        return registering(ledger, register)

    sender = sender_of(ledger.actor, actor)  # calls share a transaction only if they take from one share of the lane
    return ledger.meeting(("register", lane, actor, sender, wait), register_all)(_Call(objects, ledger.actor, words))


def register_in(
    ledger: Ledger,
    work: Work,
    objects: Sequence[ObjectRef],
    lane: Lane,
    *,
    actor: str,
    careful: bool,
    sender: str | None = None,
    wait: float | None = None,
) -> list[Registered]:
    """The same inside a transaction of :func:`.register_races.registering`.

    Args:
        sender: whose share of the lane these take; None: the actor's of this ledger.
        careful: go on without the objects that others are registering, instead of beginning again.
    """
    found: dict[Identity, Registered] = {}
    share = Share(ledger.shares, work, lane, sender or sender_of(ledger.actor, actor))
    left = list({ref.identity: ref for ref in objects}.values())
    while left:  # what others registered meanwhile is known at the next look
        known, studies = find_known(work, left)
        if actor == "backlog":
            resume_paused(work, known)
        if actor == "gateway":
            take_submitted(work, known)
        raise_lane(work, known, lane, share)
        new = [ref for ref in left if ref.identity not in known]
        joined = lock_joined(work, studies, new)
        found |= known | _add(ledger, work, new, joined, share, actor, careful=careful, wait=wait)
        left = [ref for ref in new if ref.identity not in found]
    return [found[ref.identity] for ref in objects]


def _add(
    ledger: Ledger,
    work: Work,
    refs: Sequence[ObjectRef],
    joined: Mapping[tuple[str, str], UUID],
    share: Share,
    actor: str,
    *,
    careful: bool,
    wait: float | None,
) -> dict[Identity, Registered]:
    """Insert new objects: into the study of an older content of their key (``joined``), else into new ones.

    Returns:
        What was inserted; not what others registered meanwhile.

    Raises:
        RacedError: others registered one of them meanwhile; with ``careful`` only another content of its key.
    """
    if not refs:
        return {}
    lane, rows = share.lane, _rows(refs, joined, share.take(len(refs)))
    values = {"rows": json.dumps(rows), "lane_rank": lane.rank, "max_attempts": ledger.settings.max_attempts}
    values |= {"actor": actor, "wait": wait}
    insert = (_INSERT_CAREFULLY if careful else _INSERT).format(seen_at=SEEN_AT if joined else "clock_timestamp()")
    added = {
        ref.identity: Registered(UUID(row["image_id"]), UUID(row["study_id"]), ref.uri, new=True)
        for ref, row in zip(refs, rows, strict=True)
    }
    if careful:
        added = inserted_first(added, {row["image_id"] for row in work.rows(insert, values)})
    elif work.run(insert, values) < len(refs):
        raise RacedError
    if joined and added:
        known = set(joined.values())
        reopen_for_new(work, {one.study_id: one.image_id for one in added.values() if one.study_id in known})
    if lane is not Lane.BACKLOG and added and wait is None:
        work.rings.append(Ring(JobKind.INGEST, lane, len(added)))
    return added


def _rows(refs: Sequence[ObjectRef], joined: Mapping[tuple[str, str], UUID], first_place: int) -> list[dict[str, Any]]:
    """What is inserted for each object; contents of a key that is not known share a ``fresh`` study."""
    studies = {name: str(study_id) for name, study_id in joined.items()}
    count = len(refs)
    ids = new_ids(3 * count)  # in the order of the list within each table
    rows = []
    places = range(first_place, first_place + count)
    for ref, image_id, job_id, study_id, place in zip(refs, ids, ids[count:], ids[2 * count :], places, strict=False):
        name = (ref.bucket, ref.key)
        new = {
            "image_id": image_id,
            "job_id": job_id,
            "fresh": name not in joined,
            "study_id": studies.setdefault(name, study_id),
            "place": place,
        }
        rows.append(ref.__dict__ | new)
    return rows


@dataclass(frozen=True)
class _Call:
    """The objects of one of the threads that share a transaction, and whose act it is."""

    objects: Sequence[ObjectRef]
    by: Actor | None
    words: Seal | None


def _record(
    work: Work, calls: Sequence[_Call], answers: Sequence[Sequence[Registered]], lane: Lane, actor: str
) -> None:
    """Audit a registration: each submission is an act; what a bucket announces is one act a transaction."""
    submitted = actor == "gateway"
    acts: dict[tuple[Actor | None, int, bool], list[Registered]] = {}
    for number, (call, answer) in enumerate(zip(calls, answers, strict=True)):
        acts.setdefault((call.by, number if submitted else 0, call.words is not None), []).extend(answer)
    for (by, _, words), found in acts.items():
        studies = list(dict.fromkeys(one.study_id for one in found))
        detail = {"images": len(found), "new": sum(one.new for one in found), "lane": lane}
        detail |= {"words": True} if words else {}
        what = "images submitted" if submitted else "images announced"
        record(work.by(by), what, studies=studies, detail=detail)
