"""The ledger of a process: a database, a doorbell, and transactions whose messages leave after the commit."""

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, TypeVar

from sqlalchemy import Connection, TextClause, text
from sqlalchemy.engine import RowMapping

from xraygpt_core.db import Database
from xraygpt_core.errors import NotFound
from xraygpt_core.ledger.actor import Actor
from xraygpt_core.ledger.fair_share import Shares
from xraygpt_core.ledger.group_commit import GroupCommit
from xraygpt_core.queue import Doorbell, Ring, open_doorbell
from xraygpt_core.settings import Settings

Values = Mapping[str, Any]

T = TypeVar("T")
R = TypeVar("R")


# A planner that knows nothing of a table, or has statistics of an hour ago, reads all of it to find a thousand rows.
_BY_INDEX = """
    SELECT set_config(name, 'off', true) FROM unnest(ARRAY[
        'enable_seqscan', 'enable_bitmapscan', 'enable_hashjoin', 'enable_mergejoin']) AS name
"""


@dataclass
class Work:
    """One transaction, and the doorbells to ring once it is committed."""

    connection: Connection
    rings: list[Ring] = field(default_factory=list)
    actor: Actor | None = None

    def by(self, actor: Actor | None) -> "Work":
        """The same transaction, as an act of this actor: one of several that share it."""
        return replace(self, actor=actor)

    def by_index(self) -> None:
        """From here on, find rows by their indexes, whatever the planner believes of the tables."""
        self.rows(_BY_INDEX)

    def run(self, sql: str, values: Values | Sequence[Values] = ()) -> int:
        """Execute a statement (once per element, if values is a sequence); the number of rows it touched."""
        return self.connection.execute(_parsed(sql), values or None).rowcount

    def rows(self, sql: str, values: Values | None = None) -> Sequence[RowMapping]:
        """All rows of a query."""
        return self.connection.execute(_parsed(sql), values).mappings().all()

    def row(self, sql: str, values: Values | None = None) -> RowMapping | None:
        """The first row of a query, or None."""
        return self.connection.execute(_parsed(sql), values).mappings().first()

    def found(self, sql: str, values: Values, otherwise: str) -> RowMapping:
        """The first row of a query.

        Raises:
            NotFound: there is none; it says ``otherwise``.
        """
        row = self.row(sql, values)
        if row is None:
            raise NotFound(otherwise)
        return row


@dataclass(frozen=True)
class Ledger:
    """What every ledger function takes first. One per process; safe for many threads.

    Attributes:
        actor: whose acts these are; None where the system works by itself.
        shares: the places in the lanes that this process gives out.
        joined: the transaction that everything is part of; None: each piece of work is one of its own.
    """

    settings: Settings
    database: Database
    doorbell: Doorbell
    actor: Actor | None = None
    shares: Shares = field(default_factory=Shares, repr=False, compare=False)
    joined: Work | None = field(default=None, repr=False, compare=False)
    _meetings: dict[Hashable, GroupCommit[Any, Any]] = field(default_factory=dict, repr=False, compare=False)

    @contextmanager
    def work(self) -> Iterator[Work]:
        """One transaction. The doorbells noted in it ring only after it is committed.

        Raises:
            Unavailable: PostgreSQL does not answer.
        """
        if self.joined is not None:
            yield self.joined
            return
        with self.database.transaction() as connection:
            work = Work(connection, actor=self.actor)
            yield work
        self.doorbell.ring(work.rings)

    def acting(self, actor: Actor) -> "Ledger":
        """The same ledger, whose transactions are acts of this actor."""
        return replace(self, actor=actor)

    def joining(self, work: Work) -> "Ledger":
        """The same ledger, all of whose work is part of this transaction: done with it, or not at all."""
        return replace(self, joined=work)

    def meeting(self, name: Hashable, many: Callable[[Sequence[T]], Sequence[R]]) -> GroupCommit[T, R]:
        """The group commit of this name; the threads of this process that call it share transactions."""
        return self._meetings.setdefault(name, GroupCommit(many))

    def close(self) -> None:
        """Close the connections to PostgreSQL and the broker."""
        self.doorbell.close()
        self.database.close()


@lru_cache(maxsize=512)
def _parsed(sql: str) -> TextClause:
    return text(sql)


def open_ledger(settings: Settings, *, pool_size: int = 8) -> Ledger:
    """The ledger of this process. Connects when first used."""
    # A process that stops in the middle of a transaction blocks others for no longer than its jobs would.
    idle = min(30.0, settings.lease_seconds)
    database = Database(settings.database_url.get_secret_value(), pool_size=pool_size, idle_seconds=idle)
    return Ledger(settings, database, open_doorbell(settings))
