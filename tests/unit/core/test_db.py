"""The connection to PostgreSQL: what counts as a URL, as lost, as worth a repeat."""

from collections.abc import Callable
from typing import Any

import psycopg2
import pytest
from psycopg2.extensions import make_dsn, parse_dsn
from pydantic import SecretStr
from sqlalchemy import QueuePool, create_engine, make_url
from sqlalchemy.dialects.postgresql.psycopg2 import PGDialect_psycopg2
from sqlalchemy.exc import DBAPIError

from tests.support.analyst import run_query
from tests.support.postgres_errors import server_error
from xraygpt_core.db import Database, connection_lost, driver_url, libpq_url, refused, worth_repeating
from xraygpt_core.errors import ConfigurationError, Refused, Unavailable
from xraygpt_core.settings import Settings

CONNECTION_FAILURE = "08006"
UNIQUE_VIOLATION = "23505"
READ_ONLY_SQL_TRANSACTION = "25006"
IDLE_IN_TRANSACTION_SESSION_TIMEOUT = "25P03"
SERIALIZATION_FAILURE = "40001"
DEADLOCK_DETECTED = "40P01"
UNDEFINED_TABLE = "42P01"
DISK_FULL = "53100"
OUT_OF_MEMORY = "53200"
TOO_MANY_CONNECTIONS = "53300"
LOCK_NOT_AVAILABLE = "55P03"
QUERY_CANCELED = "57014"
ADMIN_SHUTDOWN = "57P01"
CRASH_SHUTDOWN = "57P02"
CANNOT_CONNECT_NOW = "57P03"
IO_ERROR = "58030"

NOWHERE = "postgresql://nobody:x@127.0.0.1:1/none"


def wrapped(error: Exception, *, invalidated: bool = False) -> DBAPIError:
    return DBAPIError("SELECT 1", None, error, connection_invalidated=invalidated)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:p@h:5432/x",
        "postgres://u:p@h:5432/x",
        "postgresql+asyncpg://u:p@h:5432/x",
        "postgresql+psycopg2://u:p@h:5432/x",
    ],
)
def test_every_way_to_write_a_postgresql_url_ends_at_our_driver(url: str) -> None:
    assert driver_url(url) == "postgresql+psycopg2://u:p@h:5432/x"


def test_psycopg_3_is_taken_where_it_is_named_and_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    url = "postgresql+psycopg://u:p@h:5432/x"
    assert driver_url(url) == url
    monkeypatch.setattr("xraygpt_core.db.find_spec", lambda _: None)
    with pytest.raises(ConfigurationError, match="psycopg 3"):
        driver_url(url)


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("u:p@h1:1,h2:2/x", {"host": "h1,h2", "port": "1,2", "user": "u", "password": "p", "dbname": "x"}),
        ("u@h1,[::2]:2/x?sslmode=require", {"host": "h1,::2", "port": ",2", "sslmode": "require"}),
        ("u@%2Frun%2Fpostgresql/x", {"host": "/run/postgresql", "dbname": "x"}),
        ("u:a,b@h/x", {"host": "h", "password": "a,b"}),
        ("u:a/b%zz@h/x", {"host": "h", "password": "a/b%zz"}),
        ("u:a+b%20c%40@h/x?options=-c%20geqo%3Doff", {"password": "a+b c@", "options": "-c geqo=off"}),
    ],
)
def test_hosts_and_passwords_mean_the_same_to_sqlalchemy_and_to_libpq(written: str, read: dict[str, str]) -> None:
    url = f"postgresql://{written}"
    assert read.items() <= parse_dsn(libpq_url(url)).items()
    _, options = PGDialect_psycopg2().create_connect_args(make_url(driver_url(url)))
    ours = parse_dsn(make_dsn(**options))
    assert read.items() <= ours.items()


@pytest.mark.parametrize("url", ["postgresql://u:secret@h/x?sslmod=require", "postgresql://u:secret@h:port/x"])
def test_a_url_with_a_slip_in_it_is_refused_by_its_setting_s_name_alone(url: str) -> None:
    with pytest.raises(ConfigurationError, match="XRAYGPT_READER_URL") as caught:
        libpq_url(url, "XRAYGPT_READER_URL")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("url", ["", "localhost", "mysql://u@h/x", "postgresql:/u@h/x"])
def test_another_kind_of_url_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        driver_url(url)
    assert "XRAYGPT_DATABASE_URL" in str(caught.value)


@pytest.mark.parametrize("parameter", ["pgbouncer=true", "prepare_threshold=0", "pool_size=5", "a%20b=1"])
def test_a_parameter_that_libpq_does_not_know_is_named(parameter: str) -> None:
    with pytest.raises(ConfigurationError, match="libpq knows no parameter"):
        Database(f"postgresql://u:p@h/x?sslmode=require&{parameter}")


@pytest.mark.parametrize(
    "error",
    [
        server_error(ADMIN_SHUTDOWN),
        server_error(CRASH_SHUTDOWN),
        server_error(CANNOT_CONNECT_NOW),
        server_error(TOO_MANY_CONNECTIONS),
        server_error(CONNECTION_FAILURE),
        server_error(IDLE_IN_TRANSACTION_SESSION_TIMEOUT),
        psycopg2.OperationalError("server closed the connection unexpectedly"),
        psycopg2.InterfaceError("the connection is closed"),
    ],
)
def test_a_server_that_went_away_is_a_lost_connection(error: Exception) -> None:
    assert connection_lost(wrapped(error))


@pytest.mark.parametrize(
    "error",
    [
        server_error(UNIQUE_VIOLATION),
        server_error(QUERY_CANCELED),
        server_error(LOCK_NOT_AVAILABLE),
        server_error(DEADLOCK_DETECTED),
    ],
)
def test_a_statement_that_failed_is_not(error: Exception) -> None:
    assert not connection_lost(wrapped(error))
    assert connection_lost(wrapped(error, invalidated=True))


@pytest.mark.parametrize(
    "error",
    [
        server_error(DISK_FULL),
        server_error(OUT_OF_MEMORY),
        server_error(QUERY_CANCELED),
        server_error(IO_ERROR),
        server_error(LOCK_NOT_AVAILABLE),
        server_error(READ_ONLY_SQL_TRANSACTION),
    ],
)
def test_what_the_server_cannot_do_now_is_refused(error: Exception) -> None:
    assert refused(wrapped(error))


@pytest.mark.parametrize(
    "error",
    [
        server_error(UNIQUE_VIOLATION),
        server_error(UNDEFINED_TABLE),
        server_error(DEADLOCK_DETECTED),
        psycopg2.OperationalError(),
    ],
)
def test_a_statement_that_is_wrong_or_was_a_victim_is_not_refused(error: Exception) -> None:
    assert not refused(wrapped(error))


@pytest.fixture
def one_connection(monkeypatch: pytest.MonkeyPatch) -> Database:
    """A database of a single connection, for which nobody waits."""
    database = Database(NOWHERE)
    pool = {"poolclass": QueuePool, "pool_size": 1, "max_overflow": 0, "pool_timeout": 0}
    monkeypatch.setattr(database, "_engine", create_engine("sqlite://", **pool))
    return database


def test_a_refused_statement_leaves_its_transaction_as_one_of_our_errors(one_connection: Database) -> None:
    with pytest.raises(Refused, match="DiskFull"), one_connection.transaction():
        raise wrapped(server_error(DISK_FULL, "could not extend file of DOE^JANE"))
    one_connection.close()


def test_a_pool_whose_connections_are_all_in_use_refuses(one_connection: Database) -> None:
    with one_connection.transaction(), pytest.raises(Refused, match="in use"):
        one_connection.ping()
    one_connection.close()


def test_victims_of_deadlocks_and_of_serialisation_may_simply_run_again() -> None:
    assert worth_repeating(wrapped(server_error(DEADLOCK_DETECTED)))
    assert worth_repeating(wrapped(server_error(SERIALIZATION_FAILURE)))
    assert not worth_repeating(wrapped(server_error(UNIQUE_VIOLATION)))


def by_the_ledger() -> None:
    Database(NOWHERE).ping()


def by_the_reader() -> None:
    run_query(Settings.model_construct(reader_url=SecretStr(NOWHERE)), "SELECT 1")


@pytest.mark.parametrize("asked", [by_the_ledger, by_the_reader])
def test_a_server_that_is_lost_without_a_word_is_noticed_within_half_a_minute(
    monkeypatch: pytest.MonkeyPatch, asked: Callable[[], None]
) -> None:
    said: dict[str, Any] = {}

    def connect(*_: Any, **options: Any) -> None:
        said.update(options)
        raise psycopg2.OperationalError("nobody there")

    monkeypatch.setattr(psycopg2, "connect", connect)
    with pytest.raises(Unavailable, match="nobody there"):
        asked()
    idle, interval, count = (said[f"keepalives_{name}"] for name in ("idle", "interval", "count"))
    assert said["keepalives"] == 1
    assert idle + interval * count <= 30
    assert 1000 <= said["tcp_user_timeout"] <= 30_000


def test_making_a_pool_connects_to_nobody_and_using_it_says_that_nobody_answers() -> None:
    database = Database(NOWHERE)
    with pytest.raises(Unavailable, match="PostgreSQL does not answer"):
        database.ping()
    database.close()
