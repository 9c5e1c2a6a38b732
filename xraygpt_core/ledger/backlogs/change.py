"""Pausing, cancelling and resuming a backlog: what of it is queued. What runs finishes, and what was cancelled with a
backlog comes back with it.
"""

from functools import partial
from uuid import UUID

from xraygpt_core.errors import Conflict
from xraygpt_core.ids import new_id
from xraygpt_core.ledger.audit.record import record
from xraygpt_core.ledger.backlogs.progress import backlog
from xraygpt_core.ledger.jobs.claims import add_job
from xraygpt_core.ledger.jobs.fence import repeating
from xraygpt_core.ledger.studies.reopen import BY_PERSON, STOPPED
from xraygpt_core.ledger.transaction import Ledger, Work
from xraygpt_core.states import JobKind, Lane

# A million jobs in one statement would hold their rows for a minute, and run into the statement's time limit.
_WINDOW = 10_000
_WINDOW_END = f"""
    SELECT image_id FROM backlog_images WHERE backlog_id = :id AND image_id > :after
    ORDER BY image_id OFFSET {_WINDOW - 1} LIMIT 1
"""

_IMAGES = f"""
    SELECT image_id FROM backlog_images WHERE backlog_id = :id AND image_id > :after ORDER BY image_id LIMIT {_WINDOW}
"""

# Here and below everything is looked up by a key that is known before the look, or stands in an array. Whatever the
# planner believes of a table that was just filled, which may be that it is empty: a join it may turn into one walk
# through all rows for each row of the window.
_WINDOW_IMAGES = f"({_IMAGES}) n CROSS JOIN LATERAL (SELECT * FROM images WHERE id = n.image_id LIMIT 1) i"

# Jobs that read these images, settle their studies and summarise them. Which kinds, they are by their subjects.
_JOBS = f"""
    WHERE state = 'queued'
      AND subject = ANY (ARRAY(SELECT unnest({{subjects}}) FROM {_WINDOW_IMAGES}))
      AND lane_rank >= (SELECT lane_rank FROM backlogs WHERE id = :id)
"""
_ITS_JOBS = _JOBS.format(subjects="ARRAY[n.image_id, i.study_id]")

# Somebody else announced this image before the backlog did, or another backlog that is {open} lists it, too.
_WANTED = """
    ((SELECT 1 FROM backlog_images x WHERE x.image_id = {image} AND x.backlog_id = ANY (ARRAY(
          SELECT id FROM backlogs WHERE id <> :id AND state IN ({open}))) LIMIT 1) IS NOT NULL
     OR (SELECT 1 FROM timeline t WHERE t.study_id = {study} AND t.image_id = {image} AND t.what = 'registered'
           AND t.who <> 'backlog' LIMIT 1) IS NOT NULL)
"""

# A film's registration stands on the timeline of the study it was first in.
_NAMES = "ANY (ARRAY(SELECT o.study_id UNION ALL SELECT s.id FROM studies s WHERE s.alias_of = o.study_id))"

# A study that has a summary, or an image that others sent or want, is not the backlog's to stop.
_OWN_STUDY = f"""
    (SELECT 1 FROM summaries m WHERE m.study_id = jobs.subject AND m.superseded_at IS NULL) IS NULL
    AND (SELECT 1 FROM images o WHERE o.study_id = jobs.subject AND o.state IN ('received', 'accepted')
           AND ((SELECT 1 FROM backlog_images n WHERE n.backlog_id = :id AND n.image_id = o.id) IS NULL
                OR {_WANTED.format(image="o.id", study=_NAMES, open="{open}")})
         LIMIT 1) IS NULL
"""
_SUBJECTS = f"""
    CASE WHEN {_WANTED.format(image="n.image_id", study="i.study_id", open="{open}")}
         THEN ARRAY[i.study_id] ELSE ARRAY[n.image_id, i.study_id] END
"""
_OWN_JOBS = f"{_JOBS.format(subjects=_SUBJECTS)} AND (kind = 'ingest' OR {_OWN_STUDY})"

# Paused jobs wait far in the future; the dispatcher passes them over. What was asked for in a more urgent lane
# meanwhile is no longer the backlog's to stop. No index knows isfinite: that of what waits would be walked through from
# its beginning for every window.
_RUNS = "'listing', 'listed'"
_OPEN = f"{_RUNS}, 'paused'"
_REST = f"UPDATE jobs SET not_before = 'infinity' {_OWN_JOBS.format(open=_RUNS)}"
_GO_ON = f"UPDATE jobs SET not_before = NULL {_ITS_JOBS} AND NOT isfinite(not_before)"

# A study that is not read yet is over with its last image; one whose object has another content that is being read
# goes on. One that is read is over with its own job, unless an image joined it at this very moment.
_STOP = f"""
    WITH stopped AS (
        UPDATE jobs SET state = 'cancelled', finished_at = clock_timestamp() {_OWN_JOBS.format(open=_OPEN)}
        RETURNING kind, subject, revision
    ), unread AS (
        UPDATE images SET state = 'cancelled', finished_at = clock_timestamp()
        WHERE id = ANY (ARRAY(SELECT subject FROM stopped WHERE kind = 'ingest')) AND state = 'received'
        RETURNING id, study_id
    ), ended AS (
        UPDATE studies SET state = 'cancelled', reason_code = NULL, revision = studies.revision + 1,
               finished_at = clock_timestamp()
        WHERE id = ANY (ARRAY(
            SELECT s.id FROM stopped j
            CROSS JOIN LATERAL (SELECT id, revision FROM studies WHERE id = j.subject LIMIT 1) s
            WHERE j.kind <> 'ingest' AND j.revision = s.revision
        )) AND state IN ('waiting', 'queued') RETURNING id
    ), read AS (
        UPDATE images SET state = 'cancelled', finished_at = clock_timestamp()
        WHERE study_id = ANY (ARRAY(SELECT id FROM ended)) AND state = 'accepted' RETURNING id, study_id
    ), story AS (
        INSERT INTO timeline (study_id, image_id, what, who, detail)
        SELECT study_id, id, 'cancelled', 'backlog', jsonb_build_object('backlog', CAST(:id AS uuid))
        FROM (TABLE unread UNION ALL TABLE read) AS gone
    )
    UPDATE studies SET state = 'cancelled', finished_at = clock_timestamp()
    WHERE id = ANY (ARRAY(SELECT study_id FROM unread)) AND state = 'received'
      AND (SELECT 1 FROM images i WHERE i.study_id = studies.id AND i.state IN ('received', 'accepted')
             AND i.id NOT IN (SELECT id FROM unread) LIMIT 1) IS NULL
"""

# Taken before anything is decided, jobs before studies as everywhere. What is stopped is then as it will be: another
# backlog's page is waited for, and a content that is being registered or rejected at this moment.
_LOCK_JOBS = f"""
    SELECT count(*) FROM (
        SELECT id FROM jobs WHERE id = ANY (ARRAY(SELECT id FROM jobs {_ITS_JOBS})) ORDER BY id FOR UPDATE) AS locked
"""
_LOCK_STUDIES = f"""
    SELECT count(*) FROM (
        SELECT id FROM studies
        WHERE id = ANY (ARRAY(SELECT i.study_id FROM {_WINDOW_IMAGES}))
          AND state IN ('received', 'waiting', 'queued') ORDER BY id FOR UPDATE) AS locked
"""

# Images that a backlog's cancellation ended, and not a person or a newer content; with them their studies. An image
# that was being read meanwhile is in its study already, which is then settled anew.
_READ = "((SELECT 1 FROM images i WHERE i.study_id = studies.id AND i.state = 'accepted' LIMIT 1) IS NOT NULL)"
_TAKE_BACK = f"""
    WITH its AS (
        SELECT i.id, i.study_id, i.state = 'cancelled' AS stopped FROM {_WINDOW_IMAGES}
        CROSS JOIN LATERAL (SELECT * FROM studies WHERE id = i.study_id LIMIT 1) s
        WHERE (i.state = 'cancelled' AND i.reason_code IS NULL
               OR i.state IN ('received', 'accepted') AND s.state = 'cancelled')
          AND s.purged_at IS NULL AND 'backlog' = (
              SELECT CASE WHEN {BY_PERSON} THEN 'person' ELSE t.who END FROM timeline t
              WHERE t.study_id = s.id AND t.what = 'cancelled'
                AND (t.image_id = i.id OR t.image_id IS NULL OR i.state <> 'cancelled')
              ORDER BY t.id DESC LIMIT 1)
    ), unread AS (
        UPDATE images SET state = 'received', finished_at = NULL
        WHERE id = ANY (ARRAY(SELECT id FROM its WHERE stopped)) AND state = 'cancelled' RETURNING id, study_id
    ), again AS (
        UPDATE jobs SET state = 'queued', attempts = 0, not_before = NULL, finished_at = NULL
        WHERE kind = 'ingest' AND key = ANY (ARRAY(SELECT id::text FROM unread))
    ), story AS (
        INSERT INTO timeline (study_id, image_id, what, who) SELECT study_id, id, 'resumed', 'backlog' FROM unread
    )
    UPDATE studies SET finished_at = NULL, revision = revision + {_READ}::int,
           state = CASE WHEN {_READ} THEN 'waiting' ELSE 'received' END
    WHERE id = ANY (ARRAY(SELECT study_id FROM its)) AND {STOPPED}
    RETURNING id, revision, lane_rank, place, state
"""

# What becomes of the backlog's own row, from which states, and which state says that it was begun before.
_CHANGES = {
    "pause": ("state = 'paused'", {"listing", "listed"}, "paused"),
    "cancel": ("state = 'cancelled', finished_at = clock_timestamp()", {"listing", "listed", "paused"}, "cancelled"),
    # Resumed last, it is not taken for done meanwhile.
    "resume": ("state = state", {"paused", "cancelled"}, None),
}

_DONE = {"pause": "paused", "resume": "resumed", "cancel": "cancelled"}

_BEGIN = """
    UPDATE backlogs SET changing = :change, {becomes}
    WHERE id = :id AND (state = ANY(:states) OR state = :begun AND (:again OR changing IS NOT NULL)) RETURNING id
"""

# Who wants another change waits for the window, and the next window finds out.
_STILL = "SELECT id FROM backlogs WHERE id = :id AND changing = :change FOR SHARE"

_RESUMED = "state = CASE WHEN listed_at IS NULL THEN 'listing' ELSE 'listed' END, finished_at = NULL,"
_END = "UPDATE backlogs SET {becomes} changing = NULL WHERE id = :id AND changing = :change"


def change_backlog(ledger: Ledger, backlog_id: UUID, wanted: str) -> None:
    """Pause, resume or cancel a backlog: what of it is queued, to be read or to be summarised. What runs finishes.

    Resumed, a cancelled backlog takes back what was cancelled with it: its objects are read again. The oldest jobs,
    which would be next, are changed first, ten thousand a transaction. Asked for again, a change that was interrupted
    goes on; one that is overtaken by another change leaves the rest to that.

    Args:
        wanted: ``pause``, ``resume`` or ``cancel``.

    Raises:
        NotFound: there is none.
        Conflict: it is not in a state for that, or it was changed again meanwhile.
    """
    # Paused and cancelled first, it is not listed meanwhile.
    change = {"id": backlog_id, "change": _begin(ledger, backlog_id, wanted)}
    after: UUID | None = UUID(int=0)
    while after is not None:
        after = _change_window(ledger, wanted, change | {"after": after})
    sql = _END.format(becomes=_RESUMED if wanted == "resume" else "")

    def end(work: Work) -> None:
        if not work.run(sql, change):
            raise _overtaken(wanted)

    repeating(ledger, end)


def _begin(ledger: Ledger, backlog_id: UUID, wanted: str) -> UUID:
    """Make this the newest change of the backlog; its id.

    Raises:
        NotFound: there is no such backlog.
        Conflict: it is not in a state for that.
    """
    becomes, states, begun = _CHANGES[wanted]
    sql, change = _BEGIN.format(becomes=becomes), new_id()

    def begin(work: Work, *, again: bool) -> bool:
        values = {"id": backlog_id, "change": change, "states": list(states), "begun": begun, "again": again}
        changed = work.row(sql, values) is not None
        if changed:
            record(work, f"backlog {_DONE[wanted]}", subject=backlog_id)
        return changed

    if not repeating(ledger, partial(begin, again=False)):
        now = backlog(ledger, backlog_id)
        if now.state != begun or not now.open or not repeating(ledger, partial(begin, again=True)):
            raise Conflict(f"the backlog is {now.state}: it cannot be {wanted.rstrip('e')}ed")
    return change


def _overtaken(wanted: str) -> Conflict:
    return Conflict(f"the backlog was changed again before all of it was {wanted.rstrip('e')}ed")


def _change_window(ledger: Ledger, wanted: str, window: dict[str, UUID]) -> UUID | None:
    """Change the jobs of some images; the last of those images, or None if no more follow.

    Raises:
        Conflict: another change of the backlog is newer.
    """

    def body(work: Work) -> UUID | None:
        if work.row(_STILL, window) is None:
            raise _overtaken(wanted)
        work.by_index()
        match wanted:
            case "pause":
                work.run(_LOCK_JOBS, window)
                work.run(_REST, window)
            case "cancel":
                work.run(_LOCK_JOBS, window)
                work.run(_LOCK_STUDIES, window)
                work.run(_STOP, window)
            case "resume":
                work.run(_GO_ON, window)
                _take_back(ledger, work, window)
        end = work.row(_WINDOW_END, window)
        return None if end is None else end["image_id"]

    return repeating(ledger, body)


def _take_back(ledger: Ledger, work: Work, window: dict[str, UUID]) -> None:
    for study in work.rows(_TAKE_BACK, window):
        if study["state"] == "waiting":
            lane, revision = Lane.of_rank(study["lane_rank"]), study["revision"]
            attempts = ledger.settings.max_attempts
            add_job(
                work,
                JobKind.SETTLE,
                study["id"],
                lane,
                revision=revision,
                place=study["place"],
                max_attempts=attempts,
            )
