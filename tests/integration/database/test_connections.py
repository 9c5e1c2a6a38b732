"""Connections: what the server refuses or takes from them, and when they are closed."""

from collections.abc import Callable
from uuid import UUID

import pytest
from sqlalchemy import event

from tests.support.ledger_tools import (
    expire,
    put,
    rows,
    take,
)
from xraygpt_core.db import Database
from xraygpt_core.errors import Refused, Unavailable
from xraygpt_core.ledger.jobs.reconcile import tick
from xraygpt_core.ledger.transaction import Ledger, Work, open_ledger
from xraygpt_core.settings import Settings
from xraygpt_core.states import JobKind

pytestmark = pytest.mark.usefixtures("sound")


def test_a_statement_that_runs_into_its_time_limit_is_refused(settings: Settings, ledger: Ledger) -> None:
    hasty = Database(settings.database_url.get_secret_value(), statement_timeout_seconds=1.0)
    with pytest.raises(Refused, match="QueryCanceled"), hasty.transaction() as connection:
        Work(connection).row("SELECT pg_sleep(20)")
    hasty.close()


@pytest.mark.parametrize("written", ["statement_timeout%3D90s", "Statement_Timeout%3D90000"])
def test_a_limit_of_the_url_is_given_once_to_a_connection_however_it_is_written(
    database_url: str, written: str
) -> None:
    database = Database(f"{database_url}?options=-c%20{written}")
    statements: list[str] = []
    with database.transaction() as connection:
        event.listen(connection.engine, "before_cursor_execute", lambda *given: statements.append(given[2]))
        assert connection.exec_driver_sql("SHOW statement_timeout").scalar() == "90s"
    with database.transaction() as connection:
        connection.exec_driver_sql("SELECT 1")
    database.close()
    assert statements == ["SHOW statement_timeout", "SELECT 1"]


def test_a_connection_in_use_when_all_are_closed_is_closed_when_it_comes_back(settings: Settings) -> None:
    database = Database(settings.database_url.get_secret_value())
    with database.transaction() as connection:
        ours = connection.connection.driver_connection
        database.close()
        Work(connection).row("SELECT 1")
    assert ours is not None
    assert ours.closed


def test_a_process_stopped_in_the_middle_of_its_work_does_not_keep_its_locks(
    settings: Settings, ledger: Ledger
) -> None:
    impatient = Database(settings.database_url.get_secret_value(), idle_seconds=1.0)
    got = take(ledger, JobKind.INGEST, put(ledger).image_id)
    stopped: list[UUID] = []

    def stop_in_the_middle() -> None:
        with impatient.transaction() as connection:
            work = Work(connection)
            work.run("UPDATE jobs SET last_error = 'stopped here' WHERE id = :id", {"id": got.job_id})
            stopped.append(got.job_id)
            expire(ledger, got.job_id)  # waits for the lock, which the server takes from the silent transaction
            work.run("SELECT 1")

    for _ in range(5):  # on a busy machine the first statement may come too late: that is not the middle
        with pytest.raises(Unavailable):
            stop_in_the_middle()
        if stopped:
            break
    impatient.close()
    assert tick(ledger).requeued == 1


def test_locks_of_a_process_that_stands_still_end_with_its_leases(make_settings: Callable[..., Settings]) -> None:
    for lease, idle in ((3.0, "3s"), (300.0, "30s")):
        opened = open_ledger(make_settings(lease_seconds=lease))
        assert rows(opened, "SHOW idle_in_transaction_session_timeout") == [
            {"idle_in_transaction_session_timeout": idle}
        ]
        opened.close()
