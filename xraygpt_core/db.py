"""The connection to PostgreSQL. Nothing here knows what the tables mean."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, create_engine, event, make_url, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from xraygpt_core.errors import ConfigurationError, Refused, Unavailable

DRIVER = "postgresql+psycopg"
# A host that is lost without a word is noticed within some 25 seconds, also in the middle of a query.
LOST_HOST: dict[str, Any] = {
    "keepalives": 1,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,  # milliseconds
}
_DEADLOCK_OR_SERIALISATION = {"40P01", "40001"}


class Database:
    """A pool of connections to one PostgreSQL database.

    Args:
        url: ``postgresql://user:password@host:port/database``.
        pool_size: connections kept open; as many again may be opened under load.
        statement_timeout_seconds: a statement that runs longer is ended by the server.
        idle_seconds: so is a transaction that is silent for longer: a process stopped in the middle of one would
            keep its locks, and nobody could take over its work.

    Attributes:
        nesting: is held by whoever opens a transaction within another. Each has one connection and waits for a second:
            if as many did so as there are connections, they would wait for each other.
    """

    def __init__(
        self, url: str, *, pool_size: int = 8, statement_timeout_seconds: float = 60.0, idle_seconds: float = 30.0
    ) -> None:
        self.url = driver_url(url)
        self.nesting = threading.BoundedSemaphore(max(1, pool_size * 3 // 4))
        milliseconds, idle = int(statement_timeout_seconds * 1000), int(idle_seconds * 1000)
        self._engine = create_engine(
            self.url,
            pool_size=pool_size,
            max_overflow=pool_size,
            pool_pre_ping=False,
            pool_recycle=1800,
            connect_args={
                "connect_timeout": 10,
                "application_name": "xraygpt",
                "options": f"-c statement_timeout={milliseconds} -c lock_timeout=20000 -c timezone=UTC "
                f"-c idle_in_transaction_session_timeout={idle}",
                **LOST_HOST,
            },
        )

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """One transaction: committed at the end of the block, rolled back if the block raises.

        Raises:
            Unavailable: the server does not answer, or went away in the middle. What was written is then unknown
                only if the commit itself was lost; :func:`xraygpt_core.ledger.fence.fenced` deals with that case.
            Refused: the server said that it cannot do this now, or all connections are in use. Nothing was written.
        """
        try:
            with self._engine.begin() as connection:
                yield connection
        except PoolTimeout as error:
            raise Refused("all connections to PostgreSQL are in use") from error
        except DBAPIError as error:
            if connection_lost(error):
                raise Unavailable("PostgreSQL does not answer") from error
            if refused(error):
                raise Refused(f"PostgreSQL cannot do this now: {type(error.orig).__name__}") from error
            raise

    def ping(self) -> None:
        """Raise Unavailable unless the server answers a query."""
        with self.transaction() as connection:
            connection.execute(text("SELECT 1"))

    def close(self) -> None:
        """Close every connection of the pool; one that is in use, when it comes back."""
        event.listen(self._engine, "checkin", _close_late)
        self._engine.dispose()


def _close_late(_connection: Any, record: Any) -> None:
    record.invalidate()


def driver_url(url: str) -> str:
    """The same URL with the driver named, whatever driver the setting named.

    Raises:
        ConfigurationError: it is no PostgreSQL URL.
    """
    scheme, separator, rest = url.partition("://")
    if not separator or scheme.split("+")[0] not in {"postgresql", "postgres"}:
        raise ConfigurationError("XRAYGPT_DATABASE_URL must look like postgresql://user:password@host:port/database")
    try:
        make_url(f"{DRIVER}://{rest}")
    except ValueError as error:
        raise ConfigurationError("XRAYGPT_DATABASE_URL cannot be read: check its port and escapes") from error
    return f"{DRIVER}://{rest}"


def connection_lost(error: DBAPIError) -> bool:
    """Did the connection break (server killed, restarted, unreachable), rather than the statement fail?"""
    if error.connection_invalidated:
        return True
    state = _sqlstate(error)
    if state is None:
        return error.orig.__class__.__name__ in {"OperationalError", "InterfaceError"}
    # Class 08: connection exception. 57P01-57P03: shutdown, crash, starting up. 53300: too many connections.
    # 25P03: the transaction was silent for too long.
    return state.startswith("08") or state in {"57P01", "57P02", "57P03", "53300", "25P03"}


def refused(error: DBAPIError) -> bool:
    """Is it the server's condition, or somebody else's lock, that made the statement fail, and not what it says?"""
    # Class 53: no room on the disk, no memory. 57: ended by an operator or by a time limit. 58: trouble with files.
    # 55P03: a lock that others keep. 25006: the server only reads, as a replica does, or a hosted server without room.
    state = _sqlstate(error) or ""
    return state[:2] in {"53", "57", "58"} or state in {"55P03", "25006"}


def worth_repeating(error: DBAPIError) -> bool:
    """Was the transaction the victim of a deadlock or a serialisation failure, and so may simply run again?"""
    return _sqlstate(error) in _DEADLOCK_OR_SERIALISATION


def _sqlstate(error: DBAPIError) -> str | None:
    state: str | None = getattr(error.orig, "sqlstate", None)
    return state
