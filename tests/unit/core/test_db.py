"""The connection to PostgreSQL: what counts as a URL, as lost, as worth a repeat."""

from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from psycopg import errors
from pydantic import SecretStr
from sqlalchemy import QueuePool, create_engine
from sqlalchemy.exc import DBAPIError

from xraygpt_core.db import Database, connection_lost, driver_url, refused, worth_repeating
from xraygpt_core.errors import ConfigurationError, Refused, Unavailable
from xraygpt_core.reader import run_query
from xraygpt_core.settings import Settings

NOWHERE = "postgresql://nobody:x@127.0.0.1:1/none"


def wrapped(error: Exception, *, invalidated: bool = False) -> DBAPIError:
    return DBAPIError("SELECT 1", None, error, connection_invalidated=invalidated)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:p@h:5432/x",
        "postgres://u:p@h:5432/x",
        "postgresql+asyncpg://u:p@h:5432/x",
        "postgresql+psycopg://u:p@h:5432/x",
    ],
)
def test_every_way_to_write_a_postgresql_url_ends_at_our_driver(url: str) -> None:
    assert driver_url(url) == "postgresql+psycopg://u:p@h:5432/x"


@pytest.mark.parametrize("url", ["", "localhost", "mysql://u@h/x", "postgresql:/u@h/x"])
def test_another_kind_of_url_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        driver_url(url)
    assert "XRAYGPT_DATABASE_URL" in str(caught.value)


def test_a_port_that_is_no_number_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="port"):
        driver_url("postgresql://u:p@h:port/x")


@pytest.mark.parametrize(
    "error",
    [
        errors.AdminShutdown(),
        errors.CrashShutdown(),
        errors.CannotConnectNow(),
        errors.TooManyConnections(),
        errors.ConnectionFailure(),
        errors.IdleInTransactionSessionTimeout(),
        psycopg.OperationalError("server closed the connection unexpectedly"),
        psycopg.InterfaceError("the connection is closed"),
    ],
)
def test_a_server_that_went_away_is_a_lost_connection(error: Exception) -> None:
    assert connection_lost(wrapped(error))


@pytest.mark.parametrize(
    "error", [errors.UniqueViolation(), errors.QueryCanceled(), errors.LockNotAvailable(), errors.DeadlockDetected()]
)
def test_a_statement_that_failed_is_not(error: Exception) -> None:
    assert not connection_lost(wrapped(error))
    assert connection_lost(wrapped(error, invalidated=True))


@pytest.mark.parametrize(
    "error",
    [
        errors.DiskFull(),
        errors.OutOfMemory(),
        errors.QueryCanceled(),
        errors.IoError(),
        errors.LockNotAvailable(),
        errors.ReadOnlySqlTransaction(),
    ],
)
def test_what_the_server_cannot_do_now_is_refused(error: Exception) -> None:
    assert refused(wrapped(error))


@pytest.mark.parametrize(
    "error", [errors.UniqueViolation(), errors.UndefinedTable(), errors.DeadlockDetected(), psycopg.OperationalError()]
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
        raise wrapped(errors.DiskFull("could not extend file of DOE^JANE"))
    one_connection.close()


def test_a_pool_whose_connections_are_all_in_use_refuses(one_connection: Database) -> None:
    with one_connection.transaction(), pytest.raises(Refused, match="in use"):
        one_connection.ping()
    one_connection.close()


def test_victims_of_deadlocks_and_of_serialisation_may_simply_run_again() -> None:
    assert worth_repeating(wrapped(errors.DeadlockDetected()))
    assert worth_repeating(wrapped(errors.SerializationFailure()))
    assert not worth_repeating(wrapped(errors.UniqueViolation()))


def asked_by_the_ledger(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    asked: dict[str, Any] = {}
    monkeypatch.setattr("xraygpt_core.db.create_engine", lambda _url, **options: asked.update(options["connect_args"]))
    Database(NOWHERE)
    return asked


def asked_by_the_reader(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    asked: dict[str, Any] = {}

    def connect(_url: str, **options: Any) -> None:
        asked.update(options)
        raise psycopg.OperationalError("nobody there")

    monkeypatch.setattr(psycopg, "connect", connect)
    with pytest.raises(Unavailable):
        run_query(Settings.model_construct(reader_url=SecretStr(NOWHERE)), "SELECT 1")
    return asked


@pytest.mark.parametrize("asked_by", [asked_by_the_ledger, asked_by_the_reader])
def test_a_server_that_is_lost_without_a_word_is_noticed_within_half_a_minute(
    monkeypatch: pytest.MonkeyPatch, asked_by: Callable[[pytest.MonkeyPatch], dict[str, Any]]
) -> None:
    asked = asked_by(monkeypatch)
    idle, interval, count = (asked[f"keepalives_{name}"] for name in ("idle", "interval", "count"))
    assert asked["keepalives"] == 1
    assert idle + interval * count <= 30
    assert 1000 <= asked["tcp_user_timeout"] <= 30_000


def test_making_a_pool_connects_to_nobody_and_using_it_says_that_nobody_answers() -> None:
    database = Database(NOWHERE)
    with pytest.raises(Unavailable, match="PostgreSQL does not answer"):
        database.ping()
    database.close()
