"""Migrate a database to the newest version; a lock lets only one process do so at a time."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.exc import OperationalError

from migrations import grants
from xraygpt_core.db import driver_url, server_message, set_local, without_options
from xraygpt_core.errors import Unavailable

# Any constant that nothing else in this database uses: "MIGR" in ASCII.
_LOCK = 0x4D494752


def config() -> Config:
    """Alembic's configuration, made here so that no file has to be found."""
    configuration = Config()
    configuration.set_main_option("script_location", str(Path(__file__).parent))
    return configuration


def upgrade(url: str, revision: str = "head") -> tuple[str | None, str | None]:
    """Migrate, waiting for any other process that is migrating. Returns the version before and after.

    Raises:
        Unavailable: the server does not answer.
        ConfigurationError: it is no PostgreSQL URL.
    """
    # One transaction for all of it, lock included: a pooler may give the next one another connection.
    with _transaction(url) as connection:
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
        before = MigrationContext.configure(connection).get_current_revision()
        configuration = config()
        configuration.attributes["connection"] = connection
        command.upgrade(configuration, revision)
        after = MigrationContext.configure(connection).get_current_revision()
        if after == head():
            grants.apply(connection)
        return before, after


def roles_missing(url: str) -> list[str]:
    """The roles of our processes that this server lacks, because the migrating role may not make roles.

    Raises:
        Unavailable: the server does not answer.
    """
    with _transaction(url) as connection:
        return grants.missing(connection)


@contextmanager
def _transaction(url: str) -> Iterator[Connection]:
    url, given = without_options(driver_url(url))
    engine = create_engine(url, connect_args={"connect_timeout": 10})
    try:
        with engine.begin() as connection:
            set_local(connection, {"lock_timeout": "60s"} | given)
            yield connection
    except OperationalError as error:
        raise Unavailable(f"PostgreSQL does not answer{server_message(error.orig)}") from error
    finally:
        engine.dispose()


def head() -> str:
    """The newest version in this source tree."""
    newest = ScriptDirectory.from_config(config()).get_current_head()
    assert newest is not None
    return newest
