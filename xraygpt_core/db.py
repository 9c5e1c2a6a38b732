"""The connection to PostgreSQL. Nothing here knows what the tables mean."""

import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

from psycopg2 import ProgrammingError
from psycopg2.extensions import parse_dsn
from sqlalchemy import Connection, create_engine, event, make_url, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from xraygpt_core.errors import ConfigurationError, Refused, Unavailable

DRIVER = "postgresql+psycopg2"
# psycopg 3 prepares statements by itself, which saves a fifth of what a study costs (benchmarks/RESULTS.md).
PREPARING_DRIVER = "postgresql+psycopg"
# A host that is lost without a word is noticed within some 25 seconds, also in the middle of a query.
LOST_HOST: dict[str, Any] = {
    "keepalives": 1,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,  # milliseconds
}
_CONNECTION = {"connect_timeout": 10, "application_name": "xraygpt", **LOST_HOST}  # unless the URL says otherwise
_DEADLOCK_OR_SERIALISATION = {"40P01", "40001"}
# "-c name=value" and "--name=value" of libpq's `options`; a blank inside a value stands behind a backslash.
_OPTION = re.compile(r"(?:-c\s*|--)([\w.-]+)=((?:\\.|[^\s\\])*)")

_HOST = re.compile(r"(\[.*\]|[^:]*)(?::(.*))?")


class Database:
    """A pool of connections to one PostgreSQL database, directly or through PgBouncer in any of its pool modes.

    Args:
        url: ``postgresql://user:password@host:port/database``; what it says, in ``options=`` too, goes before ours.
        pool_size: connections kept open; as many again may be opened under load.
        statement_timeout_seconds: a statement that runs longer is ended by the server.
        idle_seconds: so is a transaction that is silent for longer: a process stopped in the middle of one would
            keep its locks, and no other could take over its work.

    Attributes:
        nesting: is held by a thread that opens a transaction within another. It has one connection, waits for another:
            if as many threads did so as there are connections, they would wait for each other.
    """

    def __init__(
        self, url: str, *, pool_size: int = 8, statement_timeout_seconds: float = 60.0, idle_seconds: float = 30.0
    ) -> None:
        self.url, given = without_options(driver_url(url))
        self.nesting = threading.BoundedSemaphore(max(1, pool_size * 3 // 4))
        ours = {
            "statement_timeout": f"{int(statement_timeout_seconds * 1000)}",
            "lock_timeout": "20000",
            "timezone": "UTC",
            "idle_in_transaction_session_timeout": f"{int(idle_seconds * 1000)}",
        }
        self._engine = create_engine(
            self.url,
            pool_size=pool_size,
            max_overflow=pool_size,
            pool_pre_ping=False,
            pool_recycle=1800,
            # No table has an hstore, and psycopg2 would ask each new connection for its number.
            **({"use_native_hstore": False} if self.url.startswith(f"{DRIVER}:") else {}),
            connect_args={name: value for name, value in _CONNECTION.items() if name not in make_url(self.url).query},
        )
        limits = _Limits(ours | given)
        event.listen(self._engine, "do_connect", limits.connect)
        event.listen(self._engine, "begin", limits.begin)

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """One transaction: committed at the end of the block, rolled back if the block raises.

        Raises:
            Unavailable: the server does not answer, or went away in the middle. What was written is then unknown
                only if the commit itself was lost; :func:`xraygpt_core.ledger.jobs.fence.fenced` deals with that case.
            Refused: the server said that it cannot do this now, or all connections are in use. Nothing was written.
        """
        try:
            with self._engine.begin() as connection:
                yield connection
        except PoolTimeout as error:
            raise Refused("all connections to PostgreSQL are in use") from error
        except DBAPIError as error:
            if connection_lost(error):
                raise Unavailable(f"PostgreSQL does not answer{server_message(error.orig)}") from error
            if refused(error):
                raise Refused(f"PostgreSQL cannot do this now: {type(error.orig).__name__}") from error
            raise

    def ping(self) -> None:
        """Raise Unavailable unless the server answers a query."""
        with self.transaction() as connection:
            connection.execute(text("SELECT 1"))

    def close(self) -> None:
        """Close every connection of the pool; one that is in use, when it comes back."""
        event.listen(self._engine, "checkin", lambda _connection, record: record.invalidate())
        self._engine.dispose()


class _Limits:
    """The limits of every transaction: given once to a connection, or, where a pooler hands connections around, at the
    start of each transaction (PgBouncer, "ignore_startup_parameters": it refuses `options`, or drops them silently).
    """

    def __init__(self, values: Mapping[str, str]) -> None:
        self._options = " ".join(f"-c {name}={_escaped(value)}" for name, value in values.items())
        self._local = dict(values)
        self._pooled: bool | None = None  # not known before the first connection

    def connect(self, dialect: Any, _record: Any, args: Any, options: dict[str, Any]) -> Any:
        """A new connection of the pool."""
        if not self._pooled:
            try:
                made = dialect.connect(*args, **options, options=self._options)
            except dialect.loaded_dbapi.OperationalError as error:
                if "unsupported startup parameter" not in str(error):
                    raise
            else:
                if self._pooled is None:
                    self._pooled = not self._arrived(made)
                return made
            self._pooled = True
        unprepared = {"prepare_threshold": None} if dialect.driver == "psycopg" else {}
        return dialect.connect(*args, **options, **unprepared)

    def begin(self, connection: Connection) -> None:
        """A transaction begins."""
        if self._pooled:
            set_local(connection, self._local)

    def _arrived(self, made: Any) -> bool:
        """The value proves nothing: "90s" comes back as 90000, and a role may have been given just ours."""
        with made.cursor() as cursor:
            cursor.execute("SELECT source = 'client' FROM pg_settings WHERE name = 'statement_timeout'")
            arrived = cursor.fetchone()[0]
        made.rollback()
        return bool(arrived)


def set_local(connection: Connection, values: Mapping[str, str]) -> None:
    """Set what these name for the rest of the transaction."""
    for name, value in values.items():
        connection.execute(_SET_LOCAL, {"name": name, "value": value})


_SET_LOCAL = text("SELECT set_config(:name, :value, true)")


def _escaped(value: str) -> str:
    return re.sub(r"([\s\\])", r"\\\1", value)


def without_options(url: str) -> tuple[str, dict[str, str]]:
    """The URL without its ``options=``, which a pooler refuses, and what those set.

    Raises:
        ConfigurationError: they do something else than set.
    """
    parsed = make_url(url)
    written = parsed.query.get("options", ())
    text_of = written if isinstance(written, str) else " ".join(written)
    given = {name.replace("-", "_").lower(): re.sub(r"\\(.)", r"\1", value) for name, value in _OPTION.findall(text_of)}
    left = _OPTION.sub("", text_of).strip()
    if left:
        raise ConfigurationError(
            "XRAYGPT_DATABASE_URL: its options= may hold settings, -c name=value, and nothing else"
        )
    return parsed.difference_update_query(["options"]).render_as_string(hide_password=False), given


def driver_url(url: str, setting: str = "XRAYGPT_DATABASE_URL") -> str:
    """The same URL with our driver named: psycopg2, or psycopg 3 where the URL asks for it.

    Several hosts (``h1:5432,h2:5432``) and a socket's folder (``%2Frun%2Fpostgresql``) may stand where libpq takes
    them (its manual, connection URIs); they become ``?host=…&port=…``, which SQLAlchemy and libpq both read.

    Raises:
        ConfigurationError: it is no PostgreSQL URL, or names a driver that is not installed.
    """
    scheme, separator, rest = url.partition("://")
    if not separator or scheme.split("+")[0] not in {"postgresql", "postgres"}:
        raise ConfigurationError(f"{setting} must look like postgresql://user:password@host:port/database")
    made = f"{_driver(scheme, setting)}://{_hosts_as_parameters(rest)}"
    try:
        parsed = make_url(made)
    except ValueError as error:
        raise ConfigurationError(f"{setting} cannot be read: check its port and escapes") from error
    unknown = [name for name in parsed.query if not _known_to_libpq(name)]
    if unknown:
        raise ConfigurationError(f"{setting}: libpq knows no parameter {unknown[0]!r}, behind the ?")
    return made


def _driver(scheme: str, setting: str) -> str:
    """psycopg2, unless psycopg 3 is named; every other driver that may be named means psycopg2."""
    if scheme.partition("+")[2] != "psycopg":
        return DRIVER
    if find_spec("psycopg") is None:
        raise ConfigurationError(f"{setting} names psycopg 3, which is not here: pip install 'xraygpt[psycopg]'")
    return PREPARING_DRIVER


def _known_to_libpq(name: str) -> bool:
    """Poolers' and other drivers' parameters, such as ``pgbouncer=true``, would end a process as it connects."""
    try:
        parse_dsn(f"{name}=1")
    except ProgrammingError:
        return False
    return True


def _hosts_as_parameters(rest: str) -> str:
    place, slash, behind = rest.partition("/")
    user, at, hosts = place.rpartition("@")
    if "," not in hosts and not hosts.upper().startswith("%2F"):
        return rest
    found = [one for one in map(_HOST.fullmatch, hosts.split(",")) if one]
    names, ports = (",".join((one[part] or "").strip("[]") for one in found) for part in (1, 2))
    database, _, parameters = behind.partition("?")
    more = f"&{parameters}" if parameters else ""
    return f"{user}{at}{slash}{database}?host={names}&port={ports}{more}"


def libpq_url(url: str, setting: str = "XRAYGPT_DATABASE_URL") -> str:
    """The same URL as libpq reads it: without a driver, and with every escape that it wants.

    It would take a bare / or % in the password for something else, and quote it in its message. What is no URL
    (``host=… user=…``) stays as it is.

    Raises:
        ConfigurationError: it is no PostgreSQL URL.
    """
    if "://" not in url:
        return url
    written = make_url(driver_url(url, setting)).set(drivername="postgresql").render_as_string(hide_password=False)
    place, question, parameters = written.partition("?")
    return place + question + parameters.replace("+", "%20")  # libpq knows no + for a blank


def connection_lost(error: DBAPIError) -> bool:
    """Did the connection break (server killed, restarted, unreachable), rather than the statement fail?"""
    if error.connection_invalidated:
        return True
    state = sqlstate(error.orig)
    if state is None:
        return error.orig.__class__.__name__ in {"OperationalError", "InterfaceError", "DatabaseError"}
    # Class 08: connection exception. 57P01-57P03: shutdown, crash, starting up. 53300: too many connections.
    # 25P03: the transaction was silent for too long.
    return state.startswith("08") or state in {"57P01", "57P02", "57P03", "53300", "25P03"}


def refused(error: DBAPIError) -> bool:
    """Did the statement fail by the server's condition or by another's lock, and not by what it says?"""
    # Class 53: no room on the disk, no memory. 57: ended by an operator or by a time limit. 58: trouble with files.
    # 55P03: a lock that others keep. 25006: the server only reads, as a replica does, or a hosted server without room.
    state = sqlstate(error.orig) or ""
    return state[:2] in {"53", "57", "58"} or state in {"55P03", "25006"}


def worth_repeating(error: DBAPIError) -> bool:
    """Was the transaction the victim of a deadlock or a serialisation failure, and so may simply run again?"""
    return sqlstate(error.orig) in _DEADLOCK_OR_SERIALISATION


def sqlstate(error: BaseException | None) -> str | None:
    """The five letters PostgreSQL gives an error (its manual, appendix A); None if the server gave none."""
    state: str | None = getattr(error, "pgcode", None) or getattr(error, "sqlstate", None)  # psycopg2; psycopg
    return state


def server_message(error: BaseException | None) -> str:
    """What the server, a pooler or libpq said when there was no connection, after a colon. It quotes no row."""
    lines = " ".join(str(error or "").split())
    return f": {lines}" if lines else ""
