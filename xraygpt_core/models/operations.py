"""What operators look at: rollups of finished work, the worker processes that are alive, events that nobody could read.

Nothing here names a patient, an image or a study. A rollup has a row for each five minutes in which something happened.
"""

from sqlalchemy import BigInteger, Column, DateTime, Float, Integer, SmallInteger, Table, Text, text
from sqlalchemy.dialects.postgresql import JSONB, UUID

from xraygpt_core.models.base import metadata, moment


def _bucket() -> Column[object]:
    return Column("bucket", DateTime(timezone=True), primary_key=True)


def _count(name: str) -> Column[object]:
    return Column(name, BigInteger, nullable=False, server_default=text("0"))


def _seconds(name: str) -> Column[object]:
    return Column(name, Float, nullable=False, server_default=text("0"))


# Jobs that came and that ended, by kind and lane; beside them the deepest queue and the oldest job that were seen.
work_rollup = Table(
    "work_rollup",
    metadata,
    _bucket(),
    Column("kind", Text, primary_key=True),
    Column("lane_rank", SmallInteger, primary_key=True, autoincrement=False),
    *(_count(name) for name in ("arrived", "done", "dead", "cancelled", "retried")),
    *(_seconds(name) for name in ("waited_seconds", "waited_max", "ran_seconds", "ran_max")),
    _count("tokens"),
    _count("waiting_max"),
    _seconds("oldest_seconds"),
)

# Jobs that a worker process ended, done or dead.
worker_rollup = Table(
    "worker_rollup",
    metadata,
    _bucket(),
    Column("worker", Text, primary_key=True),
    Column("kind", Text, primary_key=True),
    _count("jobs"),
    _seconds("busy_seconds"),
    _count("tokens"),
    Column("bundle", Text),
)

# How far an open backlog was.
backlog_rollup = Table(
    "backlog_rollup",
    metadata,
    Column("backlog_id", UUID, primary_key=True),
    _bucket(),
    *(_count(name) for name in ("listed", "registered", "summarised", "rejected", "dead", "cancelled", "open")),
    moment("at", now=True),
)

# One row for each worker process, which it writes anew every ten seconds.
workers = Table(
    "workers",
    metadata,
    Column("name", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("slots", Integer, nullable=False),
    Column("busy", Integer, nullable=False),
    Column("tokens_per_s", Float),
    Column("bundle", Text),
    Column("bundle_sha256", Text),
    Column("scope", JSONB),  # what its bundle declares (xraygpt_core/scope.py)
    Column("devices", JSONB),  # what NVML says of its GPUs; null where there is no NVML
    moment("started_at", now=True),
    moment("seen_at", now=True),
)

# Events of a bucket that were turned away, by the door they came through and the cause in our own words.
unreadable_events = Table(
    "unreadable_events",
    metadata,
    Column("door", Text, primary_key=True),
    Column("cause", Text, primary_key=True),
    _count("events"),
    moment("first_at", now=True),
    moment("last_at", now=True),
)
