"""The places that a registration takes in a lane, and the open work of objects that are announced again: it is raised
to a more urgent lane, or resumed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from xraygpt_core.ledger.fair_share import Shares
from xraygpt_core.ledger.jobs.claims import ready_in
from xraygpt_core.ledger.studies.choose_image import SURELY_FRONTAL
from xraygpt_core.ledger.studies.objects import Identity, Registered
from xraygpt_core.ledger.studies.raise_drafts import raise_drafts
from xraygpt_core.ledger.transaction import Work
from xraygpt_core.queue import Ring
from xraygpt_core.states import JobKind, Lane

# The place that is served now: the first one that waits to be read or to be summarised, whichever is lower. Of an
# empty lane it is the time, in microseconds.
_SERVED = f"""
    SELECT COALESCE(min(ready.place), CAST(extract(epoch FROM clock_timestamp()) * 1e6 AS bigint)) AS place
    FROM unnest(ARRAY['ingest', 'summarise'], ARRAY[CAST(:rank AS smallint), :rank]) AS q (kind, lane_rank)
    LEFT JOIN LATERAL (SELECT place FROM jobs WHERE {ready_in("q")} LIMIT 1) AS ready ON true
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

# What is urgent does not wait for a paused backlog ('infinity').
_RAISE_JOBS = """
    UPDATE jobs SET lane_rank = :lane_rank, not_before = NULLIF(not_before, 'infinity'),
           place = :place - 1 + COALESCE(array_position(CAST(:studies AS uuid[]), subject),
                                         array_position(CAST(:images AS uuid[]), subject))
    WHERE (subject = ANY(CAST(:studies AS uuid[])) OR subject = ANY(CAST(:images AS uuid[])))
      AND state = 'queued' AND lane_rank > :lane_rank AND kind IN ('ingest', 'settle', 'summarise')
    RETURNING kind, not_before > clock_timestamp() AS later
"""

# A study that becomes stat waits no longer for its rest if it has a frontal film. A settle job whose worker is just
# taking it is passed over: jobs are locked before studies, and these studies are locked already. One that was tried
# before keeps its pause.
_SETTLE_NOW = f"""
    UPDATE jobs SET not_before = NULL, lane_rank = s.lane_rank, place = s.place FROM studies s
    WHERE s.id = jobs.subject AND jobs.id = ANY (ARRAY(
        SELECT id FROM jobs
        WHERE subject = ANY(CAST(:studies AS uuid[])) AND kind = 'settle' AND state = 'queued' AND attempts = 0
          AND not_before IS NOT NULL AND not_before <> 'infinity' AND EXISTS (
              SELECT FROM images i WHERE i.study_id = jobs.subject AND i.state = 'accepted'
                AND {SURELY_FRONTAL.format(image="i")})
        ORDER BY id FOR UPDATE SKIP LOCKED))
    RETURNING jobs.id
"""

# Locked before anything is decided: a backlog that lists the same and is just being paused or cancelled leaves these
# jobs alone, or has stopped them for us to see.
_LOCK_JOBS = """
    SELECT id FROM jobs
    WHERE (subject = ANY(CAST(:studies AS uuid[])) OR subject = ANY(CAST(:images AS uuid[])))
      AND state = 'queued' AND kind IN ('ingest', 'settle', 'summarise') ORDER BY id FOR UPDATE
"""
_RESUME = """
    UPDATE jobs SET not_before = NULL
    WHERE id = ANY(CAST(:jobs AS uuid[])) AND state = 'queued' AND not_before = 'infinity'
"""

# What was announced before its client submitted it was left to that client; no worker had it yet.
_TAKE_SUBMITTED = """
    UPDATE jobs SET not_before = NULL
    WHERE subject = ANY(CAST(:images AS uuid[])) AND kind = 'ingest' AND state = 'queued' AND lease_epoch = 0
      AND isfinite(not_before)
"""


@dataclass(frozen=True)
class Share:
    """The share of one sender in one lane, within a transaction."""

    shares: Shares
    work: Work
    lane: Lane
    sender: str

    def take(self, count: int) -> int:
        """So many places in a row; the first of them."""
        return self.shares.take(self.lane, self.sender, count, self._served)

    def _served(self) -> int:
        row = self.work.row(_SERVED, {"rank": self.lane.rank})
        return int(row["place"]) if row is not None else 0


def raise_lane(work: Work, found: dict[Identity, Registered], lane: Lane, share: Share) -> None:
    """Move the open work of these objects to a more urgent lane, and ring; never to a less urgent one.

    There they stand in the sender's next places: what they had in a former lane says nothing about this one.
    """
    raise_work(work, [one.study_id for one in found.values()], [one.image_id for one in found.values()], lane, share)


def raise_work(work: Work, studies: Sequence[UUID], images: Sequence[UUID], lane: Lane, share: Share) -> None:
    """The same for the work of studies and of images that are still to be read."""
    if not studies or lane is Lane.BACKLOG:
        return
    ids: dict[str, Any] = {"studies": list(studies), "images": list(images), "lane_rank": lane.rank}
    if not work.rows(_RAISABLE, ids):
        return
    ids["place"] = share.take(max(len(studies), len(images)))
    work.rings += [Ring(JobKind(row["kind"]), lane) for row in work.rows(_RAISE_JOBS, ids) if not row["later"]]
    if raised := [row["id"] for row in work.rows(_RAISE_STUDIES, ids)]:
        raise_drafts(work, raised, lane.rank)
        if lane is Lane.STAT:
            _settle_now(work, raised)


def _settle_now(work: Work, study_ids: Sequence[UUID]) -> None:
    """Settle those of these stat studies now that wait for their rest and have a frontal film. Their rows were locked
    in a statement before this one: what others wrote until then is seen.
    """
    work.rings += [Ring(JobKind.SETTLE, Lane.STAT) for _ in work.rows(_SETTLE_NOW, {"studies": list(study_ids)})]


def take_submitted(work: Work, found: dict[Identity, Registered]) -> None:
    """Let these objects be read now that their client submits them: an event had announced them first."""
    if found:
        work.run(_TAKE_SUBMITTED, {"images": [one.image_id for one in found.values()]})


def resume_paused(work: Work, found: dict[Identity, Registered]) -> None:
    """Let the open work of these objects go on that a paused backlog holds: another backlog lists them, too."""
    if not found:
        return
    known = found.values()
    if jobs := lock_open_jobs(work, [one.study_id for one in known], [one.image_id for one in known]):
        work.run(_RESUME, {"jobs": jobs})


def lock_open_jobs(work: Work, studies: Sequence[UUID], images: Sequence[UUID]) -> list[UUID]:
    """Lock the queued jobs of these studies and images; their ids."""
    return [row["id"] for row in work.rows(_LOCK_JOBS, {"studies": studies, "images": images})]
