"""The rollups as curves: work by kind and lane, and backlogs, over the last hours or days."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import IntEnum
from typing import Any
from uuid import UUID

from xraygpt_core.ledger.transaction import Work
from xraygpt_core.states import Lane


class Hours(IntEnum):
    """How far back curves go."""

    SIX = 6
    DAY = 24
    WEEK = 168


# About eighty points a curve.
STEPS: dict[Hours, timedelta] = {
    Hours.SIX: timedelta(minutes=5),
    Hours.DAY: timedelta(minutes=15),
    Hours.WEEK: timedelta(hours=2),
}

_BIN = "date_bin(CAST(:step AS interval), bucket, '2000-01-01T00:00:00Z')"
_WORK = f"""
    SELECT {_BIN} AS at, kind, lane_rank, sum(arrived)::bigint AS arrived, sum(done)::bigint AS done,
           sum(dead)::bigint AS dead, sum(cancelled)::bigint AS cancelled, sum(retried)::bigint AS retried,
           sum(tokens)::bigint AS tokens, sum(waited_seconds) AS waited_seconds, max(waited_max) AS waited_max,
           sum(ran_seconds) AS ran_seconds, max(ran_max) AS ran_max, max(waiting_max) AS waiting_max,
           max(oldest_seconds) AS oldest_seconds
    FROM work_rollup WHERE bucket >= :since GROUP BY 1, 2, 3 ORDER BY 2, 3, 1
"""
_WINDOW = f"""
    SELECT clock_timestamp() AS now, {_BIN.replace("bucket", "clock_timestamp() - make_interval(hours => :hours)")}
           AS since
"""

# The newest, and those that are open however old they are.
_BACKLOGS = """
    SELECT b.id AS backlog_id, b.state, b.lane_rank, b.problem, b.created_at, b.listed_at, b.finished_at, n.at,
           n.listed, n.registered, n.summarised, n.rejected, n.dead, n.cancelled, n.open,
           h.at AS before_at, h.registered - h.open AS before_ended
    FROM (
        (SELECT * FROM backlogs WHERE state IN ('listing', 'listed', 'paused') ORDER BY id DESC LIMIT 20)
        UNION (SELECT * FROM backlogs ORDER BY id DESC LIMIT 5)
    ) b
    LEFT JOIN LATERAL (
        SELECT * FROM backlog_rollup r WHERE r.backlog_id = b.id ORDER BY r.bucket DESC LIMIT 1
    ) n ON true
    LEFT JOIN LATERAL (
        SELECT at, registered, open FROM backlog_rollup r
        WHERE r.backlog_id = b.id AND r.at >= n.at - interval '1 hour' AND r.at < n.at ORDER BY r.at LIMIT 1
    ) h ON true
    ORDER BY b.id DESC
"""
_BURN_DOWN = f"""
    SELECT backlog_id, {_BIN} AS at, (array_agg(registered ORDER BY bucket DESC))[1] AS registered,
           (array_agg(open ORDER BY bucket DESC))[1] AS open
    FROM backlog_rollup WHERE backlog_id = ANY(:ids) AND bucket >= :since GROUP BY 1, 2 ORDER BY 1, 2
"""


@dataclass(frozen=True)
class WorkPoint:
    """What a kind and lane did within a step; ``waiting_max`` and ``oldest_seconds`` are the worst that was seen."""

    at: datetime
    arrived: int
    done: int
    dead: int
    cancelled: int
    retried: int
    tokens: int
    waited_seconds: float
    waited_max: float
    ran_seconds: float
    ran_max: float
    waiting_max: int
    oldest_seconds: float


@dataclass(frozen=True)
class WorkCurve:
    """A kind and lane; steps in which nothing happened are left out."""

    kind: str
    lane: Lane
    points: list[WorkPoint]


@dataclass(frozen=True)
class BacklogPoint:
    """How far a backlog was at the end of a step."""

    at: datetime
    registered: int
    open: int


@dataclass(frozen=True)
class BacklogNow:
    """A backlog as it was seen last (``at``), and how fast it goes.

    Attributes:
        per_hour: images that ended in the last hour, by the clock; None while nothing is known.
        left_seconds: until none is open, at that rate; None where it cannot be said.
    """

    backlog_id: UUID
    state: str
    lane: Lane
    problem: str | None
    created_at: datetime
    listed_at: datetime | None
    finished_at: datetime | None
    at: datetime | None
    listed: int | None
    registered: int | None
    summarised: int | None
    rejected: int | None
    dead: int | None
    cancelled: int | None
    open: int | None
    per_hour: float | None
    left_seconds: float | None
    points: list[BacklogPoint]


@dataclass(frozen=True)
class Window:
    """The time that is looked at, in steps of so many seconds."""

    hours: int
    step_seconds: int
    since: datetime
    now: datetime


def window(work: Work, hours: Hours) -> Window:
    """The last hours, by the database's clock, from the beginning of a step on."""
    row = work.found(_WINDOW, {"step": STEPS[hours], "hours": int(hours)}, "")
    return Window(int(hours), int(STEPS[hours].total_seconds()), row["since"], row["now"])


def work_curves(work: Work, seen: Window) -> list[WorkCurve]:
    """What came and ended, and how long queues were, by kind and lane."""
    curves: dict[tuple[str, int], list[WorkPoint]] = {}
    for row in work.rows(_WORK, _values(seen)):
        values = dict(row)
        place = values.pop("kind"), values.pop("lane_rank")
        curves.setdefault(place, []).append(WorkPoint(**values))
    return [WorkCurve(kind, Lane.of_rank(rank), points) for (kind, rank), points in curves.items()]


def backlogs_now(work: Work, seen: Window) -> list[BacklogNow]:
    """The open backlogs and the last five, the newest first; their addresses in the bucket stay inside."""
    rows = work.rows(_BACKLOGS)
    ids = [row["backlog_id"] for row in rows]
    burnt = work.rows(_BURN_DOWN, _values(seen) | {"ids": ids}) if ids else []
    points: dict[UUID, list[BacklogPoint]] = {}
    for row in burnt:
        points.setdefault(row["backlog_id"], []).append(BacklogPoint(row["at"], row["registered"], row["open"]))
    return [_backlog(dict(row), points.get(row["backlog_id"], [])) for row in rows]


def _backlog(values: dict[str, Any], points: list[BacklogPoint]) -> BacklogNow:
    before_at, before_ended = values.pop("before_at"), values.pop("before_ended")
    speed = None
    if before_at is not None:
        hours = (values["at"] - before_at).total_seconds() / 3600
        speed = max(0.0, (values["registered"] - values["open"] - before_ended) / hours)
    left = values["open"] / speed * 3600 if speed and values["open"] and values["state"] == "listed" else None
    lane = Lane.of_rank(values.pop("lane_rank"))
    return BacklogNow(**values, lane=lane, per_hour=speed, left_seconds=left, points=points)


def _values(seen: Window) -> dict[str, Any]:
    return {"step": timedelta(seconds=seen.step_seconds), "since": seen.since}
